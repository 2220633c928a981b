import { type FieldError, fail } from '../../errors.ts'
import type { PasswordPolicy } from '../login/passwords.ts'
import { isName, NAME_RULE } from './names.ts'
import { checkUser } from './user-form.ts'

/** A tenant to work in, and the names of the roles of that tenant to have there. */
export interface NewMembership {
  readonly tenantId: string
  readonly roles: readonly string[]
}

/** The parts of an account that people type. */
interface AccountInput {
  readonly email?: string
  readonly name?: string | null
  readonly password?: string
  readonly roles?: readonly string[]
  readonly memberships?: readonly NewMembership[]
}

export const MAX_MEMBERSHIPS = 100
/**
 * Bytes of the claims `authorization` and `roles`. With the other claims, the header and the signature, and as base64url,
 * a token then stays below the 8 KB that are the most we read.
 */
const MAX_CLAIM_BYTES = 5_500

/** @throws PublicError VALIDATION_FAILED for what is given and wrong. */
export function assertAccount(input: AccountInput, policy: PasswordPolicy): void {
  const errors = [...checkUser(input, policy), ...membershipFaults(input)]
  if (errors.length > 0) throw fail('VALIDATION_FAILED', { errors })
}

/**
 * Refuses when it is given what login would else have to refuse later.
 *
 * @throws PublicError CONFLICT
 */
export function assertCarriable(roles: readonly string[], memberships: readonly NewMembership[]): void {
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
