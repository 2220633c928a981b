import { eq } from 'drizzle-orm'
import { recordChange } from '../changes/follower.ts'
import { MIGRATION } from '../jobs/kinds.ts'
import { endJob, type Job, queueJob } from '../jobs/queue.ts'
import { type SchemaVersion, tenantDatabases } from '../schema.ts'
import type { CatalogTx } from '../store.ts'
import { applyOutcome } from './claims.ts'
import { DATABASE_ERRORS, type DatabaseEntry, type DatabaseErrorCode, type Lifecycle } from './entry.ts'
import { errorColumns, noClaim, noError } from './entry-columns.ts'
import { holdValidation, type Validation, validationJob } from './validations.ts'

export type MigrationOutcome =
  | { readonly ok: true; readonly schemaVersion: SchemaVersion; readonly applied: readonly string[] }
  | { readonly ok: false; readonly code: DatabaseErrorCode; readonly words: string | null }

/** Errors of a migration that health rounds do not find in an active database. */
const ABOUT_SCHEMA: readonly DatabaseErrorCode[] = [
  'MIGRATION_FAILED',
  'SCHEMA_DRIFTED',
  'PERMISSION_MISSING',
]

/** Ends a validation, and queues the first migration of the entry. False if the claim is lost. */
export async function queueFirstMigration(
  tx: CatalogTx,
  claimed: Validation,
  needs: readonly string[],
): Promise<boolean> {
  const entry = await holdValidation(tx, claimed)
  if (entry === null) return false
  const { id: subject, tenantId } = entry
  // Null if a migration is running already, because an operator asked again. That migration queues the next validation.
  const job = await queueJob(tx, { kind: MIGRATION, subject, tenantId, needs })
  const result = { migrationNeeded: true, ...(job !== null && { migrationJobId: job.id }) }
  return endJob(tx, claimed.job, { status: 'succeeded', result })
}

/**
 * Ends a claimed migration. An entry that was never valid is validated next or, if the migration failed, fails like a validation.
 * A serving entry keeps serving in every case. False, with nothing written, if the claim is lost.
 */
export async function endMigration(
  tx: CatalogTx,
  claimed: Validation,
  { outcome, lifecycle }: { outcome: MigrationOutcome; lifecycle: Lifecycle },
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
  if (entry.status === 'active' || entry.status === 'inactive') await endForServing(tx, entry, outcome)
  else await endForPending(tx, { entry, job, outcome, lifecycle })
  return true
}

async function endForServing(tx: CatalogTx, entry: DatabaseEntry, outcome: MigrationOutcome): Promise<void> {
  const isResolved =
    entry.lastErrorCode === 'SCHEMA_OUT_OF_DATE' || entry.lastErrorCode === 'MIGRATION_FAILED'
  // noClaim: a running health check may have read the schema before the migration.
  const known = eq(tenantDatabases.id, entry.id)
  if (outcome.ok) {
    const { schemaVersion } = outcome
    const set = { schemaVersion, ...(isResolved && noError), ...noClaim }
    await tx.update(tenantDatabases).set(set).where(known)
    await recordChange(tx, { kind: 'database', tenantId: entry.tenantId, subjectId: entry.id })
  } else if (ABOUT_SCHEMA.includes(outcome.code)) {
    const error = errorColumns(outcome.code, outcome.words)
    await tx
      .update(tenantDatabases)
      .set({ ...error, ...noClaim })
      .where(known)
  }
}

async function endForPending(
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
  const { retryInMs } = await applyOutcome(tx, entry, {
    outcome: { event, errorCode, errorWords },
    lifecycle,
  })
  if (retryInMs !== null) await queueJob(tx, validationJob(entry, { needs, dueInMs: retryInMs }))
}
