import { setTimeout as delay } from 'node:timers/promises'
import { and, eq, lt, ne, type SQLWrapper, sql } from 'drizzle-orm'
import type pg from 'pg'
import { systemClock } from '../lib/clock.ts'
import { CHANNEL } from './change-listener.ts'
import { replicas } from './schema.ts'
import { type CatalogStore, catalogErrors } from './store.ts'

/** What this process holds of the connections that all replicas have together. */
export interface ConnectionShare {
  /** How many connections all replicas together may hold. */
  readonly total: number
  /** How many this process holds open now. */
  readonly open: () => number
  /** From now on this process may hold so many, and asks for no more than its part. */
  readonly grant: (connections: number) => void
}

export interface ReplicaListOptions {
  readonly store: CatalogStore
  /** This process, as a UUID. */
  readonly replicaId: string
  /** Fingerprint of the master key under which this process seals: told to the others with each heartbeat. */
  readonly primaryKeyId?: string
  readonly share: ConnectionShare
  /** How long to wait for the connections beyond a share that shrank, before it is said what is still open. */
  readonly closingMs?: number
}

/** How many of the live replicas apply a change. */
export interface Confirmations {
  readonly replicas: number
  readonly confirmed: number
}

/** Another replica, and how many connections it says that it may still hold. */
interface Other {
  readonly id: string
  readonly share: number
}

// Any number will do that no other advisory lock of the catalog has: 'fhsh' in ASCII.
const SHARES_LOCK = 0x66687368
/** Whose heartbeat is older does not count when a change is to be confirmed. */
export const IS_LIVE = sql`${replicas.heartbeatAt} > now() - interval '10 seconds'`
// As above: 'fhlv'. Each replica's lock under it goes with its process, at once, which no heartbeat tells so soon.
const LIFE_LOCKS = 0x66686c76
const lockOf = (id: SQLWrapper) => sql`hashtext(${id}::text)`
const hasLock = sql`exists (
  select from pg_locks
  where locktype = 'advisory' and objsubid = 2 and classid = ${LIFE_LOCKS}::bigint::oid
    and objid = (${lockOf(replicas.id)}::bigint & 4294967295)::oid
    and database = (select oid from pg_database where datname = current_database()))`
/**
 * Who may still have connections of its share: not who has missed three heartbeats, and not who has missed one and has no
 * lock either. Whoever starts again after a crash waits for that.
 */
const holding = sql`${replicas.heartbeatAt} > now() - interval '3 seconds'
  and (${replicas.heartbeatAt} > now() - interval '1.5 seconds' or ${hasLock})`
/** Idle ones are closed by then; those in use are told of with a later heartbeat. */
const CLOSING_MS = 250
const CLOSING_POLL_MS = 10

/**
 * The part of `total` that falls to a replica: all parts are whole, differ by at most one, and add up to `total`.
 * `ids` are those of all live replicas, in any order.
 */
export function partOf(total: number, ids: readonly string[], id: string): number {
  const rank = ids.toSorted().indexOf(id)
  return Math.floor(total / ids.length) + (rank < total % ids.length ? 1 : 0)
}

/**
 * This process among those that live: shows that it lives and how far it has followed the changes, and agrees with the
 * others on who may hold how many connections.
 *
 * A share shrinks at once and is said to have shrunk when the connections beyond it are closed; it grows only under a
 * lock, into what the others say they do not hold. So the shares never add up to more than the total, also while
 * replicas come and go; who comes gets its part as the others let go of theirs.
 */
export class ReplicaList {
  readonly #options: ReplicaListOptions
  #granted = 0
  #part = 0

  constructor(options: ReplicaListOptions) {
    this.#options = options
  }

  /** True while others still hold what is our part. */
  get isShort(): boolean {
    return this.#part > this.#granted
  }

  /** Has the others see that this process lives for as long as `client` is connected to the catalog. */
  async showLife(client: pg.ClientBase): Promise<void> {
    const { replicaId } = this.#options
    await client.query(`select pg_advisory_lock_shared(${LIFE_LOCKS}, hashtext($1::text))`, [replicaId])
  }

  /** Puts this replica on the list, and takes those off that died without a word long ago. @throws PublicError CATALOG_UNAVAILABLE */
  async join(appliedSeq: number): Promise<void> {
    await this.heartbeat(appliedSeq)
    // The others let go of our part when they see us.
    await this.#wakeOthers()
    const dead = lt(replicas.heartbeatAt, sql`now() - interval '1 day'`)
    await catalogErrors(this.#options.store.db.delete(replicas).where(dead))
  }

  /** Shows that this replica lives, and settles its share. @throws PublicError CATALOG_UNAVAILABLE */
  async heartbeat(appliedSeq: number): Promise<void> {
    const others = await this.#beat(appliedSeq)
    this.#part = this.#partAmong(others)
    if (this.#part < this.#granted) await this.#shrink(this.#part, appliedSeq)
    else if (this.isShort) await this.#grow()
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
      confirmed: sql<number>`(count(*) filter (where ${replicas.appliedSeq} >= ${seq}))::int`,
    }
    const [row] = await catalogErrors(this.#options.store.db.select(counts).from(replicas).where(IS_LIVE))
    return row ?? { replicas: 0, confirmed: 0 }
  }

  /** One statement: our row is written, the others' are read. */
  async #beat(appliedSeq: number): Promise<Other[]> {
    const { store, replicaId, primaryKeyId = null, share } = this.#options
    const now = {
      heartbeatAt: sql`now()`,
      ...{ appliedSeq, primaryKeyId },
      // What is open beyond the share is still held, and nobody else may have it yet.
      connectionShare: Math.max(this.#granted, share.open()),
    }
    const ours = store.db.$with('ours').as(
      store.db
        .insert(replicas)
        .values({ id: replicaId, ...now })
        .onConflictDoUpdate({ target: replicas.id, set: now })
        .returning({ id: replicas.id }),
    )
    const query = store.db.with(ours).select(otherColumns).from(replicas)
    return catalogErrors(query.where(and(ne(replicas.id, replicaId), holding)))
  }

  /** Lets go of what is beyond our part, and tells those who wait for it. */
  async #shrink(part: number, appliedSeq: number): Promise<void> {
    const { share, closingMs = CLOSING_MS } = this.#options
    this.#grant(part)
    const deadline = systemClock.monotonic() + closingMs
    while (share.open() > part && systemClock.monotonic() < deadline) await delay(CLOSING_POLL_MS)
    await this.#beat(appliedSeq)
    await this.#wakeOthers()
  }

  /** Takes what the others have let go of, up to our part. */
  async #grow(): Promise<void> {
    const { store, replicaId, share } = this.#options
    const granted = await store.transaction(async (tx) => {
      await tx.execute(sql`select pg_advisory_xact_lock(${SHARES_LOCK}::bigint)`)
      const others = await tx
        .select(otherColumns)
        .from(replicas)
        .where(and(ne(replicas.id, replicaId), holding))
      const taken = others.reduce((sum, other) => sum + other.share, 0)
      const free = Math.max(0, share.total - taken)
      const connectionShare = Math.max(this.#granted, Math.min(this.#partAmong(others), free))
      await tx.update(replicas).set({ connectionShare }).where(eq(replicas.id, replicaId))
      return connectionShare
    })
    if (granted !== this.#granted) this.#grant(granted)
  }

  async #wakeOthers(): Promise<void> {
    await catalogErrors(this.#options.store.db.execute(sql`select pg_notify(${CHANNEL}, '')`))
  }

  #partAmong(others: readonly Other[]): number {
    const { share, replicaId } = this.#options
    return partOf(share.total, [replicaId, ...others.map(({ id }) => id)], replicaId)
  }

  #grant(connections: number): void {
    this.#granted = connections
    this.#options.share.grant(connections)
  }
}

const otherColumns = { id: replicas.id, share: replicas.connectionShare }
