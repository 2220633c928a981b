import { and, eq, sql } from 'drizzle-orm'
import { fail } from '../../errors.ts'
import { newId } from '../../lib/ids.ts'
import { databaseError } from '../../lib/postgres/pg.ts'
import { roles } from '../../residence/tables.ts'
import { changePeople } from '../people/admins.ts'
import type { Announcements } from '../people/announcements.ts'
import type { Changed } from '../people/changed.ts'
import { composed } from '../people/names.ts'
import type { TenantWithSession } from '../people/people.ts'
import { cut } from '../people/tenant-rows.ts'
import type { Reader } from '../people/users.ts'
import { assertHolds, type Caller } from './authority.ts'
import { PermissionSet } from './permissions.ts'
import {
  assertRole,
  findRole,
  type NewRole,
  type Role,
  type RolePatch,
  replacePermissions,
  voidTokensOfHolders,
} from './roles.ts'

const UNIQUE_VIOLATION = '23505'
/** Foreign key violations. Some servers use the code of RESTRICT for NO ACTION, too. */
const STILL_REFERENCED = new Set(['23503', '23001'])

/** Changes the roles of a tenant, and then announces the change in the catalog, so that every replica reads the new roles. */
export class RoleService {
  readonly #announcements: Announcements

  constructor(announcements: Announcements) {
    this.#announcements = announcements
  }

  /**
   * @throws PublicError VALIDATION_FAILED, PERMISSION_DENIED for a permission that the caller does not hold, CONFLICT if the name
   *   is taken.
   */
  async create({ route, session }: TenantWithSession, input: NewRole, caller: Caller): Promise<Role> {
    assertRole(input)
    assertHolds(caller, input.permissions)
    const { tenantId } = route
    const { name, description = null } = input
    const values = { tenantId, id: newId(), name: composed(name), description }
    const role = await changePeople(session, async (reader) => {
      await reader.db.insert(roles).values(values)
      await replacePermissions(reader, values.id, new PermissionSet(input.permissions).list)
      return existing(await findRole(reader, values.id))
    }).catch(conflictOf)
    const record = { actor: caller.actor, action: 'role.create', tenantId }
    await this.#announcements.publish({ ...record, after: inAudit(role), rolesChanged: true })
    return role
  }

  /** @throws PublicError NOT_FOUND */
  async find({ session }: TenantWithSession, roleId: string): Promise<Role> {
    return existing(await findRole(session, roleId))
  }

  /**
   * A patch with permissions revokes the tokens of all users with the role, even if it removes no permission: an earlier request
   * may have made the same patch and failed to announce it.
   *
   * @throws PublicError as `create`, NOT_FOUND, CONFLICT if the tenant would have no administrator.
   */
  async change(
    { route, session }: TenantWithSession,
    { roleId, patch }: { readonly roleId: string; readonly patch: RolePatch },
    caller: Caller,
  ): Promise<Changed<Role>> {
    assertRole(patch)
    assertHolds(caller, patch.permissions ?? [])
    const lowest = this.#announcements.lowestOfTenant(route.tenantId)
    const { before, after, voided } = await changePeople(session, async (reader) => {
      const before = existing(await findRole(reader, roleId))
      assertHolds(caller, before.permissions)
      await applyPatch(reader, roleId, patch)
      const after = existing(await findRole(reader, roleId))
      return {
        before,
        after,
        voided: patch.permissions === undefined ? [] : await voidTokensOfHolders(reader, roleId, lowest),
      }
    }).catch(conflictOf)
    const seq = await this.#announcements.publish({
      ...{ actor: caller.actor, action: 'role.update', tenantId: route.tenantId },
      ...{ before: inAudit(before), after: inAudit(after), rolesChanged: true, voided },
    })
    return { result: after, seq }
  }

  /**
   * @returns the number of the change, to wait for.
   * @throws PublicError NOT_FOUND, PERMISSION_DENIED, CONFLICT while users have the role.
   */
  async remove(
    { route, session }: TenantWithSession,
    roleId: string,
    caller: Caller,
  ): Promise<number | null> {
    const { tenantId } = route
    const role = await changePeople(session, async ({ db }) => {
      const role = existing(await findRole({ tenantId, db }, roleId))
      assertHolds(caller, role.permissions)
      await db.delete(roles).where(and(eq(roles.tenantId, tenantId), eq(roles.id, roleId)))
      return role
    }).catch(conflictOf)
    const record = { actor: caller.actor, action: 'role.delete', tenantId }
    return this.#announcements.publish({ ...record, before: inAudit(role), rolesChanged: true })
  }
}

async function applyPatch(reader: Reader, roleId: string, { name, description, permissions }: RolePatch) {
  const changes = {
    ...(name !== undefined && { name: composed(name) }),
    ...(description !== undefined && { description }),
  }
  const ofRole = and(eq(roles.tenantId, reader.tenantId), eq(roles.id, roleId))
  await reader.db
    .update(roles)
    .set({ ...changes, updatedAt: sql`now()` })
    .where(ofRole)
  if (permissions === undefined) return
  await replacePermissions(reader, roleId, new PermissionSet(permissions).list)
}

function existing(role: Role | null): Role {
  if (role === null) throw fail('NOT_FOUND')
  return role
}

function inAudit({ id, name, description, permissions }: Role): Record<string, unknown> {
  return { roleId: id, name: cut(name), description: cut(description), permissions }
}

function conflictOf(error: unknown): never {
  const code = databaseError(error)?.code
  if (code === UNIQUE_VIOLATION) {
    const errors = [{ pointer: '/name', message: 'is taken' }]
    throw fail('CONFLICT', { detail: 'The name is taken.', errors })
  }
  if (code !== undefined && STILL_REFERENCED.has(code)) {
    throw fail('CONFLICT', { detail: 'Users have this role. Take it from them first.' })
  }
  throw error
}
