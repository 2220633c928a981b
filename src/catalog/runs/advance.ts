import { and, eq, isNull, sql } from 'drizzle-orm'
import { jobs } from '../jobs/schema.ts'
import { type CatalogStore, type CatalogTx, catalogErrors } from '../store.ts'
import { countMembers } from './counts.ts'
import { dispatch } from './dispatch.ts'
import { migrationRunDatabases, migrationRuns, type RunMode, type RunStatus } from './schema.ts'
import { SKIPPED, skipped } from './skips.ts'

export type RunRow = typeof migrationRuns.$inferSelect

/** What became of a run: how many jobs were queued, and its state afterwards. */
export interface Advance {
  readonly queued: number
  readonly run: RunRow
}

const members = migrationRunDatabases

/**
 * Moves a run on: records the jobs that have ended, queues the next ones, ends the wave or the run. Everything is decided under a
 * lock of the run, so replicas may call it at any time and together. What a killed replica has left undone, the next call does.
 * Null if the run is not under way.
 */
export function advanceRun(store: CatalogStore, id: string): Promise<Advance | null> {
  return store.transaction(async (tx) => {
    const run = await lockRun(tx, id)
    return run?.status === 'running' ? advance(tx, run) : null
  })
}

/** The ids of the runs that are under way: one at most. */
export async function runsUnderWay({ db }: CatalogStore): Promise<string[]> {
  const underWay = and(isNull(migrationRuns.finishedAt), eq(migrationRuns.status, 'running'))
  const query = db.select({ id: migrationRuns.id }).from(migrationRuns).where(underWay)
  return (await catalogErrors(query)).map(({ id }) => id)
}

/** Locks a run until the transaction ends. Null if there is none. */
export async function lockRun(tx: CatalogTx, id: string): Promise<RunRow | null> {
  const [run] = await tx.select().from(migrationRuns).where(eq(migrationRuns.id, id)).for('update')
  return run ?? null
}

/** As `advanceRun`, for a running run that the transaction has locked. */
export async function advance(tx: CatalogTx, run: RunRow): Promise<Advance> {
  await settle(tx, run.id)
  const failed = await countFailed(tx, run.id)
  const mode = isHalting(run, failed) ? 'halting' : run.mode
  if (mode === 'pausing' || mode === 'halting') await withdrawJobs(tx, run.id)
  if (mode === 'cancelling') await cancelAll(tx, run.id)
  const { queued, wave } = takesMore(mode)
    ? await dispatch(tx, { ...run, mode })
    : { queued: 0, wave: run.wave }
  const left = await leftOf(tx, run.id)
  const status = statusOf(mode, { ...left, failed, forgiven: run.forgiven })
  const isEnd = status === 'succeeded' || status === 'failed' || status === 'cancelled'
  const counted = isEnd ? await countMembers(tx, run) : {}
  const set = { status, mode, wave, ...counted, ...(isEnd && { finishedAt: sql`now()` }) }
  const [after] = await tx.update(migrationRuns).set(set).where(eq(migrationRuns.id, run.id)).returning()
  if (after === undefined) throw new Error('the run is gone')
  return { queued, run: after }
}

function takesMore(mode: RunMode): boolean {
  return mode === 'all' || mode === 'failed-only'
}

function isHalting({ mode, forgiven, options }: RunRow, failed: number): boolean {
  return takesMore(mode) && failed - forgiven >= options.haltAfterFailures
}

function statusOf(
  mode: RunMode,
  { running, waiting, retrying, failed, forgiven }: Left & { failed: number; forgiven: number },
): RunStatus {
  if (running > 0) return 'running'
  if (waiting + retrying === 0) {
    if (mode === 'cancelling') return 'cancelled'
    return failed > 0 ? 'failed' : 'succeeded'
  }
  if (mode === 'pausing') return 'paused'
  if (mode === 'halting') return 'halted'
  if (mode === 'failed-only' && retrying === 0) return failed > forgiven ? 'halted' : 'paused'
  return 'running'
}

interface Left {
  readonly running: number
  readonly waiting: number
  readonly retrying: number
}

/** How many databases run, and whether any are left. The index finds one of those left without reading them all. */
async function leftOf(tx: CatalogTx, runId: string): Promise<Left> {
  const some = (state: string) =>
    sql<number>`exists (select from ${members} m where m.run_id = ${runId} and m.state = ${state})::int`
  const query = sql`select ${some('running')} as running, ${some('waiting')} as waiting, ${some('retrying')} as retrying`
  const { rows } = await tx.execute<{ running: number; waiting: number; retrying: number }>(query)
  return rows[0] ?? { running: 0, waiting: 0, retrying: 0 }
}

export async function countFailed(tx: CatalogTx, runId: string): Promise<number> {
  const failed = and(eq(members.runId, runId), eq(members.state, 'failed'))
  return tx.$count(members, failed)
}

/** Records the ended jobs of a run. A job that is gone ended long ago, so its database is taken again. */
async function settle(tx: CatalogTx, runId: string): Promise<void> {
  await tx.execute(sql`
    update ${members} as m
       set state = case e.status when 'succeeded' then 'succeeded'
                                 when 'failed' then case e.error_code when 'NOT_FOUND' then 'skipped' else 'failed' end
                                 when 'cancelled' then 'skipped' else 'waiting' end,
           schema_version = e.result -> 'schemaVersion',
           error_code = case when e.status = 'failed' then case e.error_code when 'NOT_FOUND' then 'DATABASE_REMOVED' else e.error_code end
                             when e.status = 'cancelled' and e.is_removed then 'DATABASE_REMOVED'
                             when e.status = 'cancelled' then 'CANCELLED' end,
           error_message = case when e.status = 'failed' and e.error_code <> 'NOT_FOUND' then e.error_message
                                when e.status = 'failed' or (e.status = 'cancelled' and e.is_removed) then ${SKIPPED.DATABASE_REMOVED}
                                when e.status = 'cancelled' then ${SKIPPED.CANCELLED} end,
           started_at = e.started_at, finished_at = e.finished_at
      from (select w.id, j.status, j.result, j.error_code, j.error_message, j.started_at, j.finished_at,
                   w.database_id is not null and d.id is null as is_removed
              from ${members} w
              left join ${jobs} j on j.id = w.job_id
              left join tenant_databases d on d.id = w.database_id
             where w.run_id = ${runId} and w.state = 'running' and (j.id is null or j.finished_at is not null)) e
     where m.id = e.id`)
}

/**
 * Takes back the jobs that no replica has claimed. A locked job is left to the next call: the transaction that holds it may wait for
 * this run.
 */
async function withdrawJobs(tx: CatalogTx, runId: string): Promise<void> {
  await tx.execute(sql`
    with free as (select id from ${jobs} where run_id = ${runId} and status = 'queued' for update skip locked),
         taken as (update ${jobs} set status = 'cancelled', finished_at = now() where id in (select id from free) returning id)
    update ${members} set state = 'waiting', job_id = null
     where run_id = ${runId} and state = 'running' and job_id in (select id from taken)`)
}

/** Cancels the jobs of a run, and skips what it has not taken. Locked jobs are left to the next call. */
async function cancelAll(tx: CatalogTx, runId: string): Promise<void> {
  const inState = (state: 'waiting' | 'retrying') => and(eq(members.runId, runId), eq(members.state, state))
  await tx.update(members).set(skipped('CANCELLED')).where(inState('waiting'))
  // Its last attempt failed, and that stays true.
  await tx.update(members).set({ state: 'failed' }).where(inState('retrying'))
  await tx.execute(sql`
    with free as (select id from ${jobs} where run_id = ${runId} and finished_at is null for update skip locked)
    update ${jobs} set cancel_requested = true,
           status = case when status = 'queued' then 'cancelled' else status end,
           finished_at = case when status = 'queued' then now() end
     where id in (select id from free)`)
  await settle(tx, runId)
}
