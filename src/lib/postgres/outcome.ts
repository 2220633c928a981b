import type pg from 'pg'
import { fail } from '../../errors.ts'
import { sendCommand } from '../wire/send-command.ts'
import { databaseError } from './pg.ts'

/** With these the conversation is over: shut down, crashed, timed out as a whole; a pooler has lost the server behind it. */
const CONNECTION_ENDED = /^(?:57P0|08|25P03|25P04)/
const HUNG_UP = new Set(['FATAL', 'PANIC'])
const COMPLETION_UNKNOWN = '40003'
const QUERY_CANCELED = '57014'

/**
 * True if the database has answered, in order, that what it was asked was not done. Of everything else the opposite may
 * be true as well: PostgreSQL can hang up between a commit and its answer (`log_min_duration_statement` makes it look for
 * a reason to, synchronous replication waits there), and a pooler hangs up when it likes.
 */
export function isRefusal(error: unknown): boolean {
  const said = databaseError(error)
  if (said?.code === undefined || said.code === COMPLETION_UNKNOWN) return false
  // The codes first: servers say the severity in their own language.
  return !CONNECTION_ENDED.test(said.code) && !HUNG_UP.has(said.severity ?? '')
}

/** Nothing went out, so nothing can have happened. */
export class UnsentError extends Error {}

/**
 * Commits the transaction that is open on `client`.
 * @throws PublicError OUTCOME_UNKNOWN where COMMIT went out and its answer did not come. All else says that it is not
 *   committed: UnsentError, what the database refused it for, an Error where it had failed and was rolled back.
 */
export async function commit(client: pg.ClientBase): Promise<void> {
  const { command, wasSent, error } = await sendCommand(client, 'COMMIT')
  if (error === undefined) {
    if (command === 'COMMIT') return
    if (command === 'ROLLBACK') throw new Error('the transaction had failed and was rolled back')
    throw fail('OUTCOME_UNKNOWN', { cause: new Error('COMMIT was answered with something else') })
  }
  if (!wasSent) throw new UnsentError('COMMIT was not sent', { cause: error })
  // A cancel that comes during a commit takes effect after it, where the server looks for one as above.
  const isRefused = isRefusal(error) && databaseError(error)?.code !== QUERY_CANCELED
  throw isRefused ? error : fail('OUTCOME_UNKNOWN', { cause: error })
}
