import { createHash } from 'node:crypto'
import { and, eq, inArray, sql } from 'drizzle-orm'
import type { AuthConfig } from '../../catalog/schema.ts'
import { fail, PublicError } from '../../errors.ts'
import { loginAttempts } from '../../residence/tables.ts'
import type { TenantSession } from '../../sql/session.ts'
import type { Reader } from '../people/users.ts'

/**
 * Wrong passwords in a row, counted in the tenant's own database: replicas share the count. What was typed as the name is
 * the subject, whether or not there is such a user, so that a lock tells nothing about who exists.
 */
export type LockoutPolicy = AuthConfig['lockout']

const PRUNED_AT_ONCE = 20

/** Whose attempts are counted. `name` is folded to one spelling already. */
export function attemptSubject(name: string): string {
  return createHash('sha256').update(name).digest('hex')
}

/**
 * Tries a password: counted, unless `prove` comes to no answer; a right one makes the wrong ones before it forgotten.
 *
 * @throws PublicError ACCOUNT_LOCKED; else whatever `prove` throws, INVALID_CREDENTIALS for a wrong password.
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
    // A database that is away now is what made the attempt fail, most likely.
    if (!isWrongPassword(error)) await refundAttempt(session, subject).catch(() => undefined)
    throw error
  }
}

/**
 * Counts an attempt, before anything is known of its outcome: guesses sent at once would otherwise all pass before the
 * first is found wrong. The lock lasts a whole window from the attempt that used up the last try.
 *
 * @throws PublicError ACCOUNT_LOCKED, with the seconds that are left.
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
  // Where one begins, some that are over may go: who tries name after name does not fill the table.
  if (row.attempts === 1) await pruneAttempts(session)
}

/** The password was right, or there is a new one. */
export async function clearAttempts({ tenantId, db }: Reader, subjects: readonly string[]): Promise<void> {
  const ofThese = inArray(loginAttempts.subject, [...subjects])
  await db.delete(loginAttempts).where(and(eq(loginAttempts.tenantId, tenantId), ofThese))
}

/** The attempt came to no answer (a database was away): it was no wrong password. */
async function refundAttempt({ tenantId, db }: Reader, subject: string): Promise<void> {
  await db.execute(sql`
    update login_attempts set attempts = attempts - 1
    where tenant_id = ${tenantId} and subject = ${subject} and attempts > 0`)
}

function isWrongPassword(error: unknown): boolean {
  return error instanceof PublicError && error.code === 'INVALID_CREDENTIALS'
}

/** Skips what others hold: this is housekeeping, and waits for nobody. */
async function pruneAttempts({ tenantId, db }: Reader): Promise<void> {
  await db.execute(sql`
    delete from login_attempts where tenant_id = ${tenantId} and subject in (
      select subject from login_attempts where tenant_id = ${tenantId} and expires_at <= now()
      limit ${PRUNED_AT_ONCE} for update skip locked)`)
}
