import { isDeepStrictEqual } from 'node:util'
import { and, eq, inArray, lt, or, type SQL, sql } from 'drizzle-orm'
import { type AnyPgColumn, unionAll } from 'drizzle-orm/pg-core'
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
import { errorColumns, noClaim, noError } from './entry-columns.ts'

/**
 * One claim of a health check on one version of an entry. Each claim has a new `claimedBy`, also if the same process claims the
 * entry again. A result counts only while the row still has all three values.
 */
export type Claim = Pick<DatabaseEntry, 'id' | 'rowVersion' | 'claimedBy'>

export interface ClaimRequest {
  limit: number
  /** How long the entry cannot be claimed again, by the catalog's clock; at most a minute. */
  leaseMs: number
}

/** The outcome of a check or a validation. `facts` are columns to write besides those that the lifecycle decides. */
export interface Outcome {
  event: LifecycleEvent
  errorCode?: DatabaseErrorCode
  /** Replaces the text of the code. */
  errorWords?: string | null
  facts?: Partial<
    Pick<
      DatabaseEntry,
      'moveRequired' | 'serverVersion' | 'schemaVersion' | 'systemIdentifier' | 'databaseOid'
    >
  >
}

/** An outcome, and the lifecycle that decides what it means. */
export interface Change {
  readonly outcome: Outcome
  readonly lifecycle: Lifecycle
}

const table = tenantDatabases
const LONGEST_LEASE_MS = 60_000
const unclaimed = or(
  sql`${table.claimedUntil} is null`,
  sql`${table.claimedUntil} < now()`,
  isTooFarAhead(table.claimedUntil, LONGEST_LEASE_MS),
)
/** A database is not checked while it is being validated. */
const unvalidated = sql`not exists (
  select from ${jobs} where ${jobs.kind} = ${VALIDATION} and ${jobs.subject} = ${table.id}::text
    and ${jobs.status} = 'running' and ${jobs.finishedAt} is null)`

/** An entry that is due for a check, with the tenant's epoch in the catalog. */
export type DueCheck = DatabaseEntry & { readonly tenantEpoch: number }

/** A check is due if the last one is older than `minAgeMs` and than `before` (by the catalog's clock). */
export interface CheckAge {
  readonly minAgeMs: number
  readonly before: Date | null
}

/** Claims validated entries that are due for a check. The oldest check comes first. */
export function claimHealthChecks(
  db: CatalogDb,
  { minAgeMs, before }: CheckAge,
  { limit, leaseMs }: ClaimRequest,
): Promise<DueCheck[]> {
  const old = and(
    lt(table.lastCheckedAt, fromNow(-minAgeMs)),
    before === null ? undefined : lt(table.lastCheckedAt, before),
  )
  // Each of these reads one range of the index. One condition with OR would read all entries when few are due.
  const never = db.$with('never').as(oldestFirst(db, sql`${table.lastCheckedAt} is null`, limit))
  const earlier = db.$with('earlier').as(oldestFirst(db, old, limit))
  const ahead = db.$with('ahead').as(oldestFirst(db, isTooFarAhead(table.lastCheckedAt, 0), limit))
  const idsOf = (part: typeof never | typeof earlier | typeof ahead) => db.select({ id: part.id }).from(part)
  // A CTE that locks runs once, and only until the limit is reached. So no more rows are locked than are claimed.
  const due = unionAll(idsOf(never), idsOf(earlier), idsOf(ahead)).limit(limit)
  const claimed = db
    .with(never, earlier, ahead)
    .update(table)
    .set({ claimedBy: newId(), claimedUntil: fromNow(leaseMs) })
    .where(inArray(table.id, due))
    .returning({ ...entryColumns, tenantEpoch })
  return catalogErrors(claimed)
}

/** Locks free entries in the order of the index `tenant_databases_due_idx`. */
function oldestFirst(db: CatalogDb, isDue: SQL | undefined, limit: number) {
  // Written as in the predicate of the index, because PostgreSQL compares their texts.
  const validated = sql`${table.status} in ('active', 'inactive')`
  return db
    .select({ id: table.id })
    .from(table)
    .where(and(validated, isDue, unclaimed, unvalidated))
    .orderBy(sql`${table.lastCheckedAt} nulls first`)
    .limit(limit)
    .for('update', { skipLocked: true })
}

/**
 * Records the outcome of a health check and drops the claim. Returns the new status, or null if the claim is lost and nothing
 * was written.
 */
export async function endHealthCheck(
  tx: CatalogTx,
  claimed: Claim,
  change: Change,
): Promise<DatabaseStatus | null> {
  const [before] = await tx.select(entryColumns).from(table).where(stillClaimed(claimed)).for('update')
  return before === undefined ? null : (await applyOutcome(tx, before, change)).status
}

/**
 * Changes an entry as the lifecycle decides. The transaction must have locked the entry. If the status, moveRequired or the
 * identity changes, it also writes audit and change rows. The results of running health checks no longer count.
 */
export async function applyOutcome(
  tx: CatalogTx,
  before: DatabaseEntry,
  { outcome, lifecycle }: Change,
): Promise<{ status: DatabaseStatus; retryInMs: number | null }> {
  const { state, retryInMs } = lifecycle(before, outcome.event)
  const { status, consecutiveFailures, validationAttempts } = state
  const [after] = await tx
    .update(table)
    .set({
      ...{ status, consecutiveFailures, validationAttempts },
      ...errorAfter(outcome, status),
      ...outcome.facts,
      ...(outcome.event === 'validation-succeeded' ? { validatedAt: sql`now()` } : {}),
      // The operator's choice counts for one validation only.
      ...(outcome.event.startsWith('validation-') ? { adopt: false } : {}),
      lastCheckedAt: sql`now()`,
      updatedAt: sql`now()`,
      ...noClaim,
    })
    .where(eq(table.id, before.id))
    .returning(entryColumns)
  if (after !== undefined) await recordDifference(tx, before, after)
  return { status, retryInMs }
}

/** What a health check has found about the schema. `version` is absent if it was not read. */
export interface SchemaFound {
  readonly isBehind: boolean
  readonly version?: SchemaVersion
}

/** The common case of a health check in one statement: an active database has answered. False in every other case. */
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
    ...noClaim,
  }
  const active = and(stillClaimed(claimed), eq(table.status, 'active'))
  const done = await catalogErrors(db.update(table).set(healthy).where(active).returning({ id: table.id }))
  return done.length > 0
}

/** A healthy copy is still a copy, so its IDENTITY_AMBIGUOUS stays. */
const unlessAmbiguous = (column: AnyPgColumn) =>
  sql`case when ${table.moveRequired} and ${table.lastErrorCode} = 'IDENTITY_AMBIGUOUS' then ${column} end`
const noErrorButAmbiguity = {
  lastErrorCode: unlessAmbiguous(table.lastErrorCode),
  lastErrorMessage: unlessAmbiguous(table.lastErrorMessage),
  lastErrorAt: unlessAmbiguous(table.lastErrorAt),
}

/** SCHEMA_OUT_OF_DATE is written once, and never replaces a more precise error. */
const isKnown = sql`${table.lastErrorCode} in ('SCHEMA_OUT_OF_DATE', 'MIGRATION_FAILED', 'IDENTITY_AMBIGUOUS')`
const unlessKnown = (column: AnyPgColumn, value: SQL) =>
  sql`case when ${isKnown} then ${column} else ${value} end`
/** The error columns of an active database that lacks migrations. */
export const outdated = {
  lastErrorCode: unlessKnown(table.lastErrorCode, sql`${'SCHEMA_OUT_OF_DATE'}::text`),
  lastErrorMessage: unlessKnown(table.lastErrorMessage, sql`${DATABASE_ERRORS.SCHEMA_OUT_OF_DATE}::text`),
  lastErrorAt: unlessKnown(table.lastErrorAt, sql`now()`),
}

const tenantEpoch = sql`(select t.epoch from tenants t where t.id = tenant_databases.tenant_id)`.mapWith(
  Number,
)

function stillClaimed({ id, rowVersion, claimedBy }: Claim): SQL | undefined {
  const owner = claimedBy === null ? sql`false` : eq(table.claimedBy, claimedBy)
  return and(eq(table.id, id), eq(table.rowVersion, rowVersion), owner)
}

function errorAfter({ errorCode, errorWords }: Outcome, status: DatabaseStatus) {
  if (errorCode !== undefined) return errorColumns(errorCode, errorWords)
  // An inactive database that answers keeps its error until it is reactivated.
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

async function recordDifference(tx: CatalogTx, before: DatabaseEntry, after: DatabaseEntry): Promise<void> {
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
