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
import { type Confirmations, LIVE_MS, type ReplicaList } from './replicas.ts'
import type { ChangeKind } from './schema.ts'

export type { CatalogChange } from '../history.ts'

export interface FollowerOptions {
  store: CatalogStore
  /** Opens the connection that listens; see `connectClient`, whose limits bound it in time. */
  listenTarget: () => Promise<pg.Client>
  /** This process among the others. */
  replicas: ReplicaList
  log: ChangeLog
  /** How long to go without reading when nothing wakes us. */
  pollMs?: number
  /** How long after an attempt to read the changes what is known may be used without asking. */
  trustedMs?: number
}

// Any number will do that no other advisory lock of the catalog has: 'fhch' in ASCII.
const CHANGES_LOCK = 0x66686368
const POLL_MS = 2000
const HEARTBEAT_MS = 1000
const SHORT_OF_CONNECTIONS_MS = 200
const BATCH = 500
const CONFIRMATION_POLL_MS = 25
/** A replica that does not follow is not asked for more often, however many revocations wait for it. */
const CONFIRMATION_POLL_MAX_MS = 200
/** The others count this replica for longer, by as much as a statement may be on its way. */
const TRUSTED_MS = LIVE_MS - 2_000

/**
 * Adds a row to the change log and wakes the followers when the transaction commits. Answers its number. It holds the
 * lock that makes the numbers gap-free until then, so it comes last in a transaction.
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

/** As `recordChange`, for several subjects of one kind: one row each, in their order. Answers their numbers. */
export async function recordChanges(
  tx: CatalogTx,
  { kind, tenantId }: { kind: ChangeKind; tenantId: string | null },
  subjectIds: readonly (string | null)[],
): Promise<number[]> {
  if (subjectIds.length === 0) return []
  await tx.execute(sql`select pg_advisory_xact_lock(${CHANGES_LOCK}::bigint)`)
  // A statement of its own: its snapshot, taken under the lock, sees the row of whoever held the lock before.
  // All subjects as one parameter: of these a statement has room for 65,535, and a role may have more holders than that.
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

/** What was applied to all that begins from now on, while something that began before is still under way. */
interface Settling {
  /** How far this replica had come before it. */
  readonly before: Position
}

/**
 * Reads the change log in order, tells what it read, and writes down how far it came.
 *
 *   stopped ──start──▶ following: (wait for a wake or the poll) → read to the end → heartbeat → …  ──stop──▶ stopped
 *
 * Notifications only wake it: what counts is what stands in the table after the last change applied. Each reading begins
 * with that change: where it is gone, or another one, the log is not the one that was followed, and all was missed.
 */
export class ChangeFollower {
  /** Whether what is cached here may be used without asking the catalog first. */
  readonly freshness: CatalogFreshness
  readonly #options: FollowerOptions
  readonly #listener: ChangeListener
  readonly #onChange: ((change: CatalogChange) => unknown)[] = []
  /** In the order in which they began. */
  readonly #settling = new Set<Settling>()
  readonly #onGap: (() => unknown)[] = []
  readonly #onReached: (() => void)[] = []
  #applied = BEGINNING
  /** How many times another log was found in the place of the one that was followed. */
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
   * Called for each change, in order. Must neither throw nor reject. If it returns a promise, the changes that follow do not
   * wait for it, but this one is not confirmed before it resolves.
   */
  onChange(fn: (change: CatalogChange) => unknown): void {
    this.#onChange.push(fn)
  }

  /**
   * Called when changes were missed for good (the log is not the one that was followed): forget everything cached. Must
   * neither throw nor reject; a promise is waited for as in `onChange`.
   */
  onGap(fn: () => unknown): void {
    this.#onGap.push(fn)
  }

  /** Called whenever the end of the log has been reached: what is cached now is what the catalog says. */
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

  /** Whether notifications arrive; without them changes are seen at the next poll. */
  get listening(): boolean {
    return this.#listener.listening
  }

  /**
   * Begins at the present end of the log: caches must be empty. Resolves once this replica is counted.
   *
   * @throws PublicError CATALOG_UNAVAILABLE
   */
  async start(): Promise<void> {
    // A start of the gateway that failed later is tried again as a whole.
    if (this.#following !== null) return
    // LISTEN first: what is committed between it and the read wakes us again.
    await this.#listener.start()
    const begun = this.freshness.now()
    try {
      this.#applied = await endOfLog(this.#options.store)
      await this.#options.replicas.join(this.#applied)
    } catch (error) {
      await this.#listener.stop()
      throw error
    }
    this.#reached(begun)
    this.#following = this.#follow()
  }

  /** Stops following and takes this replica off the list. */
  async stop(): Promise<void> {
    this.#stopping = true
    this.#woken.resolve()
    await this.#following
    await this.#listener.stop()
    const { replicas, log } = this.#options
    await replicas.leave().catch((err: unknown) => log.warn({ err }, 'could not leave the list of replicas'))
  }

  /**
   * Waits until every live replica has applied `seq` (null: all that is in the log now), at most `timeoutMs`; answers how
   * many of how many have. None, if the log was replaced meanwhile: the change of that number may be lost.
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
      // After an outage those who live have to be heard of first.
      if ((isAll && replicas.isSteady) || systemClock.monotonic() >= deadline) return counted
      await pause(pauseMs)
    }
  }

  async #follow(): Promise<void> {
    while (!this.#stopping) {
      await this.#wakeOrPoll()
      if (this.#stopping) return
      const begun = this.freshness.now()
      try {
        await this.#catchUp()
        await this.#options.replicas.heartbeat(this.#confirmed)
        this.#reached(begun)
      } catch (err) {
        this.#options.log.warn({ err }, 'could not read the catalog changes')
        this.freshness.failed(begun, this.#applied)
      }
    }
  }

  /** Wakes that arrive while we read are one wake: the promise is renewed before the read, not after. */
  async #wakeOrPoll(): Promise<void> {
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
      if (changes === null) return this.#beginAnew()
      for (const change of changes) this.#apply(change)
      if (changes.length < BATCH) return
      await this.#options.replicas.heartbeat(this.#confirmed)
    }
  }

  /** Nothing is known of what led to the present end of the log: forgets everything, and goes on from there. */
  async #beginAnew(): Promise<void> {
    // Read before the caches are emptied: what they read again is then never older than this end.
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

  /** What has come so far is not confirmed beyond the present position before `settled` resolves. */
  #holdBack(settled: unknown): void {
    if (!(settled instanceof Promise)) return
    const held = { before: this.#applied }
    this.#settling.add(held)
    void settled.then(() => {
      this.#settling.delete(held)
      this.#woken.resolve()
    })
  }

  /** The last change up to which this replica is done with all: what began first and is not settled decides. */
  get #confirmed(): Position {
    for (const { before } of this.#settling) return before
    return this.#applied
  }

  #reached(begun: Moment): void {
    this.#lastReachedAt = systemClock.now()
    this.freshness.reached(begun, this.#applied)
    for (const tell of this.#onReached) tell()
  }
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms))
}
