import { isDeepStrictEqual } from 'node:util'
import { and, eq, inArray, lt, or, type SQL, sql } from 'drizzle-orm'
import type { AnyPgColumn } from 'drizzle-orm/pg-core'
import { newId } from '../../lib/ids.ts'
import { recordAudit, systemActor } from '../audit/entries.ts'
import { recordChange } from '../changes/follower.ts'
import { VALIDATION } from '../jobs/kinds.ts'
import { jobs } from '../jobs/schema.ts'
import { fromNow, isTooFarAhead } from '../moments.ts'
import { type DatabaseStatus, type SchemaVersion, tenantDatabases } from '../schema.ts'
import { type CatalogDb, type CatalogTx, catalogErrors } from '../store.ts'
import {
  DATABASE_ERRORS,
  type DatabaseEntry,
  type DatabaseErrorCode,
  entryColumns,
  identityOf,
  type Lifecycle,
  type LifecycleEvent,
} from './entry.ts'

/**
 * One claim of a health check on one version of an entry: `claimedBy` is new with each, also where a process claims again
 * what it is still at. A result counts only as long as all three still stand in the row.
 */
export type Claim = Pick<DatabaseEntry, 'id' | 'rowVersion' | 'claimedBy'>

export interface ClaimRequest {
  limit: number
  /** How long nobody may claim it again, a minute at most. The database's clock counts. */
  leaseMs: number
}

/** What came out of a check or a validation. `facts` are columns to write besides those the lifecycle decides. */
export interface Outcome {
  event: LifecycleEvent
  errorCode?: DatabaseErrorCode
  /** In place of the code's own text. */
  errorWords?: string | null
  facts?: Partial<
    Pick<
      DatabaseEntry,
      'moveRequired' | 'serverVersion' | 'schemaVersion' | 'systemIdentifier' | 'databaseOid'
    >
  >
}

const table = tenantDatabases
const LONGEST_LEASE_MS = 60_000
const unclaimed = or(
  sql`${table.claimedUntil} is null`,
  sql`${table.claimedUntil} < now()`,
  isTooFarAhead(table.claimedUntil, LONGEST_LEASE_MS),
)
/** What is being validated is not checked meanwhile. */
const unvalidated = sql`not exists (
  select from ${jobs} where ${jobs.kind} = ${VALIDATION} and ${jobs.subject} = ${table.id}::text
    and ${jobs.status} = 'running' and ${jobs.finishedAt} is null)`

/** An entry that is due for a check, with the epoch that the stamp in a home has. */
export type DueCheck = DatabaseEntry & { readonly tenantEpoch: number }

/** Which health checks are due: of what was not checked for `minAgeMs`, nor since `before` (the catalog's clock). */
export interface CheckAge {
  readonly minAgeMs: number
  readonly before: Date | null
}

/** Claims validated entries that are due for a check, the longest unchecked first. */
export function claimHealthChecks(
  db: CatalogDb,
  { minAgeMs, before }: CheckAge,
  request: ClaimRequest,
): Promise<DueCheck[]> {
  const old = or(
    sql`${table.lastCheckedAt} is null`,
    and(
      lt(table.lastCheckedAt, fromNow(-minAgeMs)),
      before === null ? undefined : lt(table.lastCheckedAt, before),
    ),
    isTooFarAhead(table.lastCheckedAt, 0),
  )
  const validated = inArray(table.status, ['active', 'inactive'])
  const due = and(validated, old, unclaimed, unvalidated)
  return claim(db, { due, order: [sql`${table.lastCheckedAt} nulls first`], request })
}

/**
 * Writes down what came out of a health check, and lets the claim go. Answers the new status, or null when the claim no
 * longer stands and nothing was written.
 */
export async function endHealthCheck(
  tx: CatalogTx,
  claimed: Claim,
  outcome: Outcome,
  lifecycle: Lifecycle,
): Promise<DatabaseStatus | null> {
  const [before] = await tx.select(entryColumns).from(table).where(stillClaimed(claimed)).for('update')
  return before === undefined ? null : (await applyOutcome(tx, before, outcome, lifecycle)).status
}

/**
 * Makes of an entry, which the transaction has locked, what the lifecycle makes of it. A change of status (or of
 * moveRequired, or of which database it is) comes with its audit and change rows. Health checks under way do not count.
 */
export async function applyOutcome(
  tx: CatalogTx,
  before: DatabaseEntry,
  outcome: Outcome,
  lifecycle: Lifecycle,
): Promise<{ status: DatabaseStatus; retryInMs: number | null }> {
  const { state, retryInMs } = lifecycle(before, outcome.event)
  const { status, consecutiveFailures, validationAttempts } = state
  const [after] = await tx
    .update(table)
    .set({
      ...{ status, consecutiveFailures, validationAttempts },
      ...errorColumns(outcome, status),
      ...outcome.facts,
      ...(outcome.event === 'validation-succeeded' ? { validatedAt: sql`now()` } : {}),
      // A decision is for one validation.
      ...(outcome.event.startsWith('validation-') ? { adopt: false } : {}),
      lastCheckedAt: sql`now()`,
      updatedAt: sql`now()`,
      claimedBy: null,
      claimedUntil: null,
    })
    .where(eq(table.id, before.id))
    .returning(entryColumns)
  if (after !== undefined) await tell(tx, before, after)
  return { status, retryInMs }
}

/** What a health round has found of the schema of a database that answered. `version` is given where it was read. */
export interface SchemaFound {
  readonly isBehind: boolean
  readonly version?: SchemaVersion
}

/** The common case of a health check, in one statement: an active database answered. False when it is not that case. */
export async function endHealthyCheck(
  db: CatalogDb,
  claimed: Claim,
  { isBehind, version }: SchemaFound,
): Promise<boolean> {
  const healthy = {
    consecutiveFailures: 0,
    ...(isBehind ? outdated : noErrorButAmbiguity),
    ...(version !== undefined && { schemaVersion: version }),
    lastCheckedAt: sql`now()`,
    claimedBy: null,
    claimedUntil: null,
  }
  const active = and(stillClaimed(claimed), eq(table.status, 'active'))
  const done = await catalogErrors(db.update(table).set(healthy).where(active).returning({ id: table.id }))
  return done.length > 0
}

/** The columns of an entry with which nothing is wrong. */
export const noError = { lastErrorCode: null, lastErrorMessage: null, lastErrorAt: null }

/** That it is a copy is not undone by its being in good health. */
const unlessAmbiguous = (column: AnyPgColumn) =>
  sql`case when ${table.moveRequired} and ${table.lastErrorCode} = 'IDENTITY_AMBIGUOUS' then ${column} end`
const noErrorButAmbiguity = {
  lastErrorCode: unlessAmbiguous(table.lastErrorCode),
  lastErrorMessage: unlessAmbiguous(table.lastErrorMessage),
  lastErrorAt: unlessAmbiguous(table.lastErrorAt),
}

/** That it is behind is said once, and not over what says more: why its migrations failed. */
const isSaid = sql`${table.lastErrorCode} in ('SCHEMA_OUT_OF_DATE', 'MIGRATION_FAILED', 'IDENTITY_AMBIGUOUS')`
const unlessSaid = (column: AnyPgColumn, value: SQL) =>
  sql`case when ${isSaid} then ${column} else ${value} end`
/** The error columns of an active database that lacks migrations. */
export const outdated = {
  lastErrorCode: unlessSaid(table.lastErrorCode, sql`${'SCHEMA_OUT_OF_DATE'}::text`),
  lastErrorMessage: unlessSaid(table.lastErrorMessage, sql`${DATABASE_ERRORS.SCHEMA_OUT_OF_DATE}::text`),
  lastErrorAt: unlessSaid(table.lastErrorAt, sql`now()`),
}

const tenantEpoch = sql`(select t.epoch from tenants t where t.id = tenant_databases.tenant_id)`.mapWith(
  Number,
)

async function claim(
  db: CatalogDb,
  { due, order, request }: { due: SQL | undefined; order: SQL[]; request: ClaimRequest },
): Promise<DueCheck[]> {
  const { limit, leaseMs } = request
  // A CTE that locks is run once; as a subselect it could be run again, and claim more than was asked for.
  const free = db.$with('due').as(
    db
      .select({ id: table.id })
      .from(table)
      .where(due)
      .orderBy(...order)
      .limit(limit)
      .for('update', { skipLocked: true }),
  )
  const claimed = db
    .with(free)
    .update(table)
    .set({ claimedBy: newId(), claimedUntil: fromNow(leaseMs) })
    .where(inArray(table.id, db.select({ id: free.id }).from(free)))
    .returning({ ...entryColumns, tenantEpoch })
  return catalogErrors(claimed)
}

function stillClaimed({ id, rowVersion, claimedBy }: Claim): SQL | undefined {
  const owner = claimedBy === null ? sql`false` : eq(table.claimedBy, claimedBy)
  return and(eq(table.id, id), eq(table.rowVersion, rowVersion), owner)
}

function errorColumns({ errorCode, errorWords }: Outcome, status: DatabaseStatus) {
  if (errorCode !== undefined) {
    const lastErrorMessage = errorWords ?? DATABASE_ERRORS[errorCode]
    return { lastErrorCode: errorCode, lastErrorMessage, lastErrorAt: sql`now()` }
  }
  // An inactive database that answers keeps its error until it has been reactivated.
  return status === 'active' ? noError : {}
}

function isSameToRoutes(before: DatabaseEntry, after: DatabaseEntry): boolean {
  return (
    before.status === after.status &&
    before.moveRequired === after.moveRequired &&
    before.databaseOid === after.databaseOid &&
    isDeepStrictEqual(before.schemaVersion, after.schemaVersion) &&
    before.systemIdentifier === after.systemIdentifier
  )
}

async function tell(tx: CatalogTx, before: DatabaseEntry, after: DatabaseEntry): Promise<void> {
  if (isSameToRoutes(before, after)) return
  const { tenantId, id } = after
  const view = ({ slot, status, moveRequired, lastErrorCode, ...entry }: DatabaseEntry) => ({
    databaseId: id,
    ...{ slot, status, moveRequired, lastErrorCode, identity: identityOf(entry) },
  })
  const action = 'tenant.database.status'
  await recordAudit(tx, {
    ...{ actor: systemActor('health'), action, tenantId, before: view(before), after: view(after) },
  })
  await recordChange(tx, { kind: 'database', tenantId, subjectId: id })
}
