import { and, desc, eq, isNotNull, isNull, lt, or, type SQL, sql } from 'drizzle-orm'
import { fail } from '../../errors.ts'
import { idFromCursor, type Page, pageOf } from '../pages.ts'
import { type CatalogStore, type CatalogTx, catalogErrors } from '../store.ts'
import { type Job, jobColumns } from './queue.ts'
import { type JobStatus, jobs } from './schema.ts'

export interface JobQuery {
  readonly kind?: string
  readonly status?: JobStatus
  readonly tenantId?: string
  readonly runId?: string
  readonly limit: number
  readonly cursor?: string | undefined
}

/** A job as operators see it: never its payload. */
export interface JobView {
  id: string
  kind: string
  tenantId: string | null
  serverId: string | null
  runId: string | null
  status: JobStatus
  step: string | null
  progress: { done: number; total: number } | null
  attempts: number
  error: { code: string; message: string; at: string } | null
  result: Record<string, unknown> | null
  createdAt: string
  startedAt: string | null
  finishedAt: string | null
}

/** Finished jobs are kept for a week, and only the newest `KEPT_MOST`, so that failures cannot fill the table. */
const KEPT = sql`interval '7 days'`
const KEPT_MOST = 20_000
const PRUNED_AT_ONCE = 5_000

/** Jobs, newest first. @throws PublicError INVALID_CURSOR */
export async function listJobs(store: CatalogStore, query: JobQuery): Promise<Page<Job>> {
  const { kind, status, tenantId, runId, limit, cursor } = query
  const wanted: (SQL | undefined)[] = [
    cursor === undefined ? undefined : lt(jobs.id, idFromCursor(cursor)),
    kind === undefined ? undefined : eq(jobs.kind, kind),
    status === undefined ? undefined : eq(jobs.status, status),
    tenantId === undefined ? undefined : eq(jobs.tenantId, tenantId),
    runId === undefined ? undefined : eq(jobs.runId, runId),
  ]
  const rows = store.db
    .select(jobColumns)
    .from(jobs)
    .where(and(...wanted))
    .orderBy(desc(jobs.id))
    .limit(limit + 1)
  return pageOf(await catalogErrors(rows), limit)
}

/** @throws PublicError NOT_FOUND */
export async function findJob(store: CatalogStore, id: string): Promise<Job> {
  const [job] = await catalogErrors(store.db.select(jobColumns).from(jobs).where(eq(jobs.id, id)))
  if (job === undefined) throw fail('NOT_FOUND')
  return job
}

/**
 * Cancels an unfinished job. A queued job ends at once; a running one is asked to end. Null if the job has finished.
 */
export async function requestCancel(tx: CatalogTx, id: string): Promise<Job | null> {
  const isQueued = sql`${jobs.status} = 'queued'`
  const [job] = await tx
    .update(jobs)
    .set({
      cancelRequested: true,
      status: sql`case when ${isQueued} then 'cancelled' else ${jobs.status} end`,
      finishedAt: sql`case when ${isQueued} then now() end`,
      sealedPayload: sql`case when ${isQueued} then null else ${jobs.sealedPayload} end`,
    })
    .where(and(eq(jobs.id, id), isNull(jobs.finishedAt)))
    .returning(jobColumns)
  return job ?? null
}

/** Deletes finished jobs that are too old or too many. Returns how many were deleted. */
export async function pruneJobs({ db }: CatalogStore): Promise<number> {
  const newest = db
    .select({ finishedAt: jobs.finishedAt })
    .from(jobs)
    .where(isNotNull(jobs.finishedAt))
    .orderBy(desc(jobs.finishedAt))
    .offset(KEPT_MOST)
    .limit(1)
  const isOld = or(lt(jobs.finishedAt, sql`now() - ${KEPT}`), sql`${jobs.finishedAt} <= (${newest})`)
  const old = db
    .select({ id: jobs.id })
    .from(jobs)
    .where(and(isNotNull(jobs.finishedAt), isOld))
    .limit(PRUNED_AT_ONCE)
    .for('update', { skipLocked: true })
  const { rowCount } = await catalogErrors(
    db.execute(sql`with old as (${old}) delete from ${jobs} using old where ${jobs.id} = old.id`),
  )
  return rowCount ?? 0
}

/** The fields are listed by name, so that a new column does not become visible by accident. */
export function describeJob(job: Job): JobView {
  const { id, kind, tenantId, serverId, runId, status, step, attempts, result } = job
  const { progressDone: done, progressTotal: total } = job
  return {
    ...{ id, kind, tenantId, serverId, runId, status, step },
    progress: done === null || total === null ? null : { done, total },
    attempts,
    error: errorOf(job),
    result,
    createdAt: job.createdAt.toISOString(),
    startedAt: job.startedAt?.toISOString() ?? null,
    finishedAt: job.finishedAt?.toISOString() ?? null,
  }
}

function errorOf({ errorCode: code, errorMessage: message, errorAt: at }: Job): JobView['error'] {
  return code === null || message === null || at === null ? null : { code, message, at: at.toISOString() }
}
