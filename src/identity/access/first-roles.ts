import type { FieldError } from '../../errors.ts'
import { newId } from '../../lib/ids.ts'
import { roles } from '../../residence/tables.ts'
import type { TenantSession } from '../../sql/session.ts'
import { ADMIN_ROLE } from '../people/admins.ts'
import { composed } from '../people/names.ts'
import { PermissionSet } from './permissions.ts'
import { checkRole, type NewRole, replacePermissions } from './roles.ts'

/** What is wrong with the roles that a new tenant is to have; `hasAdmin` where it gets an administrator as well. */
export function checkFirstRoles(wanted: readonly NewRole[], hasAdmin: boolean): FieldError[] {
  return wanted.flatMap((role, i) => {
    const faults = [...checkRole(role)]
    if (wanted.findIndex(({ name }) => composed(name) === composed(role.name)) < i)
      faults.push({ pointer: '/name', message: 'stands twice' })
    // It would be given everything, whatever stands beside it here.
    if (hasAdmin && role.name === ADMIN_ROLE)
      faults.push({ pointer: '/name', message: 'is the role that the administrator gets' })
    return faults.map(({ pointer, message }) => ({ pointer: `/roles/${i}${pointer}`, message }))
  })
}

/** Gives a tenant that is being made its roles: those of a tenant whose people come from an issuer of its own. */
export async function createFirstRoles(
  session: Pick<TenantSession, 'tenantId' | 'transaction'>,
  wanted: readonly NewRole[],
): Promise<void> {
  const { tenantId } = session
  await session.transaction(async (db) => {
    for (const { name, description = null, permissions } of wanted) {
      const id = newId()
      await db.insert(roles).values({ tenantId, id, name: composed(name), description })
      await replacePermissions({ tenantId, db }, id, new PermissionSet(permissions).list)
    }
  })
}
