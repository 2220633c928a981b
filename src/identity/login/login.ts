import type { Actor } from '../../catalog/audit/entries.ts'
import type { AuditTrail } from '../../catalog/audit/trail.ts'
import type { AuthConfig, TenantStatus } from '../../catalog/schema.ts'
import { type ErrorCode, fail, PublicError } from '../../errors.ts'
import type { TenantSession } from '../../sql/session.ts'
import { catchUp } from '../callers/generations.ts'
import type { Announcements } from '../people/announcements.ts'
import { typedCode } from '../people/names.ts'
import { shutOut } from '../people/people.ts'
import {
  findForLogin,
  findUser,
  type LoginName,
  loginNameText,
  replaceHash,
  type UserWithGrants,
} from '../people/users.ts'
import type { AccessTokens } from '../tokens/access-tokens.ts'
import { subjectOf, tryPassword } from './attempts.ts'
import type { LoginSlots } from './login-slots.ts'
import { MAX_PASSWORD_BYTES, type PasswordHasher, passwordTooLong } from './passwords.ts'
import {
  endSession,
  ownerOf,
  parseRefreshToken,
  pruneSessions,
  type RefreshToken,
  refuseToken,
  repeatRotation,
  rotateSession,
  startSession,
} from './sessions.ts'

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

/** A refresh token as it was sent, and the tenant that the request names beside it. */
export interface ShownToken {
  readonly refreshToken: string
  /** Must be the token's own. */
  readonly tenantCode?: string | undefined
}

/** A tenant and the way to its rows. `session` is called for an ACTIVE tenant only. */
export interface OpenedTenant {
  readonly tenant: SignInTenant
  readonly session: () => TenantSession | Promise<TenantSession>
}

export interface SignInParts {
  readonly tokens: Pick<AccessTokens, 'issue' | 'prepare'>
  readonly hasher: PasswordHasher
  readonly slots: LoginSlots
  readonly announcements: Announcements
  /** The token that takes the place of one that is used. */
  readonly succeed: (token: RefreshToken) => RefreshToken
  readonly auditTrail: Pick<AuditTrail, 'note'>
  readonly openTenant: (by: { code: string } | { id: string }) => Promise<OpenedTenant | null>
}

const TENANT_CODE = /^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$/
const MAX_LOGIN_NAME_LENGTH = 254
const MAX_ENTRIES = 3
/** Who it was in the audit log, where nobody has that name. What was typed may be a password in the wrong field. */
const UNKNOWN = 'unknown'

/** In which request it happens, for the audit log. */
export type Origin = Pick<Actor, 'requestId' | 'address'>

/**
 * Exchanges a password for tokens. An unknown user, an inactive one and a wrong password get one answer after one duration.
 *
 * @throws PublicError VALIDATION_FAILED, TENANT_NOT_FOUND, INVALID_CREDENTIALS, ACCOUNT_LOCKED, RATE_LIMITED.
 */
export async function login(
  parts: SignInParts,
  credentials: Credentials,
  origin: Origin,
): Promise<TokenPair> {
  const name = readLoginName(credentials)
  const code = typedCode(credentials.tenantCode)
  if (!TENANT_CODE.test(code)) throw fail('TENANT_NOT_FOUND')
  const { tenant, session } = await openActive(parts, { code })
  const trial: Trial = { name, password: credentials.password, userId: null }
  const note = (action: string, after?: Record<string, unknown>) => {
    const actor = { type: 'user', id: trial.userId ?? UNKNOWN, ...origin } as const
    parts.auditTrail.note({ actor, action, tenantId: tenant.tenantId, ...(after && { after }) })
  }
  try {
    const pair = await parts.slots.run(tenant.tenantId, () => signIn(parts, { tenant, session }, trial))
    note('auth.login')
    return pair
  } catch (error) {
    const code = codeOf(error)
    if (code === 'INVALID_CREDENTIALS' || code === 'ACCOUNT_LOCKED') note('auth.login-failed', { code })
    throw error
  }
}

/**
 * Exchanges a refresh token for new tokens, with the user's roles and permissions as they are now. Two that use it within
 * `refreshReuseSeconds` get the same refresh token.
 *
 * @throws PublicError INVALID_CREDENTIALS, REFRESH_TOKEN_REUSED, TENANT_NOT_FOUND; CATALOG_UNAVAILABLE and CONFLICT, after
 *   which the refresh token is as good as before.
 */
export async function refresh(
  parts: SignInParts,
  { refreshToken, tenantCode }: ShownToken,
  origin: Origin,
): Promise<TokenPair> {
  const token = parseRefreshToken(refreshToken)
  if (!token) throw fail('INVALID_CREDENTIALS')
  const { tenant, session } = await openActive(parts, { id: token.tenantId })
  if (isContradicted(tenant, tenantCode)) {
    throw fail((await ownerOf(session, token)) === null ? 'INVALID_CREDENTIALS' : 'TENANT_AMBIGUOUS')
  }
  // Before the transaction, because a catalog that is away is not to be waited for with a connection in hand.
  await parts.tokens.prepare(tenant.tenantId)
  // In one transaction: were the reading or the signing to fail after the rotation, the caller would be left with a used
  // token, and be signed out for trying it again.
  const pair = await session.transaction(async (db) => {
    const reader = { tenantId: session.tenantId, db }
    const succession = { token, next: parts.succeed(token) }
    const rotation =
      (await rotateSession(reader, succession, tenant.authConfig)) ??
      (await repeatRotation(reader, succession, tenant.authConfig))
    const user = rotation && (await findUser(reader, rotation.userId))
    if (user && isBehind(parts, tenant, user)) return { lost: user.id }
    return user && issuePair(parts.tokens, tenant, user, rotation.token)
  })
  if (pair && 'lost' in pair) {
    await catchUp(session, pair.lost, parts.announcements.lowestOf(tenant.tenantId, pair.lost))
    throw fail('INVALID_CREDENTIALS')
  }
  if (pair) return pair
  const owner = await refuseToken(session, token)
  const actor = { type: 'user', id: owner, ...origin } as const
  parts.auditTrail.note({ actor, action: 'auth.refresh-reused', tenantId: tenant.tenantId })
  throw fail('REFRESH_TOKEN_REUSED')
}

/** Told only to those who have the token: whose code goes with which id is nobody else's business. */
function isContradicted({ code }: SignInTenant, named: string | undefined): boolean {
  return named !== undefined && named !== code
}

/** Which sessions to end, and in which request. */
export interface Logout {
  /** All of the user's, and with them the access tokens that are out; else those of the token's family. */
  readonly everywhere: boolean
  readonly origin: Origin
}

/**
 * Ends the refresh token's family, or all of its user's. Whatever is no token of a living tenant is ended already.
 *
 * @returns the number of the change that calls access tokens back, to wait for; null where none is called back.
 */
export async function logout(
  parts: Pick<SignInParts, 'openTenant' | 'announcements' | 'auditTrail'>,
  { refreshToken, tenantCode }: ShownToken,
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
    const actor = { type: 'user', id: owner ?? UNKNOWN, ...origin } as const
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

/** A login under way. */
interface Trial {
  readonly name: LoginName
  readonly password: string
  /** Whose name it is, once that is known. */
  userId: string | null
}

/** Whether the database has forgotten that tokens of this user were called back. The user's row must be held. */
function isBehind({ announcements }: SignInParts, { tenantId }: SignInTenant, user: UserWithGrants): boolean {
  return user.generation < announcements.lowestOf(tenantId, user.id)
}

async function signIn(
  parts: SignInParts,
  { tenant, session }: { tenant: SignInTenant; session: TenantSession },
  trial: Trial,
): Promise<TokenPair> {
  const { hasher, tokens } = parts
  const attempt = { subject: subjectOf(loginNameText(trial.name)), policy: tenant.authConfig.lockout }
  const proved = await tryPassword(session, attempt, () => provePassword(hasher, session, trial))
  const current = await broughtUp(parts, session, proved)
  const { user, token } = await enter(session, current, tenant.authConfig)
  await pruneSessions(session, user.id)
  await strengthenHash(hasher, session, { user, password: trial.password })
  return issuePair(tokens, tenant, user, token)
}

/**
 * The user, no longer behind what was announced. A row that was read before the announcement may look so, because somebody
 * has just replaced the password: so it is read again. What is not behind then is left to `enter` to judge.
 */
async function broughtUp(
  { announcements }: SignInParts,
  session: TenantSession,
  user: UserWithGrants,
): Promise<UserWithGrants> {
  const lowest = announcements.lowestOf(session.tenantId, user.id)
  if (user.generation >= lowest) return user
  const now = await findUser(session, user.id)
  if (now === null || now.generation >= lowest) return user
  await catchUp(session, user.id, lowest)
  return { ...user, generation: lowest }
}

async function provePassword(
  hasher: PasswordHasher,
  session: TenantSession,
  trial: Trial,
): Promise<UserWithGrants> {
  const user = await findForLogin(session, trial.name)
  trial.userId = user?.id ?? null
  const active = user?.status === 'ACTIVE' ? user : null
  // Also for nobody: the hash is computed all the same, so that the time does not tell.
  const matches = await hasher.verify(active?.passwordHash ?? null, trial.password, session.tenantId)
  if (!active || !matches) throw fail('INVALID_CREDENTIALS')
  return active
}

/** Begins the session of a user as they are now: while the hash was computed they may have got another role, or lost all. */
async function enter(session: TenantSession, proved: UserWithGrants, lifetimes: AuthConfig) {
  for (let user = proved, attempt = 1; ; attempt += 1) {
    const token = await startSession(session, user, lifetimes)
    if (token !== null) return { user, token }
    const now = await findUser(session, user.id)
    const isSame = now?.status === 'ACTIVE' && now.passwordHash === proved.passwordHash
    if (!isSame || attempt === MAX_ENTRIES) throw fail('INVALID_CREDENTIALS')
    user = now
  }
}

/** The only moment at which the password is there to be hashed anew. Where that cannot be done now, it waits for the next. */
async function strengthenHash(
  hasher: PasswordHasher,
  session: TenantSession,
  { user, password }: { user: UserWithGrants; password: string },
): Promise<void> {
  if (!hasher.isWeak(user.passwordHash)) return
  const stronger = await hasher.hash(password, session.tenantId).catch(() => null)
  if (stronger !== null) await replaceHash(session, user, stronger)
}

function codeOf(error: unknown): ErrorCode | null {
  return error instanceof PublicError ? error.code : null
}

async function issuePair(
  tokens: Pick<AccessTokens, 'issue'>,
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
