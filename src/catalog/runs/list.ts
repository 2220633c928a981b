import { and, desc, eq, gt, isNull, lt } from 'drizzle-orm'
import { fail } from '../../errors.ts'
import { idFromCursor, type Page, pageOf } from '../pages.ts'
import type { SchemaVersion } from '../schema.ts'
import { type CatalogStore, catalogErrors } from '../store.ts'
import type { RunRow } from './advance.ts'
import { countMembers } from './counts.ts'
import type { WaveCounts } from './options.ts'
import { type MemberState, migrationRunDatabases, migrationRuns, type RunStatus } from './schema.ts'

/** A run as operators see it. */
export interface RunView {
  id: string
  status: RunStatus
  target: SchemaVersion
  wave: number
  waves: WaveCounts[]
  counts: { total: number; done: number; failed: number; skipped: number }
  error: { code: string; message: string } | null
  createdAt: string
  finishedAt: string | null
}

/** One database of a run, as operators see it. */
export interface RunDatabase {
  tenantId: string | null
  wave: number
  state: Exclude<MemberState, 'retrying'>
  schemaVersion: SchemaVersion | null
  error: { code: string; message: string } | null
  startedAt: string | null
  finishedAt: string | null
}

export interface RunQuery {
  readonly limit: number
  readonly cursor?: string | undefined
}

/** The unfinished run, or null. */
export async function currentRun(store: CatalogStore): Promise<RunRow | null> {
  const query = store.db.select().from(migrationRuns).where(isNull(migrationRuns.finishedAt))
  const [run] = await catalogErrors(query)
  return run === undefined ? null : counted(store, run)
}

/** @throws PublicError NOT_FOUND */
export async function findRun(store: CatalogStore, id: string): Promise<RunRow> {
  const [run] = await catalogErrors(store.db.select().from(migrationRuns).where(eq(migrationRuns.id, id)))
  if (run === undefined) throw fail('NOT_FOUND')
  return counted(store, run)
}

/** Runs, newest first. @throws PublicError INVALID_CURSOR */
export async function listRuns(store: CatalogStore, { limit, cursor }: RunQuery): Promise<Page<RunRow>> {
  const after = cursor === undefined ? undefined : lt(migrationRuns.id, idFromCursor(cursor))
  const query = store.db.select().from(migrationRuns).where(after).orderBy(desc(migrationRuns.id))
  const { data, nextCursor } = pageOf(await catalogErrors(query.limit(limit + 1)), limit)
  return { data: await Promise.all(data.map((run) => counted(store, run))), nextCursor }
}

/** The databases of a run, in the order in which it takes them. @throws PublicError NOT_FOUND, INVALID_CURSOR */
export async function listRunDatabases(
  store: CatalogStore,
  runId: string,
  { limit, cursor }: RunQuery,
): Promise<Page<typeof migrationRunDatabases.$inferSelect>> {
  await findRun(store, runId)
  const { id } = migrationRunDatabases
  const wanted = and(
    eq(migrationRunDatabases.runId, runId),
    cursor === undefined ? undefined : gt(id, idFromCursor(cursor)),
  )
  const query = store.db.select().from(migrationRunDatabases).where(wanted).orderBy(id)
  return pageOf(await catalogErrors(query.limit(limit + 1)), limit)
}

export function describeRun(run: RunRow): RunView {
  const { id, status, target, wave, waves, total, done, failed, skipped, createdAt, finishedAt } = run
  const hasFailed = status === 'failed' || status === 'halted'
  return {
    ...{ id, status, target, wave, waves },
    counts: { total, done, failed, skipped },
    error: hasFailed ? { code: 'MIGRATION_FAILED', message: `${failed} databases failed` } : null,
    createdAt: createdAt.toISOString(),
    finishedAt: finishedAt?.toISOString() ?? null,
  }
}

export function describeRunDatabase(row: typeof migrationRunDatabases.$inferSelect): RunDatabase {
  const { tenantId, wave, state, schemaVersion, errorCode, errorMessage, startedAt, finishedAt } = row
  return {
    ...{ tenantId, wave, state: state === 'retrying' ? 'waiting' : state, schemaVersion },
    error: errorCode === null ? null : { code: errorCode, message: errorMessage ?? '' },
    startedAt: startedAt?.toISOString() ?? null,
    finishedAt: finishedAt?.toISOString() ?? null,
  }
}

async function counted(store: CatalogStore, run: RunRow): Promise<RunRow> {
  return run.finishedAt === null ? { ...run, ...(await countMembers(store.db, run)) } : run
}
