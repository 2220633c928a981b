import { eq, sql } from 'drizzle-orm'
import { recordChange } from '../changes/follower.ts'
import { MIGRATION } from '../jobs/kinds.ts'
import { endRunIfDone } from '../jobs/migration-runs.ts'
import { endJob, type Job, queueJob } from '../jobs/queue.ts'
import { type SchemaVersion, tenantDatabases } from '../schema.ts'
import type { CatalogTx } from '../store.ts'
import { applyOutcome, noError } from './claims.ts'
import { DATABASE_ERRORS, type DatabaseEntry, type DatabaseErrorCode, type Lifecycle } from './entry.ts'
import { holdValidation, type Validation, validationJob } from './validations.ts'

export type MigrationOutcome =
  | { readonly ok: true; readonly schemaVersion: SchemaVersion; readonly applied: readonly string[] }
  | { readonly ok: false; readonly code: DatabaseErrorCode; readonly words: string | null }

/** What a migration found wrong with an active database that health rounds do not see. */
const ABOUT_SCHEMA: readonly DatabaseErrorCode[] = [
  'MIGRATION_FAILED',
  'SCHEMA_DRIFTED',
  'PERMISSION_MISSING',
]

/** Ends a validation, and queues the migration of an entry that cannot serve without one. False when the claim no longer stands. */
export async function queueFirstMigration(
  tx: CatalogTx,
  claimed: Validation,
  needs: readonly string[],
): Promise<boolean> {
  const entry = await holdValidation(tx, claimed)
  if (entry === null) return false
  const { id: subject, tenantId } = entry
  // Where one is at work already, for it was asked to validate once more, the next validation is that one's.
  const job = await queueJob(tx, { kind: MIGRATION, subject, tenantId, needs })
  const result = { migrationNeeded: true, ...(job !== null && { migrationJobId: job.id }) }
  return endJob(tx, claimed.job, { status: 'succeeded', result })
}

/**
 * Ends a claimed migration. An entry that was never valid is validated next, or has failed as a validation fails; one that
 * serves goes on serving whatever came out. False, with nothing written, when the claim no longer stands.
 */
export async function endMigration(
  tx: CatalogTx,
  claimed: Validation,
  outcome: MigrationOutcome,
  lifecycle: Lifecycle,
): Promise<boolean> {
  const entry = await holdValidation(tx, claimed)
  if (entry === null) return false
  const { job } = claimed
  if (outcome.ok) {
    const { schemaVersion, applied } = outcome
    await endJob(tx, job, { status: 'succeeded', result: { schemaVersion, applied } })
  } else {
    const { code, words } = outcome
    await endJob(tx, job, { status: 'failed', error: { code, message: words ?? DATABASE_ERRORS[code] } })
  }
  if (entry.status === 'active' || entry.status === 'inactive') await settleServing(tx, entry, outcome)
  else await settleWaiting(tx, { entry, job, outcome, lifecycle })
  if (job.runId !== null) await endRunIfDone(tx, job.runId)
  return true
}

async function settleServing(tx: CatalogTx, entry: DatabaseEntry, outcome: MigrationOutcome): Promise<void> {
  const isOver = entry.lastErrorCode === 'SCHEMA_OUT_OF_DATE' || entry.lastErrorCode === 'MIGRATION_FAILED'
  // A health check under way has seen the schema of before.
  const unclaimed = { claimedBy: null, claimedUntil: null }
  const known = eq(tenantDatabases.id, entry.id)
  if (outcome.ok) {
    const { schemaVersion } = outcome
    const set = { schemaVersion, ...(isOver && noError), ...unclaimed }
    await tx.update(tenantDatabases).set(set).where(known)
    await recordChange(tx, { kind: 'database', tenantId: entry.tenantId, subjectId: entry.id })
  } else if (ABOUT_SCHEMA.includes(outcome.code)) {
    const lastErrorMessage = outcome.words ?? DATABASE_ERRORS[outcome.code]
    const error = { lastErrorCode: outcome.code, lastErrorMessage, lastErrorAt: sql`now()` }
    await tx
      .update(tenantDatabases)
      .set({ ...error, ...unclaimed })
      .where(known)
  }
}

async function settleWaiting(
  tx: CatalogTx,
  {
    entry,
    job,
    outcome,
    lifecycle,
  }: {
    entry: DatabaseEntry
    job: Job
    outcome: MigrationOutcome
    lifecycle: Lifecycle
  },
): Promise<void> {
  const { needs } = job
  if (outcome.ok) {
    await queueJob(tx, validationJob(entry, { needs }))
    return
  }
  const { code: errorCode, words: errorWords } = outcome
  const event = errorCode === 'READ_ONLY' ? 'validation-read-only' : 'validation-failed'
  const { retryInMs } = await applyOutcome(tx, entry, { event, errorCode, errorWords }, lifecycle)
  if (retryInMs !== null) await queueJob(tx, validationJob(entry, { needs, dueInMs: retryInMs }))
}
