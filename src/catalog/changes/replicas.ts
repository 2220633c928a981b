import { setTimeout as delay } from 'node:timers/promises'
import { and, eq, lt, ne, type SQL, sql } from 'drizzle-orm'
import type pg from 'pg'
import { type Clock, systemClock } from '../../lib/clock.ts'
import type { Position } from '../history.ts'
import { type CatalogStore, type CatalogTx, catalogErrors } from '../store.ts'
import type { ClockSkew } from './clock-skew.ts'
import {
  type ConnectionShare,
  type Connections,
  greater,
  hasAny,
  isSame,
  lesser,
  NO_CONNECTIONS,
  partOf,
  type ShareWait,
  smallestTotal,
} from './connection-shares.ts'
import { CHANNEL } from './listener.ts'
import {
  beatWithin,
  FOLLOWS_PRESENT_LOG,
  IS_AHEAD,
  IS_LIVE,
  isHolding,
  LIFE_LOCKS,
  LIVE_MS,
  type OtherReplica,
  otherColumns,
} from './live-replicas.ts'
import { replicas } from './schema.ts'

export interface ReplicaListOptions {
  readonly store: CatalogStore
  /** This process, as a UUID. */
  readonly replicaId: string
  /** Fingerprint of the primary master key of this process. Each heartbeat writes it. */
  readonly primaryKeyId?: string
  readonly share: ConnectionShare
  /** Measured with each heartbeat. */
  readonly skew?: Pick<ClockSkew, 'ask' | 'answered'>
  /** How long to wait for the connections beyond a share that shrank, before the row says how many are still open. */
  readonly closingMs?: number
  readonly clock?: Clock
}

/** How many of the live replicas apply a change. */
export interface Confirmations {
  readonly replicas: number
  readonly confirmed: number
}

// A number that no other advisory lock of the catalog has: 'fhsh' in ASCII.
const SHARES_LOCK = 0x66687368
/** The catalog's clock in milliseconds since 1970. */
const NOW_MS = sql<number>`(extract(epoch from now()) * 1000)::float8`.as('at')
/** If a heartbeat of this process is this late, those of the other replicas probably are too. */
const GAP_MS = 2_500
/** By then every live replica has sent a heartbeat again. */
const CAUTION_MS = 3_000
/** Idle connections are closed by then. A later heartbeat reports those in use. */
const CLOSING_MS = 250
const CLOSING_POLL_MS = 10
/** A new replica has its share by then, if the others can give it. */
const SHARE_TIMEOUT_MS = 1_000

/**
 * This process in the list of live replicas. It shows that it is alive and how far it has followed the changes, and agrees with
 * the other replicas on how many connections each may hold.
 *
 * A share shrinks at once; the row says so when the connections beyond the share are closed. A share grows only under a lock,
 * and only by what the rows of the others do not claim. So the shares never add up to more than the total, even while replicas
 * start and stop. If the replicas have different limits, as during a rolling upgrade, the smallest counts.
 */
export class ReplicaList {
  readonly #options: ReplicaListOptions
  readonly #clock: Clock
  #granted = NO_CONNECTIONS
  #part = NO_CONNECTIONS
  /** The total that counts, and whether replicas differ in it, as reported last. */
  #agreed: { readonly total: Connections; readonly differ: boolean }
  /** Since when this process has had no connections, and the reason that was reported. */
  #without: { readonly since: number; reason: ShareWait | null } | null = null
  /** How many connections our row says that we hold. */
  #declared = NO_CONNECTIONS
  #beatAt: number | null = null
  #cautiousUntil = Number.NEGATIVE_INFINITY
  /** Replicas with a heartbeat within this time may be alive. */
  #heardWithinMs = 0

  constructor(options: ReplicaListOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#agreed = { total: options.share.total, differ: false }
  }

  /** Why this process has no connections; null while it has some. */
  get waitsFor(): ShareWait | null {
    if (hasAny(this.#granted)) return null
    return hasAny(this.#part) ? 'held-by-others' : 'more-replicas-than-connections'
  }

  /** True while others still hold connections of our share. */
  get isShort(): boolean {
    const { max, maxPerServer } = this.#granted
    return this.#part.max > max || this.#part.maxPerServer > maxPerServer
  }

  /** False for some seconds after an outage of the catalog: live replicas may not have sent a heartbeat since. */
  get isSteady(): boolean {
    return this.#clock.monotonic() >= this.#cautiousUntil
  }

  /** Shows that this process is alive, for as long as `client` is connected to the catalog. */
  async showLife(client: pg.ClientBase): Promise<void> {
    const { replicaId } = this.#options
    await client.query(`select pg_advisory_lock_shared(${LIFE_LOCKS}, hashtext($1::text))`, [replicaId])
  }

  /** Adds this replica to the list, and removes those that died long ago. @throws PublicError CATALOG_UNAVAILABLE */
  async join(applied: Position): Promise<void> {
    await this.heartbeat(applied)
    // The others release our share when they see our row.
    await this.#wakeOthers()
    const dead = lt(replicas.heartbeatAt, sql`now() - interval '1 day'`)
    await catalogErrors(this.#options.store.db.delete(replicas).where(dead))
  }

  /** Shows that this replica is alive, and adjusts its share. @throws PublicError CATALOG_UNAVAILABLE */
  async heartbeat(applied: Position): Promise<void> {
    const others = await this.#beat(applied)
    if (others.some(({ isAhead }) => isAhead)) await this.#putBack()
    this.#agree(others)
    this.#part = this.#partAmong(others)
    const kept = lesser(this.#part, this.#granted)
    if (!isSame(kept, this.#granted)) await this.#shrink(kept, applied)
    // The changes must be followed even if the share cannot grow now.
    if (this.isShort) await this.#grow().catch(() => undefined)
    this.#noteWait()
  }

  /** Removes this replica from the list. Call it when it holds no connections any more. @throws PublicError CATALOG_UNAVAILABLE */
  async leave(): Promise<void> {
    const { store, replicaId } = this.#options
    await catalogErrors(store.db.delete(replicas).where(eq(replicas.id, replicaId)))
    await this.#wakeOthers()
  }

  /** How many of the live replicas have applied the change `seq`. @throws PublicError CATALOG_UNAVAILABLE */
  async count(seq: number): Promise<Confirmations> {
    const counts = {
      replicas: sql<number>`count(*)::int`,
      confirmed: sql<number>`(count(*) filter (where ${replicas.appliedSeq} >= ${seq} and ${FOLLOWS_PRESENT_LOG}))::int`,
    }
    const [row] = await catalogErrors(this.#options.store.db.select(counts).from(replicas).where(IS_LIVE))
    return row ?? { replicas: 0, confirmed: 0 }
  }

  /** Writes our row and reads those of the others, in one statement. */
  async #beat(applied: Position): Promise<OtherReplica[]> {
    const { store, replicaId, primaryKeyId = null, share, skew } = this.#options
    // Connections beyond the share are still open, so no other replica may have them yet.
    const held = share.isWithin() ? this.#granted : greater(this.#declared, this.#granted)
    const { max: connectionLimit, maxPerServer: serverLimit } = share.total
    const position = { appliedSeq: applied.seq, appliedId: applied.id }
    const row = {
      heartbeatAt: sql`now()`,
      ...position,
      primaryKeyId,
      ...columnsOf(held),
      connectionLimit,
      serverLimit,
    }
    const ours = store.db.$with('ours').as(
      store.db
        .insert(replicas)
        .values({ id: replicaId, ...row })
        .onConflictDoUpdate({ target: replicas.id, set: row })
        .returning({ at: NOW_MS }),
    )
    this.#noteBeat()
    const asked = skew?.ask()
    // A left join: the time is needed even if there are no other replicas.
    const query = store.db.with(ours).select({ at: ours.at, other: otherColumns }).from(ours)
    const rows = await catalogErrors(query.leftJoin(replicas, this.#others()))
    const [first] = rows
    if (asked !== undefined && first !== undefined) skew?.answered(asked, first.at)
    this.#declared = held
    this.#beatAt = this.#clock.monotonic()
    return rows.flatMap(({ other }) => (other === null ? [] : [other]))
  }

  /** Live replicas send a heartbeat again within a second. Dead ones would count until the clock has caught up. */
  async #putBack(): Promise<void> {
    const update = this.#options.store.db.update(replicas).set({ heartbeatAt: sql`now()` })
    await catalogErrors(update.where(IS_AHEAD))
  }

  /** If our heartbeat was late, those of the others were too. So for a while replicas with an older heartbeat count as alive. */
  #noteBeat(): void {
    if (this.#beatAt === null) return
    const now = this.#clock.monotonic()
    const gapMs = now - this.#beatAt
    if (gapMs <= GAP_MS) return
    this.#cautiousUntil = now + CAUTION_MS
    this.#heardWithinMs = Math.ceil(gapMs) + CAUTION_MS + LIVE_MS
  }

  #others(): SQL | undefined {
    const mayHold = this.isSteady ? isHolding : beatWithin(this.#heardWithinMs)
    return and(ne(replicas.id, this.#options.replicaId), mayHold)
  }

  /** Releases what is beyond our share, and wakes the replicas that wait for it. */
  async #shrink(kept: Connections, applied: Position): Promise<void> {
    const { share, closingMs = CLOSING_MS } = this.#options
    this.#grant(kept)
    const deadline = this.#clock.monotonic() + closingMs
    while (!share.isWithin() && this.#clock.monotonic() < deadline) await delay(CLOSING_POLL_MS)
    await this.#beat(applied)
    await this.#wakeOthers()
  }

  /** Takes what the others have released, up to our share. Does nothing while another replica does the same. */
  async #grow(): Promise<void> {
    const { store } = this.#options
    const granted = await store.transaction(async (tx) => {
      const lock = sql`select pg_try_advisory_xact_lock(${SHARES_LOCK}::bigint) as locked`
      const { rows } = await tx.execute<{ locked: boolean }>(lock)
      return rows[0]?.locked === true ? this.#takeFree(tx) : this.#granted
    })
    if (!isSame(granted, this.#granted)) this.#grant(granted)
  }

  async #takeFree(tx: CatalogTx): Promise<Connections> {
    const { replicaId, share } = this.#options
    const others = await tx.select(otherColumns).from(replicas).where(this.#others())
    const total = smallestTotal(share.total, others)
    const free = {
      max: total.max - others.reduce((sum, { max }) => sum + max, 0),
      maxPerServer: total.maxPerServer - others.reduce((sum, { maxPerServer }) => sum + maxPerServer, 0),
    }
    const granted = greater(this.#granted, lesser(this.#partAmong(others), free))
    // Set before the write is known to succeed: the next heartbeat corrects a number that is too high; one
    // too low would be wrong.
    this.#declared = greater(this.#declared, granted)
    await tx.update(replicas).set(columnsOf(this.#declared)).where(eq(replicas.id, replicaId))
    return granted
  }

  async #wakeOthers(): Promise<void> {
    await catalogErrors(this.#options.store.db.execute(sql`select pg_notify(${CHANNEL}, '')`))
  }

  #partAmong(others: readonly OtherReplica[]): Connections {
    const { share, replicaId } = this.#options
    const ids = [replicaId, ...others.map(({ id }) => id)]
    const { max, maxPerServer } = smallestTotal(share.total, others)
    return { max: partOf(max, ids, replicaId), maxPerServer: partOf(maxPerServer, ids, replicaId) }
  }

  #agree(others: readonly OtherReplica[]): void {
    const { share } = this.#options
    const total = smallestTotal(share.total, others)
    const differ = others.some(
      ({ limit, limitPerServer }) =>
        (limit ?? share.total.max) !== share.total.max ||
        (limitPerServer ?? share.total.maxPerServer) !== share.total.maxPerServer,
    )
    if (isSame(total, this.#agreed.total) && differ === this.#agreed.differ) return
    this.#agreed = { total, differ }
    share.onTotal?.(total, differ)
  }

  /** Reports once for each reason that there are no connections. Not at once, because every process starts without any. */
  #noteWait(): void {
    const reason = this.waitsFor
    if (reason === null) {
      this.#without = null
      return
    }
    const now = this.#clock.monotonic()
    this.#without ??= { since: now, reason: null }
    if (now - this.#without.since < SHARE_TIMEOUT_MS || this.#without.reason === reason) return
    this.#without.reason = reason
    this.#options.share.onWait?.(reason)
  }

  #grant(connections: Connections): void {
    this.#granted = connections
    this.#options.share.grant(connections)
  }
}

function columnsOf({ max, maxPerServer }: Connections) {
  return { connectionShare: max, serverShare: maxPerServer }
}
