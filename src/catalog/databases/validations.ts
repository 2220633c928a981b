import { and, eq } from 'drizzle-orm'
import { VALIDATION } from '../jobs/kinds.ts'
import { endJob, holdJob, type Job, type JobEnd, type NewJob, queueJob } from '../jobs/queue.ts'
import { type DatabaseStatus, tenantDatabases } from '../schema.ts'
import type { CatalogTx } from '../store.ts'
import { applyOutcome, type Change, type Outcome } from './claims.ts'
import { DATABASE_ERRORS, type DatabaseEntry, entryColumns, type Lifecycle } from './entry.ts'

/** An entry that is being validated. The result counts only while this version of it and the job's claim are valid. */
export type Validation = DatabaseEntry & { readonly job: Job }

/** What identifies a validation. */
export type ValidationClaim = Pick<Validation, 'id' | 'rowVersion' | 'job'>

/** The job that validates an entry. A replica can claim it only if it knows everything in `needs`. */
export function validationJob(
  { id, tenantId }: Pick<DatabaseEntry, 'id' | 'tenantId'>,
  { needs, dueInMs = 0 }: { needs: readonly string[]; dueInMs?: number },
): NewJob {
  return { kind: VALIDATION, subject: id, tenantId, needs, dueInMs }
}

/** Locks the entry under validation until the transaction ends; null if the claim is lost. */
export async function holdValidation(tx: CatalogTx, claimed: ValidationClaim): Promise<DatabaseEntry | null> {
  const { id, rowVersion, job } = claimed
  const version = and(eq(tenantDatabases.id, id), eq(tenantDatabases.rowVersion, rowVersion))
  // First the entry, then the job: a registration that replaces them locks in the same order.
  const [entry] = await tx.select(entryColumns).from(tenantDatabases).where(version).for('update')
  return entry !== undefined && (await holdJob(tx, job)) ? entry : null
}

/**
 * Records the outcome of a validation, ends its job, and queues the next one if it must be repeated. Returns the new status, or
 * null if the claim is lost and nothing was written.
 */
export async function endValidation(
  tx: CatalogTx,
  claimed: ValidationClaim,
  change: Change,
): Promise<DatabaseStatus | null> {
  const before = await holdValidation(tx, claimed)
  if (before === null) return null
  const { status, retryInMs } = await applyOutcome(tx, before, change)
  await endJob(tx, claimed.job, endOf(change.outcome, status))
  if (retryInMs !== null) {
    const { needs } = claimed.job
    await queueJob(tx, validationJob(before, { needs, dueInMs: retryInMs }))
  }
  return status
}

/** Locks an entry until the transaction ends; null if there is none. */
export async function lockEntry(tx: CatalogTx, id: string): Promise<DatabaseEntry | null> {
  const wanted = eq(tenantDatabases.id, id)
  const [entry] = await tx.select(entryColumns).from(tenantDatabases).where(wanted).for('update')
  return entry ?? null
}

/** Records a cancelled validation or migration. A database that was never valid becomes `failed`; no retry follows. */
export async function cancelValidation(tx: CatalogTx, entryId: string, lifecycle: Lifecycle): Promise<void> {
  const before = await lockEntry(tx, entryId)
  if (before === null) return
  const words = 'The validation was cancelled; start another with POST …/database/validate'
  const wasPending = before.status === 'pending_validation'
  const outcome: Outcome = {
    event: 'validation-cancelled',
    ...(wasPending && { errorCode: 'UNKNOWN', errorWords: words }),
  }
  await applyOutcome(tx, before, { outcome, lifecycle })
}

function endOf({ errorCode, errorWords, facts }: Outcome, status: DatabaseStatus): JobEnd {
  const result = { databaseStatus: status, moveRequired: facts?.moveRequired ?? false }
  // A copy is valid although it has an error.
  if (errorCode === undefined || facts !== undefined) return { status: 'succeeded', result }
  return { status: 'failed', error: { code: errorCode, message: errorWords ?? DATABASE_ERRORS[errorCode] } }
}
