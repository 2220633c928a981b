import { sql } from 'drizzle-orm'
import type pg from 'pg'
import { systemClock } from '../../lib/clock.ts'
import {
  BEGINNING,
  type CatalogChange,
  changesAfter,
  endOfLog,
  type LoggedChange,
  type Position,
} from '../history.ts'
import type { CatalogStore, CatalogTx } from '../store.ts'
import { CatalogFreshness, type Moment } from './freshness.ts'
import { CHANNEL, ChangeListener, type ChangeLog } from './listener.ts'
import { LIVE_MS } from './live-replicas.ts'
import type { Confirmations, ReplicaList } from './replicas.ts'
import type { ChangeKind } from './schema.ts'

export type { CatalogChange } from '../history.ts'

export interface FollowerOptions {
  store: CatalogStore
  /** Opens the connection that listens; see `connectClient`, whose limits bound it in time. */
  listenTarget: () => Promise<pg.Client>
  /** This process in the list of live replicas. */
  replicas: ReplicaList
  log: ChangeLog
  /** How long to wait for a notification before the log is read anyway. */
  pollMs?: number
  /** How long after an attempt to read the changes the caches may be used without asking the catalog. */
  trustedMs?: number
}

// A number that no other advisory lock of the catalog has: 'fhch' in ASCII.
const CHANGES_LOCK = 0x66686368
const POLL_MS = 2000
const HEARTBEAT_MS = 1000
const SHORT_OF_CONNECTIONS_MS = 200
const BATCH = 500
const CONFIRMATION_POLL_MS = 25
/** The longest pause between two counts of confirmations, so that a replica that hangs does not cause many queries. */
const CONFIRMATION_POLL_MAX_MS = 200
/** Shorter than the time for which other replicas count this one as alive, because a statement may still be under way. */
const TRUSTED_MS = LIVE_MS - 2_000

/**
 * Adds a row to the change log, and returns its number. The commit of the transaction wakes the followers. Until then the
 * transaction holds the lock that keeps the numbers gap-free, so call this last.
 */
export async function recordChange(
  tx: CatalogTx,
  change: { kind: ChangeKind; tenantId: string | null; subjectId?: string },
): Promise<number> {
  const { kind, tenantId, subjectId = null } = change
  const [seq] = await recordChanges(tx, { kind, tenantId }, [subjectId])
  if (seq === undefined) throw new Error('the change was not recorded')
  return seq
}

/** As `recordChange`, for several subjects of one kind: one row each, in the given order. Returns the numbers of the rows. */
export async function recordChanges(
  tx: CatalogTx,
  { kind, tenantId }: { kind: ChangeKind; tenantId: string | null },
  subjectIds: readonly (string | null)[],
): Promise<number[]> {
  if (subjectIds.length === 0) return []
  await tx.execute(sql`select pg_advisory_xact_lock(${CHANGES_LOCK}::bigint)`)
  // A separate statement: its snapshot is taken under the lock, so it sees the rows of the previous holder.
  // All subjects in one parameter: a statement has at most 65,535 parameters, and a role may have more holders.
  const { rows } = await tx.execute<{ seq: string }>(sql`
    insert into catalog_changes (seq, kind, tenant_id, subject_id)
    select (select coalesce(max(seq), 0) from catalog_changes) + ord, ${kind}::text, ${tenantId}::uuid, subject
    from unnest(${sql.param([...subjectIds])}::text[]) with ordinality as subjects (subject, ord)
    order by ord
    returning seq`)
  const numbers = rows.map(({ seq }) => Number(seq)).toSorted((a, b) => a - b)
  await tx.execute(sql`select pg_notify(${CHANNEL}, ${String(numbers.at(-1))})`)
  return numbers
}

/** A change whose listeners have not finished. New requests see the change; older ones may still run. */
interface PendingChange {
  /** The position of this replica before the change. */
  readonly before: Position
}

/**
 * Reads the change log in order, calls the listeners for each change, and records how far it has come.
 *
 *   stopped ──start──▶ following: (wait for a wake or the poll) → read to the end → heartbeat → …  ──stop──▶ stopped
 *
 * A notification only wakes the follower. It reads the changes from the table. Each read begins with the last change that was
 * applied. If that change is gone or has another id, the log was replaced, and all changes since then were missed.
 */
export class ChangeFollower {
  /** True if the caches may be used without asking the catalog first. */
  readonly freshness: CatalogFreshness
  readonly #options: FollowerOptions
  readonly #listener: ChangeListener
  readonly #onChange: ((change: CatalogChange) => unknown)[] = []
  /** In the order in which they started. */
  readonly #pending = new Set<PendingChange>()
  readonly #onGap: (() => unknown)[] = []
  readonly #onReached: (() => void)[] = []
  #applied = BEGINNING
  /** How many times the log was found replaced by another one. */
  #gaps = 0
  #lastReachedAt = 0
  #stopping = false
  #woken = Promise.withResolvers<void>()
  #following: Promise<void> | null = null

  constructor(options: FollowerOptions) {
    this.#options = options
    const wake = () => this.#woken.resolve()
    this.#listener = new ChangeListener({ connect: options.listenTarget, wake, log: options.log })
    this.freshness = new CatalogFreshness({ trustedMs: options.trustedMs ?? TRUSTED_MS, wake })
  }

  /**
   * Called for each change, in order. Must neither throw nor reject. If it returns a promise, later changes do not wait for it,
   * but this change is not confirmed before it resolves.
   */
  onChange(fn: (change: CatalogChange) => unknown): void {
    this.#onChange.push(fn)
  }

  /**
   * Called when changes were missed because the log was replaced: empty all caches. Must neither throw nor reject; a promise
   * delays confirmations as in `onChange`.
   */
  onGap(fn: () => unknown): void {
    this.#onGap.push(fn)
  }

  /** Called when the end of the log is reached: the caches agree with the catalog. */
  onReached(fn: () => void): void {
    this.#onReached.push(fn)
  }

  /** The last change that was applied here. */
  get appliedSeq(): number {
    return this.#applied.seq
  }

  /** When the end of the log was last reached, in milliseconds since 1970; 0 before that. */
  get lastReachedAt(): number {
    return this.#lastReachedAt
  }

  /** True if notifications arrive. Without them changes are seen at the next poll. */
  get listening(): boolean {
    return this.#listener.listening
  }

  /**
   * Starts at the current end of the log, so the caches must be empty. Resolves when this replica is in the list.
   *
   * @throws PublicError CATALOG_UNAVAILABLE
   */
  async start(): Promise<void> {
    // If the start of the gateway fails later, the whole start is repeated.
    if (this.#following !== null) return
    // LISTEN first: then a change that commits before the read sends a notification.
    await this.#listener.start()
    const startedAt = this.freshness.now()
    try {
      this.#applied = await endOfLog(this.#options.store)
      await this.#options.replicas.join(this.#applied)
    } catch (error) {
      await this.#listener.stop()
      throw error
    }
    this.#reached(startedAt)
    this.#following = this.#follow()
  }

  /** Stops following and removes this replica from the list. */
  async stop(): Promise<void> {
    this.#stopping = true
    this.#woken.resolve()
    await this.#following
    await this.#listener.stop()
    const { replicas, log } = this.#options
    await replicas.leave().catch((err: unknown) => log.warn({ err }, 'could not leave the list of replicas'))
  }

  /**
   * Waits until every live replica has applied `seq` (null: the current end of the log), at most `timeoutMs`. Returns how many
   * of them have. Zero if the log was replaced meanwhile: then the change with that number may be lost.
   */
  async confirmations(seq: number | null, timeoutMs: number): Promise<Confirmations> {
    const deadline = systemClock.monotonic() + timeoutMs
    const gaps = this.#gaps
    this.#woken.resolve()
    const awaited = seq ?? (await endOfLog(this.#options.store)).seq
    for (let pauseMs = CONFIRMATION_POLL_MS; ; pauseMs = Math.min(pauseMs * 2, CONFIRMATION_POLL_MAX_MS)) {
      const { replicas } = this.#options
      const counted = await replicas.count(awaited)
      if (gaps !== this.#gaps) return { ...counted, confirmed: 0 }
      const isAll = counted.confirmed === counted.replicas && counted.replicas > 0
      // After an outage, wait for the heartbeats of all live replicas first.
      if ((isAll && replicas.isSteady) || systemClock.monotonic() >= deadline) return counted
      await pause(pauseMs)
    }
  }

  async #follow(): Promise<void> {
    while (!this.#stopping) {
      await this.#waitForWakeOrPoll()
      if (this.#stopping) return
      const startedAt = this.freshness.now()
      try {
        await this.#catchUp()
        await this.#options.replicas.heartbeat(this.#confirmed)
        this.#reached(startedAt)
      } catch (err) {
        this.#options.log.warn({ err }, 'could not read the catalog changes')
        this.freshness.failed(startedAt, this.#applied)
      }
    }
  }

  /** Several wakes during one read count as one. The promise is renewed before the read, so that no wake is lost. */
  async #waitForWakeOrPoll(): Promise<void> {
    const { pollMs = POLL_MS, replicas } = this.#options
    const waitMs = Math.min(pollMs, replicas.isShort ? SHORT_OF_CONNECTIONS_MS : HEARTBEAT_MS)
    const timer = setTimeout(() => this.#woken.resolve(), waitMs)
    await this.#woken.promise
    clearTimeout(timer)
    this.#woken = Promise.withResolvers()
  }

  async #catchUp(): Promise<void> {
    for (;;) {
      const changes = await changesAfter(this.#options.store, this.#applied, BATCH)
      if (changes === null) return this.#restart()
      for (const change of changes) this.#apply(change)
      if (changes.length < BATCH) return
      await this.#options.replicas.heartbeat(this.#confirmed)
    }
  }

  /** Empties all caches and goes on from the current end of the log. */
  async #restart(): Promise<void> {
    // Read before the caches are emptied: what they load afterwards is never older than this end.
    const end = await endOfLog(this.#options.store)
    const { seq: appliedSeq } = this.#applied
    this.#options.log.warn({ appliedSeq, lastSeq: end.seq }, 'catalog changes were missed')
    for (const tell of this.#onGap) this.#holdBack(tell())
    this.#applied = end
    this.#gaps += 1
  }

  #apply(change: LoggedChange): void {
    for (const tell of this.#onChange) this.#holdBack(tell(change))
    this.#applied = { seq: change.seq, id: change.id }
  }

  /** Confirms nothing beyond the current position before `finished` resolves. */
  #holdBack(finished: unknown): void {
    if (!(finished instanceof Promise)) return
    const held = { before: this.#applied }
    this.#pending.add(held)
    void finished.then(() => {
      this.#pending.delete(held)
      this.#woken.resolve()
    })
  }

  /** The last change that this replica may confirm: the one before the oldest change whose listeners have not finished. */
  get #confirmed(): Position {
    for (const { before } of this.#pending) return before
    return this.#applied
  }

  #reached(startedAt: Moment): void {
    this.#lastReachedAt = systemClock.now()
    this.freshness.reached(startedAt, this.#applied)
    for (const tell of this.#onReached) tell()
  }
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms))
}
