import type { FieldError } from '../../errors.ts'
import { newId } from '../../lib/ids.ts'
import { roles } from '../../residence/tables.ts'
import type { TenantSession } from '../../sql/session.ts'
import { ADMIN_ROLE } from '../people/admins.ts'
import { composed } from '../people/names.ts'
import { PermissionSet } from './permissions.ts'
import { checkRole, type NewRole, replacePermissions } from './roles.ts'

/** The faults of a new tenant's roles. `hasAdmin` is true if the tenant also gets an administrator. */
export function checkFirstRoles(wanted: readonly NewRole[], hasAdmin: boolean): FieldError[] {
  return wanted.flatMap((role, i) => {
    const faults = [...checkRole(role)]
    if (wanted.findIndex(({ name }) => composed(name) === composed(role.name)) < i)
      faults.push({ pointer: '/name', message: 'is given twice' })
    // The administrator's role permits everything, whatever permissions are given here.
    if (hasAdmin && role.name === ADMIN_ROLE)
      faults.push({ pointer: '/name', message: 'is the role that the administrator gets' })
    return faults.map(({ pointer, message }) => ({ pointer: `/roles/${i}${pointer}`, message }))
  })
}

/** Creates the roles of a new tenant. A tenant whose users come from a trusted issuer needs them from the start. */
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
