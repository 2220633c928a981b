import { fail } from '../../errors.ts'
import { findUser, type UserWithGrants } from '../people/users.ts'
import { raiseToAnnounced } from './lost-generations.ts'
import { ownerOf, parseRefreshToken, refuseToken, repeatRotation, rotateSession } from './sessions.ts'
import {
  issuePair,
  namesOtherTenant,
  type Origin,
  openActive,
  type SentRefreshToken,
  type SignInParts,
  type SignInTenant,
  type TokenPair,
} from './sign-in.ts'

/**
 * Exchanges a refresh token for new tokens, with the user's current roles and permissions. Two requests that use the same token
 * within `refreshReuseSeconds` get the same new refresh token.
 *
 * @throws PublicError INVALID_CREDENTIALS, REFRESH_TOKEN_REUSED, TENANT_NOT_FOUND. After CATALOG_UNAVAILABLE and CONFLICT the
 *   refresh token is still valid.
 */
export async function refresh(
  parts: SignInParts,
  { refreshToken, tenantCode }: SentRefreshToken,
  origin: Origin,
): Promise<TokenPair> {
  const token = parseRefreshToken(refreshToken)
  if (!token) throw fail('INVALID_CREDENTIALS')
  const { tenant, session } = await openActive(parts, { id: token.tenantId })
  if (namesOtherTenant(tenant, tenantCode)) {
    throw fail((await ownerOf(session, token)) === null ? 'INVALID_CREDENTIALS' : 'TENANT_AMBIGUOUS')
  }
  // Before the transaction: a request that holds a connection must not wait for a catalog that cannot be reached.
  await parts.tokens.prepare(tenant.tenantId)
  // In one transaction. Otherwise a failure after the rotation would leave the caller with a used token, and its second use would
  // end the login session.
  const pair = await session.transaction(async (db) => {
    const reader = { tenantId: session.tenantId, db }
    const succession = { token, next: parts.succeed(token) }
    const rotation =
      (await rotateSession(reader, succession, tenant.authConfig)) ??
      (await repeatRotation(reader, succession, tenant.authConfig))
    const user = rotation && (await findUser(reader, rotation.userId))
    if (user && hasLostGenerations(parts, tenant, user)) return { lost: user.id }
    return user && issuePair(parts.tokens, { tenant, user, refreshToken: rotation.token })
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

/** True if the database has lost a revocation of this user's tokens. The transaction must have locked the user's row. */
function hasLostGenerations(
  { announcements }: SignInParts,
  { tenantId }: SignInTenant,
  user: UserWithGrants,
): boolean {
  return user.generation < announcements.lowestOf(tenantId, user.id)
}
