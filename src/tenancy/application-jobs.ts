import type { Application, ApplicationJob, JobLog, JobTenants, Tenants } from '../application.ts'
import { activeTenantIds, countActiveTenants } from '../catalog/active-tenants.ts'
import { hastenJob, type Job, queueJob, unfinishedSubjects } from '../catalog/jobs/queue.ts'
import type { CatalogStore } from '../catalog/store.ts'
import { fail, isOutcomeUnknown, PublicError } from '../errors.ts'
import type { JobHandler, JobOutcome, RunningJob } from '../jobs/runner.ts'
import type { ScheduledJob } from '../jobs/schedule.ts'
import { isUuid, momentId } from '../lib/ids.ts'
import { databaseError } from '../lib/postgres/pg.ts'
import type { Logger } from '../logger.ts'

export interface ApplicationJobsDeps {
  readonly application: Pick<Application, 'name' | 'jobs'>
  readonly store: CatalogStore
  readonly tenants: Tenants
  readonly log: Logger
  /** Starts a round that was queued just now. */
  readonly wake: (kind: string) => void
  readonly onTenant: (job: string, outcome: TenantOutcome) => void
}

/** `skipped`: the tenant's database was not available. The tenant gets a job of its own. */
export type TenantOutcome = 'succeeded' | 'failed' | 'skipped'
type Counts = Record<TenantOutcome, number>

/** How many tenants a round works in at the same time. */
const CONCURRENCY = 4
/** A round records its progress after so many tenants. After a crash at most these are repeated. */
const BATCH = 32
/** How many rounds and jobs for skipped tenants of one kind a process runs at the same time. */
const JOBS_AT_ONCE = 4
const FIRST_PAUSE_MS = 5_000
const LONGEST_PAUSE_MS = 300_000
/** The errors of a tenant whose database is not available now, or is not migrated to this release. */
const UNAVAILABLE: ReadonlySet<string> = new Set([
  ...['TENANT_DATABASE_PENDING', 'TENANT_DATABASE_UNAVAILABLE', 'TENANT_SCHEMA_OUT_OF_DATE'],
  ...['NO_CONNECTION_AVAILABLE', 'CATALOG_UNAVAILABLE'],
])
const FAILED = { code: 'INTERNAL_ERROR', message: 'The job threw; the log says what' } as const

/**
 * The jobs of an application. Each round is a job in the catalog. Its id follows from its time and its name, so that the replicas
 * queue it only once. A round over tenants works in each of them. If a tenant's database is not available, the tenant is skipped
 * and gets a job of its own, which is repeated until the database is available.
 */
export class ApplicationJobs {
  readonly #deps: ApplicationJobsDeps

  constructor(deps: ApplicationJobsDeps) {
    this.#deps = deps
  }

  /** The schedule that queues the rounds. */
  get schedule(): ScheduledJob[] {
    return this.#deps.application.jobs.map((job) => ({
      ...{ name: kindOf(job), cron: job.cron },
      run: (_signal, at) => this.#queueRound(job, at),
    }))
  }

  get handlers(): JobHandler[] {
    return this.#deps.application.jobs.map((job) => ({
      ...{ kind: kindOf(job), concurrency: JOBS_AT_ONCE, endsWithProcess: true },
      run: (running) => this.#run(job, running),
    }))
  }

  async #queueRound(job: ApplicationJob, at: Date): Promise<void> {
    const { application, store, wake, log } = this.#deps
    const kind = kindOf(job)
    const id = momentId(at, `${application.name}/${job.name}`)
    const round = { id, kind, subject: job.name, payload: { at: at.toISOString() } }
    const queued = await store.transaction((tx) => queueJob(tx, round))
    if (queued !== null) return wake(kind)
    // Another replica was first, or the previous round is still running.
    const unfinished = await unfinishedSubjects(store.db, kind)
    const before = unfinished.get(job.name)
    if (before !== undefined && before !== id)
      log.warn({ job: job.name, at }, 'job round skipped: the previous round is still running')
  }

  async #run(job: ApplicationJob, running: RunningJob): Promise<JobOutcome> {
    if (running.job.tenantId !== null) return this.#runForTenant(job, running, running.job.tenantId)
    return job.perTenant === undefined ? this.#runOnce(job, running) : this.#runRound(job, running)
  }

  async #runOnce(job: ApplicationJob, { signal, job: { id: jobId } }: RunningJob): Promise<JobOutcome> {
    const { log, tenants } = this.#deps
    try {
      await job.run?.({ tenants: tenantsFor(tenants, job), signal, log: this.#logFor(job) })
      return { result: null }
    } catch (err) {
      signal.throwIfAborted()
      log.error({ job: job.name, jobId, err }, 'job of the application failed')
      return { error: FAILED }
    }
  }

  /** Works in batches, so that another replica can continue after the last completed batch. */
  async #runRound(job: ApplicationJob, { job: round, signal, note }: RunningJob): Promise<JobOutcome> {
    const { store } = this.#deps
    const total = await countActiveTenants(store)
    const counts: Counts = countsIn(round)
    let after = round.step !== null && isUuid(round.step) ? round.step : null
    for (;;) {
      const ids = await activeTenantIds(store, after, BATCH)
      const last = ids.at(-1)
      if (last === undefined) break
      const queued = await unfinishedSubjects(store.db, kindOf(job))
      await this.#forEach(ids, async (id) => {
        signal.throwIfAborted()
        const isQueued = queued.has(subjectOf(job, id))
        const outcome = isQueued ? await this.#queueForTenant(job, id) : await this.#attempt(job, id, signal)
        if (outcome !== null) counts[outcome] += 1
      })
      after = last
      const done = counts.succeeded + counts.failed + counts.skipped
      await note({ step: last, progress: { done: Math.min(done, total), total }, result: { ...counts } })
    }
    return { result: { ...counts } }
  }

  async #forEach(ids: readonly string[], work: (id: string) => Promise<void>): Promise<void> {
    const queue = ids[Symbol.iterator]()
    const worker = async () => {
      for (const id of queue) await work(id)
    }
    // All workers must end before the round continues, or before another replica takes it over.
    const ended = await Promise.allSettled(Array.from({ length: CONCURRENCY }, worker))
    for (const each of ended) if (each.status === 'rejected') throw each.reason
  }

  /** Returns null for a tenant that does not exist any more. */
  async #attempt(job: ApplicationJob, tenantId: string, signal: AbortSignal): Promise<TenantOutcome | null> {
    const { log, onTenant } = this.#deps
    const result = await this.#workIn(job, tenantId, signal)
    if (result === 'gone') return null
    if (result === 'unavailable') {
      log.warn({ job: job.name, tenantId }, 'job skipped a tenant: its database is not available')
      await this.#queueForTenant(job, tenantId)
    }
    const outcome = result === 'unavailable' ? 'skipped' : result
    onTenant(job.name, outcome)
    return outcome
  }

  async #workIn(
    job: ApplicationJob,
    tenantId: string,
    signal: AbortSignal,
  ): Promise<'succeeded' | 'failed' | 'unavailable' | 'gone'> {
    const { tenants, log } = this.#deps
    let hasBegun = false
    try {
      await tenants.run(
        tenantId,
        async (tenant) => {
          hasBegun = true
          await job.perTenant?.(tenant, { signal, log: this.#logFor(job, tenantId) })
        },
        { actor: actorOf(job) },
      )
      return 'succeeded'
    } catch (err) {
      signal.throwIfAborted()
      const code = err instanceof PublicError ? err.code : null
      if (!hasBegun && code === 'TENANT_NOT_FOUND') return 'gone'
      // An error of this process, for example while it closes. The round is not over.
      if (!hasBegun && code === null) throw err
      if (!isOutcomeUnknown(err) && isUnavailable(err)) return 'unavailable'
      log.error({ job: job.name, tenantId, err }, 'job of the application failed in a tenant')
      return 'failed'
    }
  }

  /** Queues a job for a skipped tenant. If the tenant has one already, that job starts now. */
  async #queueForTenant(job: ApplicationJob, tenantId: string): Promise<'skipped'> {
    const { store } = this.#deps
    const own = { kind: kindOf(job), subject: subjectOf(job, tenantId), tenantId }
    const queued = await store.transaction((tx) => queueJob(tx, { ...own, dueInMs: FIRST_PAUSE_MS }))
    if (queued === null) await hastenJob(store.db, own)
    return 'skipped'
  }

  async #runForTenant(
    job: ApplicationJob,
    { job: own, signal }: RunningJob,
    tenantId: string,
  ): Promise<JobOutcome> {
    if (job.perTenant === undefined) return { error: FAILED }
    const result = await this.#workIn(job, tenantId, signal)
    if (result === 'gone') return { error: { code: 'TENANT_NOT_FOUND', message: 'The tenant is not active' } }
    if (result === 'unavailable') {
      const code = 'TENANT_DATABASE_UNAVAILABLE'
      return { retryInMs: pauseMs(own.attempts), error: { code, message: fail(code).message } }
    }
    this.#deps.onTenant(job.name, result)
    if (result === 'failed') return { error: FAILED }
    this.#deps.log.info({ job: job.name, tenantId }, 'job completed for a skipped tenant')
    return { result: null }
  }

  #logFor({ name: job }: ApplicationJob, tenantId?: string): JobLog {
    return this.#deps.log.child({ job, ...(tenantId !== undefined && { tenantId }) })
  }
}

function kindOf({ name }: ApplicationJob): string {
  return `application/${name}`
}

function subjectOf({ name }: ApplicationJob, tenantId: string): string {
  return `${name}/${tenantId}`
}

/** The job's name in the audit log. */
function actorOf({ name }: ApplicationJob): string {
  return `job:${name}`
}

function tenantsFor(tenants: Tenants, job: ApplicationJob): JobTenants {
  const actor = actorOf(job)
  return {
    run: (codeOrId, fn) => tenants.run(codeOrId, fn, { actor }),
    each: (fn, options) => tenants.each(fn, { ...options, actor }),
  }
}

/** SQLSTATEs of statements that fail in every database. */
const WRONG_STATEMENT = /^42/

function isUnavailable(error: unknown): boolean {
  const isWrong = WRONG_STATEMENT.test(databaseError(error)?.code ?? '')
  let cause: unknown = error
  // A handler may wrap the error of its database.
  for (let depth = 0; depth < 5 && cause instanceof Error; depth += 1) {
    if (cause instanceof PublicError)
      return UNAVAILABLE.has(cause.code) && !(isWrong && cause.code === 'TENANT_DATABASE_UNAVAILABLE')
    cause = cause.cause
  }
  return false
}

function countsIn({ result }: Job): Counts {
  const of = (name: TenantOutcome) => {
    const value = result?.[name]
    return typeof value === 'number' ? value : 0
  }
  return { succeeded: of('succeeded'), failed: of('failed'), skipped: of('skipped') }
}

/** Five seconds, doubled after each attempt, at most five minutes. */
function pauseMs(attempts: number): number {
  return Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(attempts, 10))
}
