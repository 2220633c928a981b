import type { GuardedClient } from '../lib/postgres/guarded-client.ts'
import type { ServerAddress } from '../lib/postgres/pg.ts'
import { startTimeLimit, type TimeLimit } from '../lib/time-limit.ts'
import { withAdminConnection } from '../pools/admin-connection.ts'
import type { ConnectionBudget } from '../pools/budget.ts'
import { CHECK_ANSWER_BYTES } from './checks.ts'
import { CheckFailure } from './failures.ts'
import { ADMISSION_TIMEOUT_MS } from './tenant-connection.ts'

export interface CheckConnection {
  readonly address: ServerAddress
  readonly connectTimeoutMs: number
  readonly statementTimeoutMs: number
  /** Time limit for all checks together, from the open connection until `endChecks`. */
  readonly checksTimeoutMs: number
  /** Ends the connection when the job is cancelled or another replica has taken it over. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Lends a connection for the checks of one database and the steps after them.
 * @throws CheckFailure CONNECTION_TIMEOUT if the checks last too long; errors of connecting and of `fn`
 */
export async function withCheckConnection<T>(
  budget: ConnectionBudget,
  connection: CheckConnection,
  fn: (client: GuardedClient, endChecks: () => void) => Promise<T>,
): Promise<T> {
  const { address, connectTimeoutMs, statementTimeoutMs, checksTimeoutMs, signal } = connection
  const deadline = new AbortController()
  let limit: TimeLimit | undefined
  const limits = { connectTimeoutMs, statementTimeoutMs, maxAnswerBytes: CHECK_ANSWER_BYTES }
  const options = {
    ...{ budget, limits, admissionTimeoutMs: ADMISSION_TIMEOUT_MS },
    signal: signal === undefined ? deadline.signal : AbortSignal.any([deadline.signal, signal]),
  }
  try {
    return await withAdminConnection(address, options, (client) => {
      // Starts here, because connecting has its own limit, and waiting for the budget is not a fault of the database.
      limit = startTimeLimit(() => deadline.abort(), checksTimeoutMs)
      return fn(client, () => limit?.clear())
    })
  } catch (error) {
    throw deadline.signal.aborted ? new CheckFailure('CONNECTION_TIMEOUT', error) : error
  } finally {
    limit?.clear()
  }
}
