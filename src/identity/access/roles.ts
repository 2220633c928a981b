import { and, asc, eq, gt, inArray, notInArray, sql } from 'drizzle-orm'
import { idFromCursor, type Page, pageOf } from '../../catalog/pages.ts'
import { type FieldError, fail } from '../../errors.ts'
import { isUuid } from '../../lib/ids.ts'
import { rolePermissions, roles, userRoles } from '../../residence/tables.ts'
import type { TenantSession } from '../../sql/session.ts'
import type { PageRequest } from '../callers/client-keys.ts'
import { composed, isName, NAME_RULE } from '../people/names.ts'
import { isGeneration, isId, namesOf } from '../people/tenant-rows.ts'
import type { Reader } from '../people/users.ts'
import { parsePermission } from './permissions.ts'

/** A role of a tenant, and what its users may do. */
export interface Role {
  readonly id: string
  readonly name: string
  readonly description: string | null
  readonly permissions: readonly string[]
  readonly createdAt: string
  readonly updatedAt: string
}

export interface NewRole {
  readonly name: string
  readonly description?: string | null | undefined
  readonly permissions: readonly string[]
}

export type RolePatch = Partial<NewRole>

const MAX_PERMISSIONS = 100
const MAX_NAME_LENGTH = 100

const permissionNames = sql<string[]>`array(
  select rp.permission from role_permissions rp
  where rp.tenant_id = roles.tenant_id and rp.role_id = roles.id order by rp.permission)`

const COLUMNS = {
  id: roles.id,
  name: roles.name,
  description: roles.description,
  permissions: permissionNames,
  createdAt: roles.createdAt,
  updatedAt: roles.updatedAt,
}

/** The tenant's roles, oldest first. */
export async function listRoles(
  { tenantId, db }: TenantSession,
  { limit, cursor }: PageRequest,
): Promise<Page<Role>> {
  const after = cursor === undefined ? undefined : gt(roles.id, idFromCursor(cursor))
  const query = db.select(COLUMNS).from(roles)
  const rows = await query
    .where(and(eq(roles.tenantId, tenantId), after))
    .orderBy(asc(roles.id))
    .limit(limit + 1)
  return pageOf(rows, limit)
}

/** Returns null also for a text that cannot be an id. */
export async function findRole({ tenantId, db }: Reader, roleId: string): Promise<Role | null> {
  if (!isUuid(roleId)) return null
  const query = db.select(COLUMNS).from(roles)
  const [row] = await query.where(and(eq(roles.tenantId, tenantId), eq(roles.id, roleId)))
  return row && isId(row.id) ? { ...row, permissions: namesOf(row.permissions) } : null
}

/**
 * The roles with these names, each name once.
 *
 * @throws PublicError REFERENCE_NOT_FOUND, with a pointer to each name that no role has.
 */
export async function findRoles({ tenantId, db }: Reader, names: readonly string[]): Promise<Role[]> {
  if (names.length === 0) return []
  const query = db.select(COLUMNS).from(roles)
  const found = await query.where(
    and(
      eq(roles.tenantId, tenantId),
      inArray(
        roles.name,
        names.flatMap((name) => [name, composed(name)]),
      ),
    ),
  )
  const byName = new Map(found.map((role) => [role.name, role]))
  const errors = names.flatMap((name, i) =>
    findSpelling(byName, name) ? [] : [{ pointer: `/roles/${i}`, message: 'there is no such role' }],
  )
  if (errors.length > 0) throw fail('REFERENCE_NOT_FOUND', { errors })
  return [...new Set(names.flatMap((name) => findSpelling(byName, name) ?? []))]
}

/** The names of old roles are not composed (NFC). They are found by their exact name, so two that differ only in this stay two. */
function findSpelling(byName: ReadonlyMap<string, Role>, name: string): Role | undefined {
  return byName.get(name) ?? byName.get(composed(name))
}

/** Adds these roles to a user. */
export async function assignRoles({ tenantId, db }: Reader, userId: string, roleIds: readonly string[]) {
  if (roleIds.length === 0) return
  const rows = roleIds.map((roleId) => ({ tenantId, userId, roleId }))
  await db.insert(userRoles).values(rows).onConflictDoNothing()
}

/** Gives a user exactly these roles. */
export async function replaceRoles(reader: Reader, userId: string, roleIds: readonly string[]) {
  const { tenantId, db } = reader
  const ofUser = and(eq(userRoles.tenantId, tenantId), eq(userRoles.userId, userId))
  const others = roleIds.length === 0 ? undefined : notInArray(userRoles.roleId, [...roleIds])
  await db.delete(userRoles).where(and(ofUser, others))
  await assignRoles(reader, userId, roleIds)
}

/** Gives a role exactly these permissions. */
export async function replacePermissions(
  { tenantId, db }: Reader,
  roleId: string,
  permissions: readonly string[],
) {
  const ofRole = and(eq(rolePermissions.tenantId, tenantId), eq(rolePermissions.roleId, roleId))
  await db.delete(rolePermissions).where(ofRole)
  if (permissions.length === 0) return
  const rows = permissions.map((permission) => ({ tenantId, roleId, permission }))
  await db.insert(rolePermissions).values(rows)
}

/** Starts a new generation of every user with the role, as `raiseGeneration` does. Returns the users. */
export async function voidTokensOfHolders(
  { tenantId, db }: Reader,
  roleId: string,
  lowest: ReadonlyMap<string, number>,
) {
  const { rows } = await db.execute<{ id: string; generation: number }>(sql`
    update users u set generation = 1 + greatest(u.generation, (
      select max(known.lowest)
      from unnest(${sql.param([...lowest.keys()])}::text[], ${sql.param([...lowest.values()])}::int[]) as known (id, lowest)
      where known.id = u.id::text))
    where u.tenant_id = ${tenantId} and u.id in (
      select ur.user_id from user_roles ur where ur.tenant_id = ${tenantId} and ur.role_id = ${roleId})
    returning u.id, u.generation`)
  return rows.filter(({ id, generation }) => isId(id) && isGeneration(generation))
}

/** @throws PublicError VALIDATION_FAILED */
export function assertRole(role: RolePatch): void {
  const errors = checkRole(role)
  if (errors.length > 0) throw fail('VALIDATION_FAILED', { errors })
}

/** The faults of a role, with a pointer to each. */
export function checkRole({ name, description, permissions = [] }: RolePatch): readonly FieldError[] {
  const errors: FieldError[] = []
  const fault = (pointer: string, message: string) => errors.push({ pointer, message })
  if (name !== undefined && (!isName(name) || name.length > MAX_NAME_LENGTH)) {
    fault('/name', `must have 1 to ${MAX_NAME_LENGTH} characters, and no control characters`)
  }
  if (description != null && !isName(description)) fault('/description', NAME_RULE)
  if (permissions.length > MAX_PERMISSIONS) {
    fault('/permissions', `must not have more than ${MAX_PERMISSIONS} items`)
  }
  permissions.forEach((permission, i) => {
    if (parsePermission(permission) === null) {
      fault(`/permissions/${i}`, 'must be resource:action, resource:* or *')
    }
  })
  return errors
}
