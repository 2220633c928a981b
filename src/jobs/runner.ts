import {
  claimJobs,
  endJob,
  giveJobBack,
  type Job,
  type JobEnd,
  type JobError,
  type JobNote,
  type JobRef,
  noteJob,
  renewJobs,
} from '../catalog/jobs/queue.ts'
import type { CatalogStore, CatalogTx } from '../catalog/store.ts'
import { ERROR_TABLE, PublicError } from '../errors.ts'
import { systemClock } from '../lib/clock.ts'
import { Worker } from './worker.ts'

/**
 * The outcome of a claim. `ended`: the handler has ended the job itself, in the transaction of its result. Null if it had lost the
 * claim. `retryInMs`: any replica may continue after that pause.
 */
export type JobOutcome =
  | { readonly ended: JobEnd['status'] | null }
  | { readonly result: Record<string, unknown> | null }
  | { readonly error: JobError; readonly result?: Record<string, unknown> }
  | { readonly retryInMs: number; readonly error?: JobError }

export interface RunningJob {
  readonly job: Job
  /** Aborts if the job is cancelled, if another replica has taken it over and, for some kinds, if this process ends. */
  readonly signal: AbortSignal
  /** Records the progress of the job. Does nothing once the claim is lost. */
  note(how: JobNote): Promise<void>
}

/** Does the work of one kind of job. Each step must be repeatable: a job may start again after any step. */
export interface JobHandler {
  readonly kind: string
  readonly concurrency: number
  /** If true, the end of this process aborts the work. Otherwise the shutdown waits for it within its grace period. */
  readonly endsWithProcess: boolean
  readonly run: (running: RunningJob) => Promise<JobOutcome>
  /** Ends a cancelled job and undoes its unfinished work. Returns false if the claim is lost. */
  readonly cancel?: (tx: CatalogTx, job: Job) => Promise<boolean>
}

export interface JobRunnerOptions {
  readonly store: CatalogStore
  readonly replicaId: string
  readonly handlers: readonly JobHandler[]
  /** The capabilities of this replica. It claims only jobs whose `needs` are among them. */
  readonly knows: () => readonly string[]
  /** Never rejects. */
  readonly onEnd: (job: Job, outcome: JobEnd['status'] | 'retried', seconds: number) => Promise<void>
  readonly log: {
    error(fields: object, message: string): void
    warn(fields: object, message: string): void
  }
  readonly leaseMs?: number
  readonly renewMs?: number
  readonly pollMs?: number
}

type Stop = 'cancelled' | 'lost' | 'leaving'

interface Claimed {
  readonly ref: JobRef
  readonly handler: JobHandler
  readonly stopping: AbortController
}

/** If the replica that works on a job dies, another replica takes over within this time. */
const LEASE_MS = 10_000
/** Also the longest time until a running job notices that it was cancelled. */
const RENEW_MS = 1_000
const POLL_MS = 1_000
const FIRST_RETRY_MS = 1_000
const LONGEST_RETRY_MS = 60_000

/**
 * Works on the catalog's jobs: claims due jobs by kind, renews the leases of running ones, and stops jobs that were cancelled or
 * taken over.
 *
 *   queued ──claim──▶ running ──▶ succeeded | failed | cancelled
 *      ▲                 │  └──lease over──▶ claimed by another replica, under the next number
 *      └──given back─────┘
 */
export class JobRunner {
  readonly #options: JobRunnerOptions
  readonly #workers = new Map<string, Worker<Job>>()
  readonly #claimed = new Map<string, Claimed>()
  #renewal: NodeJS.Timeout | null = null
  #renewing = false

  constructor(options: JobRunnerOptions) {
    this.#options = options
    for (const handler of options.handlers) this.#workers.set(handler.kind, this.#workerFor(handler))
  }

  start(): void {
    const { renewMs = RENEW_MS } = this.#options
    this.#renewal = setInterval(() => void this.#renew(), renewMs)
    for (const worker of this.#workers.values()) worker.start()
  }

  /** Looks for jobs of a kind now, or of all. */
  wake(kind?: string): void {
    if (kind !== undefined) this.#workers.get(kind)?.wake()
    else for (const worker of this.#workers.values()) worker.wake()
  }

  /** Claims no more jobs, and resolves when no job runs. Jobs that can be aborted go back to the other replicas. */
  async stop(): Promise<void> {
    const stopped = [...this.#workers.values()].map((worker) => worker.stop())
    for (const { handler, stopping } of this.#claimed.values()) {
      if (handler.endsWithProcess) stopping.abort('leaving' satisfies Stop)
    }
    await Promise.all(stopped)
    if (this.#renewal !== null) clearInterval(this.#renewal)
  }

  #workerFor(handler: JobHandler): Worker<Job> {
    const { store, replicaId, knows, log, leaseMs = LEASE_MS, pollMs = POLL_MS } = this.#options
    const { kind, concurrency } = handler
    return new Worker({
      claim: (limit) => claimJobs(store.db, { kind, knows: knows(), replicaId, limit, leaseMs }),
      run: (job) => this.#run(handler, job),
      onError: (err) => log.error({ kind, err }, 'jobs not claimed'),
      concurrency,
      pollMs,
    })
  }

  async #run(handler: JobHandler, job: Job): Promise<void> {
    const startedAt = systemClock.monotonic()
    const key = `${job.id}:${job.attempts}`
    const stopping = new AbortController()
    this.#claimed.set(key, { ref: job, handler, stopping })
    if (job.cancelRequested) stopping.abort('cancelled' satisfies Stop)
    try {
      const ended = await this.#attempt(handler, job, stopping.signal)
      if (ended !== null) await this.#options.onEnd(job, ended, (systemClock.monotonic() - startedAt) / 1_000)
    } catch (err) {
      // The catalog does not answer. The lease will end, and the job is claimed again.
      this.#options.log.error({ jobId: job.id, kind: job.kind, err }, 'job not recorded')
    } finally {
      this.#claimed.delete(key)
    }
  }

  async #attempt(
    handler: JobHandler,
    job: Job,
    signal: AbortSignal,
  ): Promise<JobEnd['status'] | 'retried' | null> {
    if (signal.aborted) return this.#endAborted(handler, job, signal)
    try {
      const outcome = await handler.run({ job, signal, note: (how) => this.#note(job, how) })
      return await this.#recordOutcome(job, outcome)
    } catch (err) {
      if (signal.aborted) return this.#endAborted(handler, job, signal)
      const { id: jobId, kind, tenantId, attempts } = job
      this.#options.log.error({ jobId, kind, tenantId, attempts, err }, 'job interrupted')
      const again = { dueInMs: retryDelayMs(attempts), error: jobErrorOf(err) }
      return (await giveJobBack(this.#options.store.db, job, again)) ? 'retried' : null
    }
  }

  async #recordOutcome(job: Job, outcome: JobOutcome): Promise<JobEnd['status'] | 'retried' | null> {
    const { db } = this.#options.store
    if ('ended' in outcome) return outcome.ended
    if ('retryInMs' in outcome) {
      const { retryInMs: dueInMs, error = null } = outcome
      return (await giveJobBack(db, job, { dueInMs, error })) ? 'retried' : null
    }
    const end: JobEnd =
      'error' in outcome ? { status: 'failed', ...outcome } : { status: 'succeeded', result: outcome.result }
    return (await endJob(db, job, end)) ? end.status : null
  }

  /** Ends an aborted job according to the reason of the abort. */
  async #endAborted(
    handler: JobHandler,
    job: Job,
    { reason }: AbortSignal,
  ): Promise<'cancelled' | 'retried' | null> {
    const { store, log } = this.#options
    const { id: jobId, kind, tenantId } = job
    if (reason === ('lost' satisfies Stop)) {
      log.warn({ jobId, kind, tenantId }, 'job taken over by another replica')
      return null
    }
    if (reason === ('leaving' satisfies Stop)) {
      return (await giveJobBack(store.db, job, { dueInMs: 0 })) ? 'retried' : null
    }
    return store.transaction(async (tx) => {
      const isEnded = await (handler.cancel?.(tx, job) ?? endJob(tx, job, { status: 'cancelled' }))
      return isEnded ? 'cancelled' : null
    })
  }

  async #note(job: Job, how: JobNote): Promise<void> {
    await noteJob(this.#options.store.db, job, how)
  }

  /** A failed renewal stops no job: another replica needs the same catalog to take it over. */
  async #renew(): Promise<void> {
    const claimed = [...this.#claimed.values()]
    if (this.#renewing || claimed.length === 0) return
    this.#renewing = true
    const { store, leaseMs = LEASE_MS } = this.#options
    try {
      const held = await renewJobs(
        store.db,
        claimed.map(({ ref }) => ref),
        leaseMs,
      )
      const byId = new Map(held.map((job) => [`${job.id}:${job.attempts}`, job]))
      for (const { ref, stopping } of claimed) {
        const found = byId.get(`${ref.id}:${ref.attempts}`)
        if (found === undefined) stopping.abort('lost' satisfies Stop)
        else if (found.cancelRequested) stopping.abort('cancelled' satisfies Stop)
      }
    } catch (err) {
      this.#options.log.warn({ err }, 'job leases not renewed')
    } finally {
      this.#renewing = false
    }
  }
}

/** One second, doubled after each attempt, at most a minute. */
function retryDelayMs(attempts: number): number {
  return Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(attempts - 1, 10))
}

function jobErrorOf(error: unknown): JobError {
  const code = error instanceof PublicError ? error.code : 'INTERNAL_ERROR'
  return { code, message: ERROR_TABLE[code].title }
}
