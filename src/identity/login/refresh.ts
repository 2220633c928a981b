import { fail } from '../../errors.ts'
import { findUser, type UserWithGrants } from '../people/users.ts'
import { raiseToAnnounced } from './lost-generations.ts'
import { ownerOf, parseRefreshToken, refuseToken, repeatRotation, rotateSession } from './sessions.ts'
import {
  isContradicted,
  issuePair,
  type Origin,
  openActive,
  type SentRefreshToken,
  type SignInParts,
  type SignInTenant,
  type TokenPair,
} from './sign-in.ts'

/**
 * Exchanges a refresh token for new tokens, with the user's roles and permissions as they are now. Two requests that use it within
 * `refreshReuseSeconds` get the same refresh token.
 *
 * @throws PublicError INVALID_CREDENTIALS, REFRESH_TOKEN_REUSED, TENANT_NOT_FOUND; CATALOG_UNAVAILABLE and CONFLICT, after
 *   which the refresh token is as good as before.
 */
export async function refresh(
  parts: SignInParts,
  { refreshToken, tenantCode }: SentRefreshToken,
  origin: Origin,
): Promise<TokenPair> {
  const token = parseRefreshToken(refreshToken)
  if (!token) throw fail('INVALID_CREDENTIALS')
  const { tenant, session } = await openActive(parts, { id: token.tenantId })
  if (isContradicted(tenant, tenantCode)) {
    throw fail((await ownerOf(session, token)) === null ? 'INVALID_CREDENTIALS' : 'TENANT_AMBIGUOUS')
  }
  // Before the transaction: a request that holds a connection must not wait for a catalog that is out of reach.
  await parts.tokens.prepare(tenant.tenantId)
  // In one transaction. Otherwise a failure after the rotation would leave the caller with a used token, and using it again
  // ends the session.
  const pair = await session.transaction(async (db) => {
    const reader = { tenantId: session.tenantId, db }
    const succession = { token, next: parts.succeed(token) }
    const rotation =
      (await rotateSession(reader, succession, tenant.authConfig)) ??
      (await repeatRotation(reader, succession, tenant.authConfig))
    const user = rotation && (await findUser(reader, rotation.userId))
    if (user && hasLostGenerations(parts, tenant, user)) return { lost: user.id }
    return user && issuePair(parts.tokens, tenant, user, rotation.token)
  })
  if (pair && 'lost' in pair) {
    await raiseToAnnounced(session, pair.lost, parts.announcements.lowestOf(tenant.tenantId, pair.lost))
    throw fail('INVALID_CREDENTIALS')
  }
  if (pair) return pair
  const owner = await refuseToken(session, token)
  const actor = { type: 'user', id: owner, ...origin } as const
  parts.auditTrail.note({ actor, action: 'auth.refresh-reused', tenantId: tenant.tenantId })
  throw fail('REFRESH_TOKEN_REUSED')
}

/** Whether the database has lost that tokens of this user were revoked. The transaction must hold the user's row. */
function hasLostGenerations(
  { announcements }: SignInParts,
  { tenantId }: SignInTenant,
  user: UserWithGrants,
): boolean {
  return user.generation < announcements.lowestOf(tenantId, user.id)
}
