import { assertIdentity, IdentityMismatchError } from '../../lib/postgres/database-identity.ts'
import type { GuardedClient } from '../../lib/postgres/guarded-client.ts'
import { databaseError, type PhysicalIdentity } from '../../lib/postgres/pg.ts'
import { startTimeLimit } from '../../lib/time-limit.ts'

/** A new connection ended before it could be used. The next one may still succeed. */
export class CutOffError extends Error {}

const CONNECTION_ENDED = /^(?:57P0|08)/

/**
 * Proves that a new connection leads to the expected database. One proof for a connection is enough, because a connection never
 * changes its database. The stamp in the database is no proof: a copy of the database has the same stamp.
 * @throws IdentityMismatchError; CutOffError; or the error of the server
 */
export async function verifyIdentity(
  client: GuardedClient,
  expected: PhysicalIdentity | null,
  timeoutMs: number,
): Promise<void> {
  try {
    await withTimeLimit(assertIdentity(client, expected), timeoutMs)
  } catch (error) {
    throw wasCutOff(client, error) ? new CutOffError('cut off', { cause: error }) : error
  }
}

/** Has the outcome of `work`, or rejects if that takes too long. The time in which our event loop was busy does not count. */
async function withTimeLimit<T>(work: Promise<T>, ms: number): Promise<T> {
  const { promise: expired, reject } = Promise.withResolvers<never>()
  const limit = startTimeLimit(() => reject(new Error('no answer in time')), ms)
  // The losing promise may still reject; catch it so that Node does not report an unhandled rejection.
  work.catch(() => undefined)
  try {
    return await Promise.race([work, expired])
  } finally {
    limit.clear()
  }
}

/** True if the connection ended and the server gave no reason. False if it gave a reason or is silent. */
function wasCutOff(client: GuardedClient, error: unknown): boolean {
  if (error instanceof IdentityMismatchError || client.isOwedAnAnswer) return false
  const code = databaseError(error)?.code
  return code === undefined || CONNECTION_ENDED.test(code)
}
