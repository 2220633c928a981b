import type { AuthConfig } from '../../catalog/schema.ts'
import { fail } from '../../errors.ts'
import { users } from '../../residence/tables.ts'
import type { TenantSession } from '../../sql/session.ts'
import { assertHolds, type Caller } from '../access/authority.ts'
import { assignRoles, findRoles, type Role, replaceRoles } from '../access/roles.ts'
import { attemptSubject, clearAttempts } from '../login/attempts.ts'
import type { PasswordHasher } from '../login/passwords.ts'
import { revokeSessionsOf } from '../login/sessions.ts'
import { changePeople } from './admins.ts'
import type { Announcements } from './announcements.ts'
import type { Changed } from './changed.ts'
import { typedName } from './names.ts'
import { cut } from './tenant-rows.ts'
import { assertUser, type NewUser, type UserPatch } from './user-form.ts'
import {
  assertEmailFree,
  conflictOnDuplicate,
  deleteUser,
  findUser,
  type PublicUser,
  publicUser,
  type Reader,
  raiseGeneration,
  type UserChanges,
  type UserWithGrants,
  updateUser,
  userValues,
} from './users.ts'

/** A tenant with its authentication settings, and a session that reads and changes its rows. */
export interface TenantWithSession {
  readonly route: { readonly tenantId: string; readonly authConfig: AuthConfig }
  readonly session: TenantSession
}

export interface PeopleParts {
  readonly hasher: PasswordHasher
  readonly announcements: Announcements
}

/** A patch, the hash of its password, and its caller. */
interface Change {
  /** The user's lowest valid generation, as announced. */
  readonly lowest: number
  readonly patch: UserPatch
  readonly passwordHash: string | undefined
  readonly caller: Caller
}

/**
 * Changes the users of a tenant. The rows are in the tenant database. After they are committed, the change is announced in the
 * catalog. A change that may remove something from a user revokes the user's tokens, also when it is repeated.
 */
export class People {
  readonly #hasher: PasswordHasher
  readonly #announcements: Announcements

  constructor({ hasher, announcements }: PeopleParts) {
    this.#hasher = hasher
    this.#announcements = announcements
  }

  /**
   * @throws PublicError VALIDATION_FAILED, REFERENCE_NOT_FOUND for a role that does not exist, PERMISSION_DENIED for a role that
   *   grants more than the caller holds, CONFLICT if a name or number is taken, RATE_LIMITED, CATALOG_UNAVAILABLE.
   */
  async create({ route, session }: TenantWithSession, input: NewUser, caller: Caller): Promise<PublicUser> {
    assertUser(input, route.authConfig.passwordPolicy)
    const values = userValues(route.tenantId, input, await this.#hasher.hash(input.password, route.tenantId))
    const user = await changePeople(session, async (reader) => {
      const roles = await findGrantable(reader, input.roles ?? [], caller)
      await assertEmailFree(reader, input.email, null)
      await reader.db.insert(users).values(values)
      await assignRoles(reader, values.id, idsOf(roles))
      return publicUser(existing(await findUser(reader, values.id)))
    }).catch(conflictOnDuplicate)
    const record = { actor: caller.actor, action: 'user.create', tenantId: route.tenantId }
    await this.#announcements.publish({ ...record, after: inAudit(user) })
    return user
  }

  /** @throws PublicError NOT_FOUND */
  async find({ session }: TenantWithSession, userId: string): Promise<PublicUser> {
    return publicUser(existing(await findUser(session, userId)))
  }

  /**
   * @throws PublicError as `create`; NOT_FOUND; PERMISSION_DENIED if the user holds a permission that the caller does not;
   *   CONFLICT for the last administrator.
   */
  async change(
    { route, session }: TenantWithSession,
    { userId, patch }: { readonly userId: string; readonly patch: UserPatch },
    caller: Caller,
  ): Promise<Changed<PublicUser>> {
    assertUser(patch, route.authConfig.passwordPolicy)
    const { password } = patch
    const passwordHash =
      password === undefined ? undefined : await this.#hasher.hash(password, route.tenantId)
    const { before, after } = await changePeople(session, async (reader) => {
      const before = existing(await findUser(reader, userId))
      const lowest = this.#announcements.lowestOf(route.tenantId, before.id)
      await applyChange(reader, before, { lowest, patch, passwordHash, caller })
      return { before, after: existing(await findUser(reader, userId)) }
    }).catch(conflictOnDuplicate)
    const seq = await this.#announcements.publish({
      ...{ actor: caller.actor, action: 'user.update', tenantId: route.tenantId },
      ...{ before: inAudit(before, patch), after: inAudit(after, patch) },
      voided: after.generation === before.generation ? [] : [after],
    })
    return { result: publicUser(after), seq }
  }

  /**
   * Removes a user in two steps, so that the request can be repeated. Until the change is announced, the user exists and is
   * INACTIVE.
   *
   * @returns the number of the change, to wait for.
   * @throws PublicError NOT_FOUND, PERMISSION_DENIED, CONFLICT for the last administrator and for a user that another
   *   request changed in the meantime, CATALOG_UNAVAILABLE.
   */
  async remove(
    { route, session }: TenantWithSession,
    userId: string,
    caller: Caller,
  ): Promise<number | null> {
    const user = await changePeople(session, async (reader) => {
      const before = existing(await findUser(reader, userId))
      assertHolds(caller, before.permissions)
      await updateUser(reader, userId, { status: 'INACTIVE' })
      const generation = await revokeAccess(
        reader,
        userId,
        this.#announcements.lowestOf(route.tenantId, before.id),
      )
      return { ...before, generation: generation ?? before.generation }
    })
    const record = { actor: caller.actor, action: 'user.delete', tenantId: route.tenantId }
    const seq = await this.#announcements.publish({ ...record, before: inAudit(user), voided: [user] })
    const deleted = await changePeople(session, (reader) => deleteUser(reader, user))
    if (!deleted && (await findUser(session, userId)) !== null) throw fail('CONFLICT')
    return seq
  }
}

/** Writes a user's new password, and revokes the user's access. Returns the new generation. */
export async function setPassword(
  reader: Reader,
  { id, email, username }: PublicUser,
  { passwordHash, lowest }: { readonly passwordHash: string; readonly lowest: number },
): Promise<number | null> {
  await updateUser(reader, id, { passwordHash })
  const names = username === null ? [email] : [email, username]
  const subjects = names.map((name) => attemptSubject(typedName(name)))
  await clearAttempts(reader, subjects)
  return revokeAccess(reader, id, lowest)
}

/**
 * Ends every login session of a user, and revokes the user's tokens by a new generation above the announced `lowest`. Returns the
 * new generation, or null if there is no such user.
 */
export async function revokeAccess(reader: Reader, userId: string, lowest: number): Promise<number | null> {
  // The user's row is locked first, as in each statement that adds a login session.
  const generation = await raiseGeneration(reader, userId, lowest)
  await revokeSessionsOf(reader, userId)
  return generation
}

async function applyChange(reader: Reader, before: UserWithGrants, change: Change): Promise<void> {
  const { lowest, patch, passwordHash, caller } = change
  const { email, username, name, taxNumber, status, roles } = patch
  if (changesAccess(patch)) assertHolds(caller, before.permissions)
  if (email !== undefined) await assertEmailFree(reader, email, before.id)
  const changes: UserChanges = {
    ...(email !== undefined && { email: typedName(email) }),
    ...(username !== undefined && { username }),
    ...(name !== undefined && { name }),
    ...(taxNumber !== undefined && { taxNumber }),
    ...(status !== undefined && { status }),
  }
  await updateUser(reader, before.id, changes)
  if (roles !== undefined) {
    await replaceRoles(reader, before.id, idsOf(await findGrantable(reader, roles, caller)))
  }
  if (passwordHash !== undefined) await setPassword(reader, before, { passwordHash, lowest })
  else if (status === 'INACTIVE') await revokeAccess(reader, before.id, lowest)
  else if (roles !== undefined) await raiseGeneration(reader, before.id, lowest)
}

/** True if a patch changes what the user may do, or who can sign in as the user. */
function changesAccess({ email, username, status, roles, password }: UserPatch): boolean {
  return [email, username, status, roles, password].some((part) => part !== undefined)
}

async function findGrantable(reader: Reader, names: readonly string[], caller: Caller): Promise<Role[]> {
  const roles = await findRoles(reader, [...new Set(names)])
  assertHolds(
    caller,
    roles.flatMap(({ permissions }) => permissions),
  )
  return roles
}

function idsOf(rows: readonly { readonly id: string }[]): string[] {
  return rows.map(({ id }) => id)
}

function existing<T>(user: T | null): T {
  if (user === null) throw fail('NOT_FOUND')
  return user
}

/** A user for the audit log, or the parts that a patch touches. For a password the log says only that it was replaced. */
function inAudit(user: PublicUser, patch?: UserPatch): Record<string, unknown> {
  const { id, createdAt: _made, updatedAt: _changed, ...rest } = publicUser(user)
  const parts = Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, cut(value)]))
  if (patch === undefined) return { userId: id, ...parts }
  const named = Object.entries(parts).filter(([name]) => name in patch)
  return {
    userId: id,
    ...Object.fromEntries(named),
    ...(patch.password !== undefined && { password: 'replaced' }),
  }
}
