import { createHash } from 'node:crypto'
import { and, eq, inArray, sql } from 'drizzle-orm'
import type { AuthConfig } from '../../catalog/schema.ts'
import { fail, PublicError } from '../../errors.ts'
import { loginAttempts } from '../../residence/tables.ts'
import type { TenantSession } from '../../sql/session.ts'
import type { Reader } from '../people/users.ts'

/**
 * Wrong passwords in a row are counted in the tenant database, so that replicas share the count. The subject is the typed name,
 * whether or not such a user exists: a lock must not tell whether the user exists.
 */
export type LockoutPolicy = AuthConfig['lockout']

const PRUNED_AT_ONCE = 20

/** The subject of attempts with this name. `name` must be in its one spelling (`typedName`). */
export function attemptSubject(name: string): string {
  return createHash('sha256').update(name).digest('hex')
}

/**
 * Tries a password. The attempt counts, unless `prove` fails for another reason than a wrong password. A right password resets
 * the count.
 *
 * @throws PublicError ACCOUNT_LOCKED, and what `prove` throws: INVALID_CREDENTIALS for a wrong password.
 */
export async function tryPassword<T>(
  session: TenantSession,
  { subject, policy }: { subject: string; policy: LockoutPolicy },
  prove: () => Promise<T>,
): Promise<T> {
  await beginAttempt(session, subject, policy)
  try {
    const proved = await prove()
    await clearAttempts(session, [subject])
    return proved
  } catch (error) {
    // The refund may fail for the same reason as the attempt, for example a database that does not answer.
    if (!isWrongPassword(error)) await refundAttempt(session, subject).catch(() => undefined)
    throw error
  }
}

/**
 * Counts an attempt before its outcome is known. Otherwise many guesses sent at the same time would all be checked before the
 * first one is counted. The lock lasts for one whole window after the last allowed attempt.
 *
 * @throws PublicError ACCOUNT_LOCKED, with the remaining seconds.
 */
async function beginAttempt(
  session: TenantSession,
  subject: string,
  { attempts: allowed, windowSeconds }: LockoutPolicy,
): Promise<void> {
  const { rows } = await session.db.execute<{ attempts: number; seconds: number }>(sql`
    insert into login_attempts as a (tenant_id, subject, attempts, expires_at)
    values (${session.tenantId}, ${subject}, 1, now() + make_interval(secs => ${windowSeconds}::double precision))
    on conflict (tenant_id, subject) do update set
      attempts = case when a.expires_at <= now() then 1 else least(a.attempts, ${allowed}::int) + 1 end,
      expires_at = case when a.expires_at <= now() or a.attempts + 1 = ${allowed}::int
        then excluded.expires_at else a.expires_at end
    returning attempts, ceil(extract(epoch from expires_at - now()))::int as seconds`)
  const [row] = rows
  if (!row) throw new Error('the attempt was not counted')
  if (row.attempts > allowed) throw fail('ACCOUNT_LOCKED', { retryAfterSeconds: Math.max(1, row.seconds) })
  // Each new subject removes some old ones, so that an attacker who tries many names does not fill the table.
  if (row.attempts === 1) await pruneAttempts(session)
}

/** Call this after a right password, or after a change of the password. */
export async function clearAttempts({ tenantId, db }: Reader, subjects: readonly string[]): Promise<void> {
  const ofThese = inArray(loginAttempts.subject, [...subjects])
  await db.delete(loginAttempts).where(and(eq(loginAttempts.tenantId, tenantId), ofThese))
}

/** Takes back an attempt that failed for another reason than a wrong password, for example an outage of a database. */
async function refundAttempt({ tenantId, db }: Reader, subject: string): Promise<void> {
  await db.execute(sql`
    update login_attempts set attempts = attempts - 1
    where tenant_id = ${tenantId} and subject = ${subject} and attempts > 0`)
}

function isWrongPassword(error: unknown): boolean {
  return error instanceof PublicError && error.code === 'INVALID_CREDENTIALS'
}

/** Skips rows that other transactions have locked, so that this cleanup does not wait. */
async function pruneAttempts({ tenantId, db }: Reader): Promise<void> {
  await db.execute(sql`
    delete from login_attempts where tenant_id = ${tenantId} and subject in (
      select subject from login_attempts where tenant_id = ${tenantId} and expires_at <= now()
      limit ${PRUNED_AT_ONCE} for update skip locked)`)
}
