import { type FieldError, fail } from '../../errors.ts'
import type { PasswordPolicy } from '../login/passwords.ts'
import { isName, NAME_RULE } from './names.ts'
import { checkUser } from './user-form.ts'

/** A tenant that an account becomes a member of, and the names of its roles in that tenant. */
export interface NewMembership {
  readonly tenantId: string
  readonly roles: readonly string[]
}

/** The parts of an account that a caller sends. */
interface AccountInput {
  readonly email?: string
  readonly name?: string | null
  readonly password?: string
  readonly roles?: readonly string[]
  readonly memberships?: readonly NewMembership[]
}

export const MAX_MEMBERSHIPS = 100
/**
 * The most bytes of the claims `authorization` and `roles`. With the other claims, the header and the signature, and in
 * base64url, a token then stays below `MAX_ISSUED_BYTES`.
 */
const MAX_CLAIM_BYTES = 5_500

/** @throws PublicError VALIDATION_FAILED for each given part that is wrong. */
export function assertAccount(input: AccountInput, policy: PasswordPolicy): void {
  const errors = [...checkUser(input, policy), ...membershipFaults(input)]
  if (errors.length > 0) throw fail('VALIDATION_FAILED', { errors })
}

/**
 * Refuses memberships and roles that do not fit into a token. Otherwise the account's next login would fail.
 *
 * @throws PublicError CONFLICT
 */
export function assertFitsToken(roles: readonly string[], memberships: readonly NewMembership[]): void {
  const authorization = Object.fromEntries(memberships.map((m) => [m.tenantId, { roles: m.roles }]))
  const bytes = Buffer.byteLength(JSON.stringify({ authorization, roles }))
  if (memberships.length <= MAX_MEMBERSHIPS && bytes <= MAX_CLAIM_BYTES) return
  throw fail('CONFLICT', { detail: 'These are more memberships and roles than a token can carry.' })
}

function membershipFaults({ memberships = [] }: AccountInput): FieldError[] {
  const seen = new Set<string>()
  return memberships.flatMap(({ tenantId, roles }, i) => {
    const below = `/memberships/${i}`
    const twice = seen.has(tenantId)
      ? [{ pointer: `${below}/tenantId`, message: 'must not be given twice' }]
      : []
    seen.add(tenantId)
    const unnamed = roles.flatMap((role, n) =>
      isName(role) ? [] : [{ pointer: `${below}/roles/${n}`, message: NAME_RULE }],
    )
    return [...twice, ...unnamed]
  })
}
