import { and, eq } from 'drizzle-orm'
import { VALIDATION } from '../jobs/kinds.ts'
import { endJob, holdJob, type Job, type JobEnd, type NewJob, queueJob } from '../jobs/queue.ts'
import { type DatabaseStatus, tenantDatabases } from '../schema.ts'
import type { CatalogTx } from '../store.ts'
import type { Outcome } from './claims.ts'
import { applyOutcome } from './claims.ts'
import { DATABASE_ERRORS, type DatabaseEntry, entryColumns, type Lifecycle } from './entry.ts'

/** An entry that is being validated. A result counts only as long as this version of it and the job's claim stand. */
export type Validation = DatabaseEntry & { readonly job: Job }

/** Names a validation. */
export type ValidationClaim = Pick<Validation, 'id' | 'rowVersion' | 'job'>

/** The job that validates an entry, by a replica that knows what `needs` names. */
export function validationJob(
  { id, tenantId }: Pick<DatabaseEntry, 'id' | 'tenantId'>,
  { needs, dueInMs = 0 }: { needs: readonly string[]; dueInMs?: number },
): NewJob {
  return { kind: VALIDATION, subject: id, tenantId, needs, dueInMs }
}

/** The entry under validation, for as long as the transaction lasts; null where the claim does not stand any more. */
export async function holdValidation(tx: CatalogTx, claimed: ValidationClaim): Promise<DatabaseEntry | null> {
  const { id, rowVersion, job } = claimed
  const version = and(eq(tenantDatabases.id, id), eq(tenantDatabases.rowVersion, rowVersion))
  // The entry before the job: whoever replaces a validation locks them in this order.
  const [entry] = await tx.select(entryColumns).from(tenantDatabases).where(version).for('update')
  return entry !== undefined && (await holdJob(tx, job)) ? entry : null
}

/**
 * Writes down what came out of a validation, ends its job, and queues the next one where it is to be tried again. Answers
 * the new status, or null when the claim no longer stands and nothing was written.
 */
export async function endValidation(
  tx: CatalogTx,
  claimed: ValidationClaim,
  outcome: Outcome,
  lifecycle: Lifecycle,
): Promise<DatabaseStatus | null> {
  const before = await holdValidation(tx, claimed)
  if (before === null) return null
  const { status, retryInMs } = await applyOutcome(tx, before, outcome, lifecycle)
  await endJob(tx, claimed.job, endOf(outcome, status))
  if (retryInMs !== null) {
    const { needs } = claimed.job
    await queueJob(tx, validationJob(before, { needs, dueInMs: retryInMs }))
  }
  return status
}

/** An entry, for as long as the transaction lasts; null when there is no such. */
export async function lockEntry(tx: CatalogTx, id: string): Promise<DatabaseEntry | null> {
  const wanted = eq(tenantDatabases.id, id)
  const [entry] = await tx.select(entryColumns).from(tenantDatabases).where(wanted).for('update')
  return entry ?? null
}

/** What a cancelled validation or migration leaves behind: a database that was never valid has failed, and is not tried again. */
export async function cancelValidation(tx: CatalogTx, entryId: string, lifecycle: Lifecycle): Promise<void> {
  const before = await lockEntry(tx, entryId)
  if (before === null) return
  const words = 'Its validation was cancelled; POST …/database/validate begins another'
  const outcome: Outcome = { event: 'validation-cancelled' }
  const isNews = before.status === 'pending_validation'
  await applyOutcome(
    tx,
    before,
    isNews ? { ...outcome, errorCode: 'UNKNOWN', errorWords: words } : outcome,
    lifecycle,
  )
}

function endOf({ errorCode, errorWords, facts }: Outcome, status: DatabaseStatus): JobEnd {
  const result = { databaseStatus: status, moveRequired: facts?.moveRequired ?? false }
  // A copy is valid, and has an error.
  if (errorCode === undefined || facts !== undefined) return { status: 'succeeded', result }
  return { status: 'failed', error: { code: errorCode, message: errorWords ?? DATABASE_ERRORS[errorCode] } }
}
