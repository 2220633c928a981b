import { type Actor, recordAudit } from '../catalog/audit/entries.ts'
import type { DatabaseRegistry } from '../catalog/databases/registry.ts'
import { lockEntry } from '../catalog/databases/validations.ts'
import { KEY_ROTATION, MIGRATION, SHARED, VALIDATION } from '../catalog/jobs/kinds.ts'
import { findJob, requestCancel } from '../catalog/jobs/list.ts'
import type { Job } from '../catalog/jobs/queue.ts'
import type { CatalogStore, CatalogTx } from '../catalog/store.ts'
import { fail } from '../errors.ts'

export interface CancelJobDeps {
  readonly store: CatalogStore
  readonly registry: Pick<DatabaseRegistry, 'cancelValidation'>
}

/** Kinds of jobs that cannot be cancelled, with the reason: they must not stop half-way. */
const NOT_CANCELLED = new Map([
  [KEY_ROTATION, 'A rotation goes on until no data key is sealed under another master key.'],
])

/**
 * Cancels a job: a queued one ends at once, a running one within seconds.
 * @throws PublicError NOT_FOUND, WRONG_STATE for a job that has finished or cannot be cancelled
 */
export async function cancelJob(deps: CancelJobDeps, id: string, actor: Actor): Promise<Job> {
  const { kind, subject } = await findJob(deps.store, id)
  const detail = NOT_CANCELLED.get(kind)
  if (detail !== undefined) throw fail('WRONG_STATE', { detail })
  return deps.store.transaction(async (tx) => {
    if (isOfEntry(kind, subject)) await lockEntry(tx, subject)
    const job = await requestCancel(tx, id)
    if (job === null) throw fail('WRONG_STATE', { detail: 'The job has finished.' })
    if (job.status === 'cancelled') await recordCancelled(deps, tx, job)
    const after = { jobId: id, kind, runId: job.runId }
    await recordAudit(tx, { actor, action: 'job.cancel', tenantId: job.tenantId, after })
    return job
  })
}

/** Writes what the job's handler writes when a running job is cancelled. */
async function recordCancelled({ registry }: CancelJobDeps, tx: CatalogTx, job: Job): Promise<void> {
  if (isOfEntry(job.kind, job.subject)) await registry.cancelValidation(tx, job.subject)
}

function isOfEntry(kind: string, subject: string): boolean {
  return kind === VALIDATION || (kind === MIGRATION && subject !== SHARED)
}
