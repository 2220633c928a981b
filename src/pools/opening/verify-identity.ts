import { assertIdentity, IdentityMismatchError } from '../../lib/postgres/database-identity.ts'
import type { GuardedClient } from '../../lib/postgres/guarded-client.ts'
import { databaseError, type PhysicalIdentity } from '../../lib/postgres/pg.ts'
import { startTimeLimit } from '../../lib/time-limit.ts'

/** A new connection ended before it could be used. That does not mean that the next one will fail. */
export class CutOffError extends Error {}

const CONNECTION_ENDED = /^(?:57P0|08)/

/**
 * Proves that a new connection leads to the expected database. A connection stays with its database, even if the name is
 * given to another one later. The stamp inside does not prove it: a copy of the database has the same stamp.
 * @throws IdentityMismatchError; CutOffError; or what the server said
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

/** Settles as `work` does, unless that takes too long. The time in which we were busy does not count. */
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

/** False if the server said why it does not answer, and if it said nothing at all. */
function wasCutOff(client: GuardedClient, error: unknown): boolean {
  if (error instanceof IdentityMismatchError || client.isOwedAnAnswer) return false
  const code = databaseError(error)?.code
  return code === undefined || CONNECTION_ENDED.test(code)
}
