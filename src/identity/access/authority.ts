import type { Actor } from '../../catalog/audit/entries.ts'
import { fail } from '../../errors.ts'
import type { PermissionSet } from './permissions.ts'

/** The caller who changes a tenant's users or roles, and the caller's own permissions. Operators hold every permission. */
export interface Caller {
  readonly actor: Actor
  readonly permissions: PermissionSet
}

/**
 * A caller must hold each permission that the change grants or removes, and each permission of the user who is changed: a
 * caller who sets a user's password can sign in as that user.
 *
 * @throws PublicError PERMISSION_DENIED, with the first missing permission.
 */
export function assertHolds({ permissions }: Caller, wanted: Iterable<string>): void {
  for (const permission of wanted) {
    if (!permissions.has(permission)) throw fail('PERMISSION_DENIED', { required: permission })
  }
}
