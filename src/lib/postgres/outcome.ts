import type pg from 'pg'
import { fail } from '../../errors.ts'
import { sendCommand } from '../wire/send-command.ts'
import { databaseError } from './pg.ts'

/** SQLSTATEs after which the connection has ended: shutdown, crash, timeout of the session, or a pooler that lost its server. */
const CONNECTION_ENDED = /^(?:57P0|08|25P03|25P04)/
/** The server ends the connection with an error of such a severity. */
export const ENDING_SEVERITIES: ReadonlySet<string> = new Set(['FATAL', 'PANIC'])
const COMPLETION_UNKNOWN = '40003'
const QUERY_CANCELED = '57014'

/**
 * True if the database has answered that it did not do the work. After any other error the work may have been done:
 * PostgreSQL can close the connection between a commit and its answer (with `log_min_duration_statement`, or while it waits
 * for synchronous replication), and a pooler may close it at any time.
 */
export function isRefusal(error: unknown): boolean {
  const answer = databaseError(error)
  if (answer?.code === undefined || answer.code === COMPLETION_UNKNOWN) return false
  return !endsConnection(answer.code, answer.severity)
}

/** True if the connection ends with an error of this SQLSTATE and severity. */
export function endsConnection(code: string, severity = ''): boolean {
  // The code decides first: servers translate the severity.
  return CONNECTION_ENDED.test(code) || ENDING_SEVERITIES.has(severity)
}

/** Nothing was sent, so nothing was done. */
export class UnsentError extends Error {}

/**
 * Commits the transaction that is open on `client`.
 * @throws PublicError OUTCOME_UNKNOWN if COMMIT was sent and its answer did not come. Every other error means that nothing is
 *   committed: UnsentError, the database's reason for refusing it, or an Error if it had failed and was rolled back.
 */
export async function commit(client: pg.ClientBase): Promise<void> {
  const { command, wasSent, error } = await sendCommand(client, 'COMMIT')
  if (error === undefined) {
    if (command === 'COMMIT') return
    if (command === 'ROLLBACK') throw new Error('the transaction had failed and was rolled back')
    throw fail('OUTCOME_UNKNOWN', { cause: new Error('COMMIT was answered with something else') })
  }
  if (!wasSent) throw new UnsentError('COMMIT was not sent', { cause: error })
  // A cancel during a commit takes effect after the commit, at the moments named above.
  const isRefused = isRefusal(error) && databaseError(error)?.code !== QUERY_CANCELED
  throw isRefused ? error : fail('OUTCOME_UNKNOWN', { cause: error })
}
