import type { Actor } from '../../catalog/audit/entries.ts'
import { type FieldError, fail } from '../../errors.ts'
import type { Announcements } from '../people/announcements.ts'
import { typedName } from '../people/names.ts'
import { setPassword, type TenantWithSession } from '../people/people.ts'
import { findUser, type UserWithGrants } from '../people/users.ts'
import { attemptSubject, tryPassword } from './attempts.ts'
import type { LoginSlots } from './login-slots.ts'
import {
  checkPolicy,
  MAX_PASSWORD_BYTES,
  type PasswordHasher,
  type PasswordPolicy,
  passwordTooLong,
} from './passwords.ts'

export interface PasswordChange {
  readonly currentPassword: string
  readonly newPassword: string
  /** The user whose password changes. */
  readonly actor: Actor
}

export interface OwnPasswordParts {
  readonly hasher: PasswordHasher
  readonly slots: LoginSlots
  readonly announcements: Announcements
}

/**
 * Changes a user's own password, and ends all login sessions of the user. A wrong current password counts as at a login.
 *
 * @throws PublicError VALIDATION_FAILED, INVALID_CREDENTIALS, ACCOUNT_LOCKED, RATE_LIMITED; PERMISSION_DENIED if there is
 *   no such user, as for tokens that a tenant signs for its own users; CATALOG_UNAVAILABLE.
 * @returns the number of the change, to wait for.
 */
export async function changePassword(
  parts: OwnPasswordParts,
  tenant: TenantWithSession,
  change: PasswordChange,
): Promise<number | null> {
  const { actor } = change
  assertPasswords(change, tenant.route.authConfig.passwordPolicy)
  // Read before the row. A generation is announced after the row was raised, so a row below this has lost changes.
  const lowest = parts.announcements.lowestOf(tenant.route.tenantId, actor.id)
  const user = await findUser(tenant.session, actor.id)
  if (user?.status !== 'ACTIVE')
    throw fail('PERMISSION_DENIED', { detail: 'The caller has no password here.' })
  const passwordHash = await parts.slots.run(tenant.route.tenantId, async () => {
    await provePassword(parts.hasher, tenant, { user, password: change.currentPassword })
    return parts.hasher.hash(change.newPassword, tenant.route.tenantId)
  })
  const generation = await replace(tenant, user, { passwordHash, lowest })
  const record = { actor, action: 'user.password-change', tenantId: tenant.route.tenantId }
  const after = { userId: user.id }
  return parts.announcements.publish({ ...record, after, voided: [{ id: user.id, generation }] })
}

async function provePassword(
  hasher: PasswordHasher,
  { route, session }: TenantWithSession,
  { user, password }: { readonly user: UserWithGrants; readonly password: string },
): Promise<void> {
  const attempt = { subject: attemptSubject(typedName(user.email)), policy: route.authConfig.lockout }
  await tryPassword(session, attempt, async () => {
    const isRight = await hasher.verify(user.passwordHash, password, route.tenantId)
    if (!isRight) throw fail('INVALID_CREDENTIALS')
  })
}

/** The password that was checked must still be the user's: an administrator may have replaced it in the meantime. */
async function replace(
  { session }: TenantWithSession,
  user: UserWithGrants,
  change: { readonly passwordHash: string; readonly lowest: number },
): Promise<number> {
  return session.transaction(async (db) => {
    const reader = { tenantId: session.tenantId, db }
    const generation = await setPassword(reader, user, change)
    if (generation !== Math.max(user.generation, change.lowest) + 1) throw fail('INVALID_CREDENTIALS')
    return generation
  })
}

function assertPasswords({ currentPassword, newPassword }: PasswordChange, policy: PasswordPolicy): void {
  const errors: FieldError[] = []
  if (passwordTooLong(currentPassword)) {
    errors.push({ pointer: '/currentPassword', message: `must not exceed ${MAX_PASSWORD_BYTES} bytes` })
  }
  const weak = checkPolicy(newPassword, policy, '/newPassword')
  if (weak !== null) errors.push(weak)
  if (errors.length > 0) throw fail('VALIDATION_FAILED', { errors })
}
