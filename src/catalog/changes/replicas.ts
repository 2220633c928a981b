import { setTimeout as delay } from 'node:timers/promises'
import { and, eq, gt, lt, ne, or, type SQL, type SQLWrapper, sql } from 'drizzle-orm'
import type pg from 'pg'
import { type Clock, systemClock } from '../../lib/clock.ts'
import type { Position } from '../history.ts'
import { fromNow, isTooFarAhead } from '../moments.ts'
import { type CatalogStore, type CatalogTx, catalogErrors } from '../store.ts'
import type { ClockSkew } from './clock-skew.ts'
import { CHANNEL } from './listener.ts'
import { catalogChanges, replicas } from './schema.ts'

/** So many connections: of a process, or of all; and to each database server. */
export interface Connections {
  readonly max: number
  readonly maxPerServer: number
}

/** What a replica without any connections waits for. */
export type ShareWait = 'held-by-others' | 'more-replicas-than-connections'

/** What this process holds of the connections that all replicas have together. */
export interface ConnectionShare {
  /** What this process was told that all replicas together may hold. The smallest of what any of them was told counts. */
  readonly total: Connections
  /** False while more is open than was granted last, in all or to a server. */
  readonly isWithin: () => boolean
  /** From now on this process may hold so many. */
  readonly grant: (connections: Connections) => void
  /** Told when what counts changes, and when replicas begin or cease to differ in what they were told. */
  readonly onTotal?: (total: Connections, differ: boolean) => void
  /** Told when this process has been without any connections for a while. */
  readonly onWait?: (reason: ShareWait) => void
}

export interface ReplicaListOptions {
  readonly store: CatalogStore
  /** This process, as a UUID. */
  readonly replicaId: string
  /** Fingerprint of the master key under which this process seals: told to the others with each heartbeat. */
  readonly primaryKeyId?: string
  readonly share: ConnectionShare
  /** Measured with each heartbeat. */
  readonly skew?: Pick<ClockSkew, 'ask' | 'answered'>
  /** How long to wait for the connections beyond a share that shrank, before it is said what is still open. */
  readonly closingMs?: number
  readonly clock?: Clock
}

/**
 * True for a replica whose last change stands in the log as it knows it. Another follows a log that a failover or a restore
 * has replaced, or is of a release that tells the number only: its number means nothing.
 */
const FOLLOWS_PRESENT_LOG = sql`(${replicas.appliedSeq} = 0 or exists (
  select from ${catalogChanges}
  where ${catalogChanges.seq} = ${replicas.appliedSeq} and ${catalogChanges.id} = ${replicas.appliedId}))`

/** How many of the live replicas apply a change. */
export interface Confirmations {
  readonly replicas: number
  readonly confirmed: number
}

/** Another replica, and what it says that it may still hold. */
interface Other extends Connections {
  readonly id: string
  /** What it was told that all have together; null from an older release. */
  readonly limit: number | null
  readonly limitPerServer: number | null
  /** Said to have been heard of in the future: the catalog's clock was set back since. */
  readonly isAhead: boolean
}

const NOTHING: Connections = { max: 0, maxPerServer: 0 }
// Any number will do that no other advisory lock of the catalog has: 'fhsh' in ASCII.
const SHARES_LOCK = 0x66687368
// As above: 'fhlv'. Each replica's lock under it goes with its process, at once, which no heartbeat tells so soon.
const LIFE_LOCKS = 0x66686c76
const lockOf = (id: SQLWrapper) => sql`hashtext(${id}::text)`
const beatWithin = (ms: number) => gt(replicas.heartbeatAt, fromNow(-ms))
const hasLock = sql`exists (
  select from pg_locks
  where locktype = 'advisory' and objsubid = 2 and classid = ${LIFE_LOCKS}::bigint::oid
    and objid = (${lockOf(replicas.id)}::bigint & 4294967295)::oid
    and database = (select oid from pg_database where datname = current_database()))`
/** A catalog that was down has no locks to show, and for as long as it was nobody could show that they live. */
const wasJustStarted = sql`pg_postmaster_start_time() > now() - interval '3 seconds'`

/** The catalog's clock in milliseconds since 1970. */
const NOW_MS = sql<number>`(extract(epoch from now()) * 1000)::float8`.as('at')
const IS_AHEAD = isTooFarAhead(replicas.heartbeatAt, 0)
export const LIVE_MS = 10_000
/** Whose heartbeat is older does not count when a change is to be confirmed. */
export const IS_LIVE = beatWithin(LIVE_MS)
/**
 * Who may still have connections of its share: not who has missed three heartbeats, and not who has missed two and has no
 * lock either. Whoever starts again after a crash waits for that.
 */
const isHolding = or(
  and(beatWithin(3_000), or(beatWithin(2_000), hasLock)),
  and(beatWithin(3_600_000), wasJustStarted),
)

/** A heartbeat that comes so late has not been the only one to be held up. */
const GAP_MS = 2_500
/** By then all who live have been heard of again. */
const CAUTION_MS = 3_000
/** Idle ones are closed by then; those in use are told of with a later heartbeat. */
const CLOSING_MS = 250
const CLOSING_POLL_MS = 10
/** Who comes among others has its part by then, where they can give it. */
const PATIENCE_MS = 1_000

/**
 * The part of `total` that falls to a replica: all parts are whole, differ by at most one, and add up to `total`.
 * `ids` are those of all live replicas, in any order.
 */
export function partOf(total: number, ids: readonly string[], id: string): number {
  const rank = ids.toSorted().indexOf(id)
  return Math.floor(total / ids.length) + (rank < total % ids.length ? 1 : 0)
}

/** What all replicas together may hold, so that none of them sees its limit exceeded. */
export function smallestTotal(
  own: Connections,
  others: readonly Pick<Other, 'limit' | 'limitPerServer'>[],
): Connections {
  return {
    max: Math.min(own.max, ...others.map(({ limit }) => limit ?? own.max)),
    maxPerServer: Math.min(
      own.maxPerServer,
      ...others.map(({ limitPerServer: limit }) => limit ?? own.maxPerServer),
    ),
  }
}

/**
 * This process among those that live: shows that it lives and how far it has followed the changes, and agrees with the
 * others on who may hold how many connections.
 *
 * A share shrinks at once and is said to have shrunk when the connections beyond it are closed; it grows only under a
 * lock, into what the others say they do not hold. So the shares never add up to more than the total, also while
 * replicas come and go; who comes gets its part as the others let go of theirs. Where the replicas were told different
 * totals, as while they are replaced one by one, the smallest counts.
 */
export class ReplicaList {
  readonly #options: ReplicaListOptions
  readonly #clock: Clock
  #granted = NOTHING
  #part = NOTHING
  /** The total that counts, and whether replicas differ in it: what was told last. */
  #agreed: { readonly total: Connections; readonly differ: boolean }
  /** Since when there has been nothing, and whether that was said. */
  #without: { readonly since: number; reason: ShareWait | null } | null = null
  /** What our row says that we hold. */
  #said = NOTHING
  #beatAt: number | null = null
  #cautiousUntil = Number.NEGATIVE_INFINITY
  /** How long before now somebody may have been heard of last, and live. */
  #heardWithinMs = 0

  constructor(options: ReplicaListOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#agreed = { total: options.share.total, differ: false }
  }

  /** What this process waits for; null while it holds connections. */
  get waitsFor(): ShareWait | null {
    if (hasAny(this.#granted)) return null
    return hasAny(this.#part) ? 'held-by-others' : 'more-replicas-than-connections'
  }

  /** True while others still hold what is our part. */
  get isShort(): boolean {
    const { max, maxPerServer } = this.#granted
    return this.#part.max > max || this.#part.maxPerServer > maxPerServer
  }

  /** False for some seconds after the catalog could not be reached: others may live that have not been heard of since. */
  get isSteady(): boolean {
    return this.#clock.monotonic() >= this.#cautiousUntil
  }

  /** Has the others see that this process lives for as long as `client` is connected to the catalog. */
  async showLife(client: pg.ClientBase): Promise<void> {
    const { replicaId } = this.#options
    await client.query(`select pg_advisory_lock_shared(${LIFE_LOCKS}, hashtext($1::text))`, [replicaId])
  }

  /** Puts this replica on the list, and takes those off that died without a word long ago. @throws PublicError CATALOG_UNAVAILABLE */
  async join(applied: Position): Promise<void> {
    await this.heartbeat(applied)
    // The others let go of our part when they see us.
    await this.#wakeOthers()
    const dead = lt(replicas.heartbeatAt, sql`now() - interval '1 day'`)
    await catalogErrors(this.#options.store.db.delete(replicas).where(dead))
  }

  /** Shows that this replica lives, and settles its share. @throws PublicError CATALOG_UNAVAILABLE */
  async heartbeat(applied: Position): Promise<void> {
    const others = await this.#beat(applied)
    if (others.some(({ isAhead }) => isAhead)) await this.#putBack()
    this.#agree(others)
    this.#part = this.#partAmong(others)
    const kept = lesser(this.#part, this.#granted)
    if (!isSame(kept, this.#granted)) await this.#shrink(kept, applied)
    // That we get no more of them now is no reason not to follow the changes.
    if (this.isShort) await this.#grow().catch(() => undefined)
    this.#noteWait()
  }

  /** Takes this replica off the list; to be called when it holds no connections any more. @throws PublicError CATALOG_UNAVAILABLE */
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

  /** One statement: our row is written, the others' are read. */
  async #beat(applied: Position): Promise<Other[]> {
    const { store, replicaId, primaryKeyId = null, share, skew } = this.#options
    // What is open beyond the share is still held, and nobody else may have it yet.
    const held = share.isWithin() ? this.#granted : greater(this.#said, this.#granted)
    const { max: connectionLimit, maxPerServer: serverLimit } = share.total
    const came = { appliedSeq: applied.seq, appliedId: applied.id }
    const row = {
      heartbeatAt: sql`now()`,
      ...came,
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
    // Joined, so that the time is told also where there are no others.
    const query = store.db.with(ours).select({ at: ours.at, other: otherColumns }).from(ours)
    const rows = await catalogErrors(query.leftJoin(replicas, this.#others()))
    const [first] = rows
    if (asked !== undefined && first !== undefined) skew?.answered(asked, first.at)
    this.#said = held
    this.#beatAt = this.#clock.monotonic()
    return rows.flatMap(({ other }) => (other === null ? [] : [other]))
  }

  /** Those who live say so again within a second; those who do not would be waited for until the clock has caught up. */
  async #putBack(): Promise<void> {
    const update = this.#options.store.db.update(replicas).set({ heartbeatAt: sql`now()` })
    await catalogErrors(update.where(IS_AHEAD))
  }

  /** While we could not be heard of the others could not either: for a while those still count who did before. */
  #noteBeat(): void {
    if (this.#beatAt === null) return
    const now = this.#clock.monotonic()
    const gapMs = now - this.#beatAt
    if (gapMs <= GAP_MS) return
    this.#cautiousUntil = now + CAUTION_MS
    this.#heardWithinMs = Math.ceil(gapMs) + CAUTION_MS + LIVE_MS
  }

  #others(): SQL | undefined {
    const may = this.isSteady ? isHolding : beatWithin(this.#heardWithinMs)
    return and(ne(replicas.id, this.#options.replicaId), may)
  }

  /** Lets go of what is beyond our part, and tells those who wait for it. */
  async #shrink(kept: Connections, applied: Position): Promise<void> {
    const { share, closingMs = CLOSING_MS } = this.#options
    this.#grant(kept)
    const deadline = this.#clock.monotonic() + closingMs
    while (!share.isWithin() && this.#clock.monotonic() < deadline) await delay(CLOSING_POLL_MS)
    await this.#beat(applied)
    await this.#wakeOthers()
  }

  /** Takes what the others have let go of, up to our part. Not at all while another replica is at it. */
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
    // Before it is known to be written: said too much is put right by the next heartbeat, said too little would be wrong.
    this.#said = greater(this.#said, granted)
    await tx.update(replicas).set(columnsOf(this.#said)).where(eq(replicas.id, replicaId))
    return granted
  }

  async #wakeOthers(): Promise<void> {
    await catalogErrors(this.#options.store.db.execute(sql`select pg_notify(${CHANNEL}, '')`))
  }

  #partAmong(others: readonly Other[]): Connections {
    const { share, replicaId } = this.#options
    const ids = [replicaId, ...others.map(({ id }) => id)]
    const { max, maxPerServer } = smallestTotal(share.total, others)
    return { max: partOf(max, ids, replicaId), maxPerServer: partOf(maxPerServer, ids, replicaId) }
  }

  #agree(others: readonly Other[]): void {
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

  /** Who has nothing says so, once for each reason; not at once, for everybody begins with nothing. */
  #noteWait(): void {
    const reason = this.waitsFor
    if (reason === null) {
      this.#without = null
      return
    }
    const now = this.#clock.monotonic()
    this.#without ??= { since: now, reason: null }
    if (now - this.#without.since < PATIENCE_MS || this.#without.reason === reason) return
    this.#without.reason = reason
    this.#options.share.onWait?.(reason)
  }

  #grant(connections: Connections): void {
    this.#granted = connections
    this.#options.share.grant(connections)
  }
}

const otherColumns = {
  ...{ id: replicas.id, max: replicas.connectionShare, maxPerServer: replicas.serverShare },
  ...{ limit: replicas.connectionLimit, limitPerServer: replicas.serverLimit },
  isAhead: IS_AHEAD,
}

function columnsOf({ max, maxPerServer }: Connections) {
  return { connectionShare: max, serverShare: maxPerServer }
}

function lesser(one: Connections, other: Connections): Connections {
  return {
    max: Math.min(one.max, other.max),
    maxPerServer: Math.min(one.maxPerServer, other.maxPerServer),
  }
}

function greater(one: Connections, other: Connections): Connections {
  return {
    max: Math.max(one.max, other.max),
    maxPerServer: Math.max(one.maxPerServer, other.maxPerServer),
  }
}

/** Without a connection to any server there is none at all. */
function hasAny({ max, maxPerServer }: Connections): boolean {
  return max > 0 && maxPerServer > 0
}

function isSame(one: Connections, other: Connections): boolean {
  return one.max === other.max && one.maxPerServer === other.maxPerServer
}
