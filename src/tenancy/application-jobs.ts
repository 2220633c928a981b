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
  /** Has a round begun that was queued just now. */
  readonly wake: (kind: string) => void
  readonly onTenant: (job: string, outcome: TenantOutcome) => void
}

/** `skipped`: its database was away; the job is made up for there. */
export type TenantOutcome = 'succeeded' | 'failed' | 'skipped'
type Counts = Record<TenantOutcome, number>

/** Tenants that are worked in at once, by one round. */
const CONCURRENCY = 4
/** After so many a round writes down how far it has come: at most these are worked in again after a crash. */
const PART = 32
/** Rounds and what is made up for, of one job in one process. */
const AT_ONCE = 4
const FIRST_PAUSE_MS = 5_000
const LONGEST_PAUSE_MS = 300_000
/** What is said of a tenant whose database is away for now, or is not ready for this release. */
const AWAY: ReadonlySet<string> = new Set([
  ...['TENANT_DATABASE_PENDING', 'TENANT_DATABASE_UNAVAILABLE', 'TENANT_SCHEMA_OUT_OF_DATE'],
  ...['NO_CONNECTION_AVAILABLE', 'CATALOG_UNAVAILABLE'],
])
const FAILED = { code: 'INTERNAL_ERROR', message: 'The job threw; the log says what' } as const

/**
 * The jobs of an application. Each round is a job in the catalog whose id is made of its moment and its name, so that of all
 * replicas that queue it one does. A round over tenants works in each of them; where a database is away, the tenant gets a
 * job of its own, which is begun again until the database is back.
 */
export class ApplicationJobs {
  readonly #deps: ApplicationJobsDeps

  constructor(deps: ApplicationJobsDeps) {
    this.#deps = deps
  }

  /** What queues the rounds. */
  get schedule(): ScheduledJob[] {
    return this.#deps.application.jobs.map((job) => ({
      ...{ name: kindOf(job), cron: job.cron },
      run: (_signal, at) => this.#queueRound(job, at),
    }))
  }

  get handlers(): JobHandler[] {
    return this.#deps.application.jobs.map((job) => ({
      ...{ kind: kindOf(job), concurrency: AT_ONCE, endsWithProcess: true },
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
    // Another replica was first, or the round before is still under way.
    const unfinished = await unfinishedSubjects(store.db, kind)
    const before = unfinished.get(job.name)
    if (before !== undefined && before !== id)
      log.warn({ job: job.name, at }, 'round skipped: the one before is still under way')
  }

  async #run(job: ApplicationJob, running: RunningJob): Promise<JobOutcome> {
    if (running.job.tenantId !== null) return this.#makeUp(job, running, running.job.tenantId)
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

  /** A part after the other, so that another replica can go on after the last one that was done. */
  async #runRound(job: ApplicationJob, { job: round, signal, note }: RunningJob): Promise<JobOutcome> {
    const { store } = this.#deps
    const total = await countActiveTenants(store)
    const counts: Counts = countsIn(round)
    let after = round.step !== null && isUuid(round.step) ? round.step : null
    for (;;) {
      const ids = await activeTenantIds(store, after, PART)
      const last = ids.at(-1)
      if (last === undefined) break
      const waiting = await unfinishedSubjects(store.db, kindOf(job))
      await this.#workIn(ids, async (id) => {
        signal.throwIfAborted()
        const isWaiting = waiting.has(subjectOf(job, id))
        const outcome = isWaiting ? await this.#leave(job, id) : await this.#attempt(job, id, signal)
        if (outcome !== null) counts[outcome] += 1
      })
      after = last
      const done = counts.succeeded + counts.failed + counts.skipped
      await note({ step: last, progress: { done: Math.min(done, total), total }, result: { ...counts } })
    }
    return { result: { ...counts } }
  }

  async #workIn(ids: readonly string[], work: (id: string) => Promise<void>): Promise<void> {
    const queue = ids[Symbol.iterator]()
    const worker = async () => {
      for (const id of queue) await work(id)
    }
    // All of them have ended before the round goes on, or is another replica's.
    const ended = await Promise.allSettled(Array.from({ length: CONCURRENCY }, worker))
    for (const each of ended) if (each.status === 'rejected') throw each.reason
  }

  /** Null for a tenant that is not there any more. */
  async #attempt(job: ApplicationJob, tenantId: string, signal: AbortSignal): Promise<TenantOutcome | null> {
    const { log, onTenant } = this.#deps
    const found = await this.#workWith(job, tenantId, signal)
    if (found === 'gone') return null
    if (found === 'away') {
      log.warn({ job: job.name, tenantId }, 'job skipped a tenant: its database is away')
      await this.#leave(job, tenantId)
    }
    const outcome = found === 'away' ? 'skipped' : found
    onTenant(job.name, outcome)
    return outcome
  }

  async #workWith(
    job: ApplicationJob,
    tenantId: string,
    signal: AbortSignal,
  ): Promise<'succeeded' | 'failed' | 'away' | 'gone'> {
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
      // A fault of this process, which is closing: the round is not over.
      if (!hasBegun && code === null) throw err
      if (!isOutcomeUnknown(err) && isAway(err)) return 'away'
      log.error({ job: job.name, tenantId, err }, 'job of the application failed in a tenant')
      return 'failed'
    }
  }

  /** Has a tenant made up for by a job of its own: one that waits already is begun now. */
  async #leave(job: ApplicationJob, tenantId: string): Promise<'skipped'> {
    const { store } = this.#deps
    const own = { kind: kindOf(job), subject: subjectOf(job, tenantId), tenantId }
    const queued = await store.transaction((tx) => queueJob(tx, { ...own, dueInMs: FIRST_PAUSE_MS }))
    if (queued === null) await hastenJob(store.db, own)
    return 'skipped'
  }

  async #makeUp(
    job: ApplicationJob,
    { job: own, signal }: RunningJob,
    tenantId: string,
  ): Promise<JobOutcome> {
    if (job.perTenant === undefined) return { error: FAILED }
    const found = await this.#workWith(job, tenantId, signal)
    if (found === 'gone') return { error: { code: 'TENANT_NOT_FOUND', message: 'The tenant is not active' } }
    if (found === 'away') {
      const code = 'TENANT_DATABASE_UNAVAILABLE'
      return { retryInMs: pauseMs(own.attempts), error: { code, message: fail(code).message } }
    }
    this.#deps.onTenant(job.name, found)
    if (found === 'failed') return { error: FAILED }
    this.#deps.log.info({ job: job.name, tenantId }, 'job made up for a tenant')
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

/** As the audit log names who works. */
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

/** SQLSTATEs of statements that are wrong, wherever they are run. */
const ABOUT_STATEMENTS = /^42/

function isAway(error: unknown): boolean {
  const isWrong = ABOUT_STATEMENTS.test(databaseError(error)?.code ?? '')
  let cause: unknown = error
  // A handler may wrap what its database said.
  for (let depth = 0; depth < 5 && cause instanceof Error; depth += 1) {
    if (cause instanceof PublicError)
      return AWAY.has(cause.code) && !(isWrong && cause.code === 'TENANT_DATABASE_UNAVAILABLE')
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

/** Five seconds, doubled with each attempt before, at most five minutes. */
function pauseMs(attempts: number): number {
  return Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(attempts, 10))
}
