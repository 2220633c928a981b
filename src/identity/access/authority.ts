import type { Actor } from '../../catalog/audit/entries.ts'
import { fail } from '../../errors.ts'
import type { PermissionSet } from './permissions.ts'

/** The caller of a change of a tenant's users and roles, with the caller's own permissions. Operators hold every permission. */
export interface Caller {
  readonly actor: Actor
  readonly permissions: PermissionSet
}

/**
 * A caller must hold each permission that the change gives or takes, and each permission of a user whom the caller changes:
 * who may set a user's password may sign in as that user.
 *
 * @throws PublicError PERMISSION_DENIED, with the first that is missing.
 */
export function assertHolds({ permissions }: Caller, wanted: Iterable<string>): void {
  for (const permission of wanted) {
    if (!permissions.has(permission)) throw fail('PERMISSION_DENIED', { required: permission })
  }
}
