import type { AuthConfig } from '../../catalog/schema.ts'
import { TENANT_CODE } from '../../catalog/tenant-code.ts'
import { type ErrorCode, fail, invalidField, PublicError } from '../../errors.ts'
import type { TenantSession } from '../../sql/session.ts'
import { typedCode } from '../people/names.ts'
import {
  findForLogin,
  findUser,
  type LoginName,
  loginNameText,
  replaceHash,
  type UserWithGrants,
} from '../people/users.ts'
import { attemptSubject, tryPassword } from './attempts.ts'
import { raiseToAnnounced } from './lost-generations.ts'
import { MAX_PASSWORD_BYTES, type PasswordHasher, passwordTooLong } from './passwords.ts'
import { pruneSessions, startSession } from './sessions.ts'
import {
  issuePair,
  type Origin,
  openActive,
  type SignInParts,
  type SignInTenant,
  type TokenPair,
  UNKNOWN_USER,
} from './sign-in.ts'

export interface Credentials {
  readonly tenantCode: string
  readonly email?: string | undefined
  readonly username?: string | undefined
  readonly password: string
}

const MAX_LOGIN_NAME_LENGTH = 254
/** How often the start of a login session is attempted while the user's row changes. */
const MAX_STARTS = 3

/**
 * Exchanges a password for tokens. An unknown user, an inactive user and a wrong password get the same answer after the same
 * time.
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
  const attempt: LoginAttempt = { name, password: credentials.password, userId: null }
  const note = (action: string, after?: Record<string, unknown>) => {
    const actor = { type: 'user', id: attempt.userId ?? UNKNOWN_USER, ...origin } as const
    parts.auditTrail.note({ actor, action, tenantId: tenant.tenantId, ...(after && { after }) })
  }
  try {
    const pair = await parts.slots.run(tenant.tenantId, () => signIn(parts, { tenant, session }, attempt))
    note('auth.login')
    return pair
  } catch (error) {
    const code = codeOf(error)
    if (code === 'INVALID_CREDENTIALS' || code === 'ACCOUNT_LOCKED') note('auth.login-failed', { code })
    throw error
  }
}

function readLoginName({ email, username, password }: Credentials): LoginName {
  if (passwordTooLong(password))
    throw invalidField('/password', `must not exceed ${MAX_PASSWORD_BYTES} bytes`)
  if ((email ?? username ?? '').length > MAX_LOGIN_NAME_LENGTH) {
    throw invalidField(
      email === undefined ? '/username' : '/email',
      `must not exceed ${MAX_LOGIN_NAME_LENGTH} characters`,
    )
  }
  if (email !== undefined && username === undefined) return { email }
  if (username !== undefined && email === undefined) return { username }
  throw invalidField('/email', 'give either email or username')
}

/** A login attempt. */
interface LoginAttempt {
  readonly name: LoginName
  readonly password: string
  /** The id of the user with this name. Null until the user is known. */
  userId: string | null
}

async function signIn(
  parts: SignInParts,
  { tenant, session }: { tenant: SignInTenant; session: TenantSession },
  login: LoginAttempt,
): Promise<TokenPair> {
  const { hasher, tokens } = parts
  const attempt = { subject: attemptSubject(loginNameText(login.name)), policy: tenant.authConfig.lockout }
  const proved = await tryPassword(session, attempt, () => provePassword(hasher, session, login))
  const current = await withAnnouncedGeneration(parts, session, proved)
  const { user, token } = await startSessionOf(session, current, tenant.authConfig)
  await pruneSessions(session, user.id)
  await strengthenHash(hasher, session, { user, password: login.password })
  return issuePair(tokens, { tenant, user, refreshToken: token })
}

/**
 * Returns the user, with a generation that is not below the announced one. A row that was read before an announcement looks like
 * a row of a restored database, for example if an administrator has just replaced the password. So the row is read again. If its
 * generation is not below the announced one any more, `startSessionOf` decides.
 */
async function withAnnouncedGeneration(
  { announcements }: SignInParts,
  session: TenantSession,
  user: UserWithGrants,
): Promise<UserWithGrants> {
  const lowest = announcements.lowestOf(session.tenantId, user.id)
  if (user.generation >= lowest) return user
  const now = await findUser(session, user.id)
  if (now === null || now.generation >= lowest) return user
  await raiseToAnnounced(session, user.id, lowest)
  return { ...user, generation: lowest }
}

async function provePassword(
  hasher: PasswordHasher,
  session: TenantSession,
  login: LoginAttempt,
): Promise<UserWithGrants> {
  const user = await findForLogin(session, login.name)
  login.userId = user?.id ?? null
  const active = user?.status === 'ACTIVE' ? user : null
  // A hash is computed even without a user: the time must not tell whether the user exists.
  const matches = await hasher.verify(active?.passwordHash ?? null, login.password, session.tenantId)
  if (!active || !matches) throw fail('INVALID_CREDENTIALS')
  return active
}

/** Starts a login session with the user's current row, which may have changed while the hash was computed. */
async function startSessionOf(session: TenantSession, proved: UserWithGrants, lifetimes: AuthConfig) {
  for (let user = proved, attempt = 1; ; attempt += 1) {
    const token = await startSession(session, user, lifetimes)
    if (token !== null) return { user, token }
    const now = await findUser(session, user.id)
    const isSame = now?.status === 'ACTIVE' && now.passwordHash === proved.passwordHash
    if (!isSame || attempt === MAX_STARTS) throw fail('INVALID_CREDENTIALS')
    user = now
  }
}

/** The password is known only at a login, so a weak hash is replaced then. After a failure the next login tries again. */
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
