import type { Validation } from '../catalog/databases/validations.ts'
import { VALIDATION } from '../catalog/jobs/kinds.ts'
import { endJob } from '../catalog/jobs/queue.ts'
import { PublicError } from '../errors.ts'
import type { JobHandler, JobOutcome, RunningJob } from '../jobs/runner.ts'
import { NoAdmissionError } from '../pools/admin-connection.ts'
import { isInProgress, type ValidationDeps, validateDatabase } from './validate-database.ts'

/** Time limit for all checks of one database, after the connection was opened. */
const TIMEOUT_MS = 8_000
const CONCURRENCY = 4
/** The pause after a validation without a result, because the tenant was moved meanwhile. */
const RETRY_MS = 1_000

export type ValidationJobDeps = Omit<ValidationDeps, 'timeoutMs' | 'signal' | 'onOutcome'> & {
  readonly onOutcome: (entry: Validation, outcome: string) => void
}

/** Validates registered databases. */
export function validationHandler(deps: ValidationJobDeps): JobHandler {
  return {
    ...{ kind: VALIDATION, concurrency: CONCURRENCY, endsWithProcess: false },
    run: (running) => validate(deps, running),
    cancel: async (tx, job) => {
      await deps.registry.cancelValidation(tx, job.subject)
      return endJob(tx, job, { status: 'cancelled' })
    },
  }
}

async function validate(deps: ValidationJobDeps, { job, signal }: RunningJob): Promise<JobOutcome> {
  const entry = await deps.registry.validationOf(job)
  if (entry === null) return { error: { code: 'NOT_FOUND', message: 'The database is no longer registered' } }
  const onOutcome = (outcome: string) => deps.onOutcome(entry, outcome)
  try {
    const result = await validateDatabase({ ...deps, timeoutMs: TIMEOUT_MS, signal, onOutcome }, entry)
    return result === null ? { retryInMs: RETRY_MS } : { ended: result }
  } catch (error) {
    // Retry at once: another replica may have a free connection, and the other move may have ended.
    if (error instanceof NoAdmissionError)
      return { retryInMs: 0, error: publicError('NO_CONNECTION_AVAILABLE') }
    if (isInProgress(error)) return { retryInMs: 0, error: publicError('MOVE_IN_PROGRESS') }
    throw error
  }
}

function publicError(code: ConstructorParameters<typeof PublicError>[0]) {
  return { code, message: new PublicError(code).message }
}
