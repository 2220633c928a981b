import { fail } from '../../errors.ts'
import { shutOut } from '../people/people.ts'
import { endSession, ownerOf, parseRefreshToken } from './sessions.ts'
import {
  isContradicted,
  type Origin,
  type SentRefreshToken,
  type SignInParts,
  UNKNOWN_USER,
} from './sign-in.ts'

/** Which login sessions to end, and in which request. */
export interface Logout {
  /** All of the user's, and the user's access tokens with them; otherwise those of the token's family. */
  readonly everywhere: boolean
  readonly origin: Origin
}

/**
 * Ends the login sessions of the refresh token's family, or all of its user. A text that is no token of an ACTIVE tenant has
 * none to end.
 *
 * @returns the number of the change that revokes access tokens, to wait for; null where none is revoked.
 */
export async function logout(
  parts: Pick<SignInParts, 'openTenant' | 'announcements' | 'auditTrail'>,
  { refreshToken, tenantCode }: SentRefreshToken,
  { everywhere, origin }: Logout,
): Promise<number | null> {
  const token = parseRefreshToken(refreshToken)
  const opened = token && (await parts.openTenant({ id: token.tenantId }))
  if (!token || opened?.tenant.status !== 'ACTIVE') return null
  const session = await opened.session()
  const { tenantId } = session
  if (isContradicted(opened.tenant, tenantCode)) {
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
  const generation = await session.transaction((db) => shutOut({ tenantId, db }, userId, lowest))
  if (generation === null) return null
  return parts.announcements.publish({
    ...{ actor: { type: 'user', id: userId, ...origin }, action: 'user.logout-everywhere', tenantId },
    voided: [{ id: userId, generation }],
  })
}
