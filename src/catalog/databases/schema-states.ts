import { and, eq, gt, inArray, or, type SQL, sql } from 'drizzle-orm'
import { idFromCursor, type Page, pageOf } from '../pages.ts'
import { type SchemaVersion, tenantDatabases } from '../schema.ts'
import { type CatalogStore, catalogErrors } from '../store.ts'
import { type DatabaseEntry, entryColumns } from './entry.ts'
import { summarizeError } from './entry-view.ts'
import { isBehindSql } from './schema-versions.ts'

export const SCHEMA_STATES = ['current', 'behind', 'failed', 'unreachable', 'drifted'] as const
/**
 * `failed`: the last migration failed. `drifted`: the schema differs from what its applied migrations create. `unreachable`: the
 * database does not answer, so its schema is unknown.
 */
export type SchemaState = (typeof SCHEMA_STATES)[number]
export type SchemaCounts = Record<SchemaState, number>

/** The schema of one database. `tenantId` is null for the shared one. */
export interface DatabaseSchema {
  readonly tenantId: string | null
  readonly schemaVersion: SchemaVersion | null
  readonly state: SchemaState
  readonly lastError: { code: string; message: string; at: string } | null
}

const table = tenantDatabases
/** Databases that serve a tenant, and those that cannot because a migration failed. */
const COUNTS = and(
  eq(table.slot, 'current'),
  or(inArray(table.status, ['active', 'inactive']), eq(table.lastErrorCode, 'MIGRATION_FAILED')),
)

/** How many dedicated databases are in each state, for a release with this target. */
export async function countSchemas({ db }: CatalogStore, target: SchemaVersion): Promise<SchemaCounts> {
  const state = stateOf(target)
  const rows = db
    .select({ state, count: sql<number>`count(*)::int` })
    .from(table)
    .where(COUNTS)
    .groupBy(sql`1`)
  const counts = { current: 0, behind: 0, failed: 0, unreachable: 0, drifted: 0 }
  for (const row of await catalogErrors(rows)) counts[row.state] = row.count
  return counts
}

/** Dedicated databases by their schema, in the order of their entries. @throws PublicError INVALID_CURSOR */
export async function listSchemas(
  { db }: CatalogStore,
  target: SchemaVersion,
  query: { state?: SchemaState; limit: number; cursor?: string | undefined },
): Promise<Page<DatabaseSchema>> {
  const { state, limit, cursor } = query
  const wanted = and(
    COUNTS,
    cursor === undefined ? undefined : gt(table.id, idFromCursor(cursor)),
    state === undefined ? undefined : sql`${stateOf(target)} = ${state}`,
  )
  const rows = db
    .select({ ...entryColumns, state: stateOf(target) })
    .from(table)
    .where(wanted)
    .orderBy(table.id)
    .limit(limit + 1)
  const { data, nextCursor } = pageOf(await catalogErrors(rows), limit)
  return { data: data.map(schemaOf), nextCursor }
}

/** The state of the schema of one tenant's own database. Null if the tenant has none. */
export async function schemaStateOf(
  { db }: CatalogStore,
  target: SchemaVersion,
  tenantId: string,
): Promise<SchemaState | null> {
  const rows = db
    .select({ state: stateOf(target) })
    .from(table)
    .where(and(eq(table.tenantId, tenantId), eq(table.slot, 'current')))
  const [row] = await catalogErrors(rows)
  return row?.state ?? null
}

function schemaOf(row: DatabaseEntry & { state: SchemaState }): DatabaseSchema {
  const { tenantId, schemaVersion, state } = row
  return { tenantId, schemaVersion, state, lastError: summarizeError(row) }
}

function stateOf(target: SchemaVersion): SQL<SchemaState> {
  return sql<SchemaState>`case
    when ${table.lastErrorCode} = 'SCHEMA_DRIFTED' then 'drifted'
    when ${table.lastErrorCode} = 'MIGRATION_FAILED' then 'failed'
    when ${table.status} = 'inactive' then 'unreachable'
    when ${isBehindSql(target)} then 'behind'
    else 'current' end`
}
