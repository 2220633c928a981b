import { and, desc, eq, inArray, isNull, lt, sql } from 'drizzle-orm'
import { fail } from '../../errors.ts'
import { newId } from '../../lib/ids.ts'
import { type Actor, recordAudit } from '../audit/entries.ts'
import { idFromCursor, type Page, pageOf } from '../pages.ts'
import { type SchemaVersion, tenantDatabases } from '../schema.ts'
import { type CatalogStore, type CatalogTx, catalogErrors } from '../store.ts'
import { MIGRATION, SHARED } from './kinds.ts'
import { pruneJobs } from './list.ts'
import { migrationRuns, type RunStatus } from './migration-schema.ts'
import { queueJobs } from './queue.ts'
import { jobs } from './schema.ts'

export type MigrationRun = typeof migrationRuns.$inferSelect

/** A run as operators see it. */
export interface RunView {
  id: string
  status: RunStatus
  target: SchemaVersion
  wave: number
  waves: { size: number; done: number; failed: number }[]
  counts: { total: number; done: number; failed: number; skipped: number }
  error: { code: string; message: string } | null
  createdAt: string
  finishedAt: string | null
}

/**
 * Starts a run: one job for the shared database and one for each dedicated database that serves a tenant. A database with an
 * unfinished migration gets no second job.
 * @throws PublicError RUN_IN_PROGRESS
 */
export function startRun(
  store: CatalogStore,
  { target, needs, actor }: { target: SchemaVersion; needs: readonly string[]; actor: Actor },
): Promise<MigrationRun> {
  return store.transaction(async (tx) => {
    const id = newId()
    const made = await tx
      .insert(migrationRuns)
      .values({ id, target, total: 0 })
      .onConflictDoNothing()
      .returning({ id: migrationRuns.id })
    if (made.length === 0) throw fail('RUN_IN_PROGRESS')
    const entries = await tx
      .select({ subject: tenantDatabases.id, tenantId: tenantDatabases.tenantId })
      .from(tenantDatabases)
      .where(
        and(eq(tenantDatabases.slot, 'current'), inArray(tenantDatabases.status, ['active', 'inactive'])),
      )
      .orderBy(tenantDatabases.id)
    const subjects = [{ subject: SHARED, tenantId: null }, ...entries]
    const total = await queueJobs(
      tx,
      subjects.map((each) => ({ ...each, kind: MIGRATION, runId: id, needs })),
    )
    const [run] = await tx.update(migrationRuns).set({ total }).where(eq(migrationRuns.id, id)).returning()
    if (run === undefined) throw new Error('the run was not made')
    await recordAudit(tx, {
      actor,
      action: 'migration.run',
      tenantId: null,
      after: { runId: id, target, total },
    })
    await endRunIfDone(tx, id)
    return run
  })
}

/** Ends a run if all its jobs have ended. Call it in each transaction that ends a job of a run. */
export async function endRunIfDone(tx: CatalogTx, id: string): Promise<void> {
  // With this lock, transactions that end jobs at the same time run one after the other, and the last one sees the others.
  const own = and(eq(migrationRuns.id, id), isNull(migrationRuns.finishedAt))
  const [run] = await tx.select({ id: migrationRuns.id }).from(migrationRuns).where(own).for('update')
  if (run === undefined) return
  const { left, ...counts } = await countJobs(tx, id)
  if (left > 0) return
  const status =
    counts.failed > 0 ? 'failed' : counts.done === 0 && counts.skipped > 0 ? 'cancelled' : 'succeeded'
  await tx
    .update(migrationRuns)
    .set({ status, ...counts, finishedAt: sql`now()` })
    .where(own)
}

/** Deletes old jobs. Ends runs whose last jobs ended because their databases were removed. */
export async function tidyJobs(store: CatalogStore): Promise<void> {
  await pruneJobs(store)
  const query = store.db
    .select({ id: migrationRuns.id })
    .from(migrationRuns)
    .where(isNull(migrationRuns.finishedAt))
  for (const { id } of await catalogErrors(query)) await store.transaction((tx) => endRunIfDone(tx, id))
}

/** The unfinished run, or null. */
export async function currentRun(store: CatalogStore): Promise<MigrationRun | null> {
  const query = store.db.select().from(migrationRuns).where(isNull(migrationRuns.finishedAt))
  const [run] = await catalogErrors(query)
  return run === undefined ? null : counted(store, run)
}

/** @throws PublicError NOT_FOUND */
export async function findRun(store: CatalogStore, id: string): Promise<MigrationRun> {
  const [run] = await catalogErrors(store.db.select().from(migrationRuns).where(eq(migrationRuns.id, id)))
  if (run === undefined) throw fail('NOT_FOUND')
  return counted(store, run)
}

/** Runs, newest first. @throws PublicError INVALID_CURSOR */
export async function listRuns(
  store: CatalogStore,
  { limit, cursor }: { limit: number; cursor?: string | undefined },
): Promise<Page<MigrationRun>> {
  const after = cursor === undefined ? undefined : lt(migrationRuns.id, idFromCursor(cursor))
  const query = store.db.select().from(migrationRuns).where(after).orderBy(desc(migrationRuns.id))
  const { data, nextCursor } = pageOf(await catalogErrors(query.limit(limit + 1)), limit)
  return { data: await Promise.all(data.map((run) => counted(store, run))), nextCursor }
}

export function describeRun(run: MigrationRun): RunView {
  const { id, status, target, total, done, failed, skipped, createdAt, finishedAt } = run
  return {
    ...{ id, status, target, wave: 0, waves: [{ size: total, done, failed }] },
    counts: { total, done, failed, skipped },
    error: status === 'failed' ? { code: 'MIGRATION_FAILED', message: `${failed} databases failed` } : null,
    createdAt: createdAt.toISOString(),
    finishedAt: finishedAt?.toISOString() ?? null,
  }
}

async function counted(store: CatalogStore, run: MigrationRun): Promise<MigrationRun> {
  if (run.finishedAt !== null) return run
  const { left: _left, ...counts } = await countJobs(store.db, run.id)
  return { ...run, ...counts }
}

async function countJobs(db: CatalogTx, runId: string) {
  const ended = (status: string) => sql<number>`(count(*) filter (where ${jobs.status} = ${status}))::int`
  const columns = {
    left: sql<number>`(count(*) filter (where ${jobs.finishedAt} is null))::int`,
    done: ended('succeeded'),
    failed: ended('failed'),
    skipped: ended('cancelled'),
  }
  const [row] = await catalogErrors(db.select(columns).from(jobs).where(eq(jobs.runId, runId)))
  return row ?? { left: 0, done: 0, failed: 0, skipped: 0 }
}
