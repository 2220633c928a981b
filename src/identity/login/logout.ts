import { isServed } from '../../catalog/directory.ts'
import { fail } from '../../errors.ts'
import { revokeAccess } from '../people/people.ts'
import { endSession, ownerOf, parseRefreshToken } from './sessions.ts'
import {
  namesOtherTenant,
  type Origin,
  type SentRefreshToken,
  type SignInParts,
  UNKNOWN_USER,
} from './sign-in.ts'

/** Which login sessions end, and the request that ends them. */
export interface Logout {
  /** If true, all login sessions and access tokens of the user end. Otherwise only the token's family ends. */
  readonly everywhere: boolean
  readonly origin: Origin
}

/**
 * Ends the login sessions of the refresh token's family, or all login sessions of its user. A text that is no token of an ACTIVE
 * tenant ends nothing.
 *
 * @returns the number of the change that revokes access tokens, to wait for. Null if none is revoked.
 */
export async function logout(
  parts: Pick<SignInParts, 'openTenant' | 'announcements' | 'auditTrail'>,
  { refreshToken, tenantCode }: SentRefreshToken,
  { everywhere, origin }: Logout,
): Promise<number | null> {
  const token = parseRefreshToken(refreshToken)
  const opened = token && (await parts.openTenant({ id: token.tenantId }))
  if (!token || !opened || !isServed(opened.tenant)) return null
  const session = await opened.session()
  const { tenantId } = session
  if (namesOtherTenant(opened.tenant, tenantCode)) {
    if ((await ownerOf(session, token)) === null) return null
    throw fail('TENANT_AMBIGUOUS')
  }
  if (!everywhere) {
    const owner = await endSession(session, token)
    const actor = { type: 'user', id: owner ?? UNKNOWN_USER, ...origin } as const
    if (owner !== null) parts.auditTrail.note({ actor, action: 'auth.logout', tenantId })
    return null
  }
  const userId = await ownerOf(session, token)
  if (userId === null) return null
  const lowest = parts.announcements.lowestOf(tenantId, userId)
  const generation = await session.transaction((db) => revokeAccess({ tenantId, db }, userId, lowest))
  if (generation === null) return null
  return parts.announcements.publish({
    ...{ actor: { type: 'user', id: userId, ...origin }, action: 'user.logout-everywhere', tenantId },
    voided: [{ id: userId, generation }],
  })
}
