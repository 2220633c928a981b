import type { AuthConfig, TenantStatus } from '../catalog/schema.ts'
import { fail } from '../errors.ts'
import type { TenantSession } from '../tenant/session.ts'
import type { LoginLimiter } from './login-limiter.ts'
import { MAX_PASSWORD_BYTES, type PasswordHasher, passwordTooLong } from './passwords.ts'
import {
  endSession,
  parseRefreshToken,
  type RefreshToken,
  refuseToken,
  revokeFamily,
  rotateSession,
  startSession,
} from './sessions.ts'
import type { AccessTokens } from './tokens.ts'
import { findForLogin, findUser, type LoginName, loginNameText, type UserWithGrants } from './users.ts'

export interface Credentials {
  readonly tenantCode: string
  readonly email?: string | undefined
  readonly username?: string | undefined
  readonly password: string
}

export interface TokenPair {
  readonly accessToken: string
  readonly refreshToken: string
  readonly tokenType: 'Bearer'
  /** Seconds that the access token lasts. */
  readonly expiresIn: number
}

/** What signing in needs to know of a tenant. A `Route` is one. */
export interface SignInTenant {
  readonly tenantId: string
  readonly code: string
  readonly status: TenantStatus
  readonly authConfig: AuthConfig
}

/** A tenant and the way to its rows. `session` is called for an ACTIVE tenant only. */
export interface OpenedTenant {
  readonly tenant: SignInTenant
  readonly session: () => TenantSession | Promise<TenantSession>
}

export interface SignInParts {
  readonly tokens: AccessTokens
  readonly hasher: PasswordHasher
  readonly limiter: LoginLimiter
  readonly openTenant: (by: { code: string } | { id: string }) => Promise<OpenedTenant | null>
}

const TENANT_CODE = /^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$/
const MAX_LOGIN_NAME_LENGTH = 254

/**
 * Exchanges a password for tokens. An unknown user, an inactive one and a wrong password get one answer after one duration.
 *
 * @throws PublicError VALIDATION_FAILED, TENANT_NOT_FOUND, INVALID_CREDENTIALS, ACCOUNT_LOCKED, RATE_LIMITED.
 */
export async function login(parts: SignInParts, credentials: Credentials): Promise<TokenPair> {
  const name = readLoginName(credentials)
  if (!TENANT_CODE.test(credentials.tenantCode)) throw fail('TENANT_NOT_FOUND')
  const { tenant, session } = await openActive(parts, { code: credentials.tenantCode })
  const subject = { tenantId: tenant.tenantId, identifier: loginNameText(name) }
  parts.limiter.begin(subject, tenant.authConfig.lockout)
  try {
    const user = await provePassword(parts.hasher, session, name, credentials.password)
    parts.limiter.clear(subject)
    const refreshToken = await startSession(session, user.id, tenant.authConfig)
    return await issuePair(parts.tokens, tenant, user, refreshToken)
  } catch (error) {
    if (!isWrongPassword(error)) parts.limiter.refund(subject)
    throw error
  }
}

/**
 * Exchanges a refresh token for new tokens, with the user's roles and permissions as they are now.
 *
 * @throws PublicError INVALID_CREDENTIALS, REFRESH_TOKEN_REUSED, TENANT_NOT_FOUND.
 */
export async function refresh(parts: SignInParts, refreshToken: string): Promise<TokenPair> {
  const token = parseRefreshToken(refreshToken)
  if (!token) throw fail('INVALID_CREDENTIALS')
  const { tenant, session } = await openActive(parts, { id: token.tenantId })
  // In one transaction: were the user's reading to fail after the rotation, the caller would be left with a used token.
  const rotated = await session.transaction(async (db) => {
    const reader = { tenantId: session.tenantId, db }
    const rotation = await rotateSession(reader, token, tenant.authConfig)
    return rotation && { rotation, user: await findUser(reader, rotation.userId) }
  })
  if (!rotated) return refuseToken(session, token)
  const { rotation, user } = rotated
  if (user?.status !== 'ACTIVE') {
    await revokeFamily(session, rotation.familyId)
    throw fail('INVALID_CREDENTIALS')
  }
  return issuePair(parts.tokens, tenant, user, rotation.token)
}

/** Ends the refresh token's family. Whatever is no token of a living tenant is ended already. */
export async function logout(parts: SignInParts, refreshToken: string): Promise<void> {
  const token = parseRefreshToken(refreshToken)
  const opened = token && (await parts.openTenant({ id: token.tenantId }))
  if (!token || opened?.tenant.status !== 'ACTIVE') return
  await endSession(await opened.session(), token)
}

function readLoginName({ email, username, password }: Credentials): LoginName {
  const fault = (pointer: string, message: string) =>
    fail('VALIDATION_FAILED', { errors: [{ pointer, message }] })
  if (passwordTooLong(password)) throw fault('/password', `must not exceed ${MAX_PASSWORD_BYTES} bytes`)
  if ((email ?? username ?? '').length > MAX_LOGIN_NAME_LENGTH) {
    throw fault(
      email === undefined ? '/username' : '/email',
      `must not exceed ${MAX_LOGIN_NAME_LENGTH} characters`,
    )
  }
  if (email !== undefined && username === undefined) return { email }
  if (username !== undefined && email === undefined) return { username }
  throw fault('/email', 'give either email or username')
}

async function openActive(parts: SignInParts, by: { code: string } | { id: string }) {
  const opened = await parts.openTenant(by)
  if (opened?.tenant.status !== 'ACTIVE') throw fail('TENANT_NOT_FOUND')
  return { tenant: opened.tenant, session: await opened.session() }
}

async function provePassword(
  hasher: PasswordHasher,
  session: TenantSession,
  name: LoginName,
  password: string,
): Promise<UserWithGrants> {
  const user = await findForLogin(session, name)
  const active = user?.status === 'ACTIVE' ? user : null
  // Also for nobody: the hash is computed all the same, so that the time does not tell.
  const matches = await hasher.verify(active?.passwordHash ?? null, password)
  if (!active || !matches) throw fail('INVALID_CREDENTIALS')
  return active
}

function isWrongPassword(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'INVALID_CREDENTIALS'
}

async function issuePair(
  tokens: AccessTokens,
  tenant: SignInTenant,
  user: UserWithGrants,
  refreshToken: RefreshToken,
): Promise<TokenPair> {
  const { token, expiresIn } = await tokens.issue({
    user,
    tenant: { id: tenant.tenantId, code: tenant.code },
    permissions: user.permissions,
    roles: user.roles,
    lifetimeSeconds: tenant.authConfig.accessTokenSeconds,
  })
  return { accessToken: token, refreshToken: refreshToken.text, tokenType: 'Bearer', expiresIn }
}
