import type { Actor } from '../../catalog/audit/entries.ts'
import { fail } from '../../errors.ts'
import type { PermissionSet } from './permissions.ts'

/** Who asks for a change of a tenant's people, and what they may do themselves. Operators hold everything. */
export interface Caller {
  readonly actor: Actor
  readonly permissions: PermissionSet
}

/**
 * Nobody gives or takes a permission that they do not hold, nor has power over whoever holds one: a password that one may
 * set is an account that one may use.
 *
 * @throws PublicError PERMISSION_DENIED, with the first that is missing.
 */
export function assertHolds({ permissions }: Caller, wanted: Iterable<string>): void {
  for (const permission of wanted) {
    if (!permissions.has(permission)) throw fail('PERMISSION_DENIED', { required: permission })
  }
}
