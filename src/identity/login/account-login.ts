import { and, eq } from 'drizzle-orm'
import type { AuditTrail } from '../../catalog/audit/trail.ts'
import { accounts } from '../../catalog/schema.ts'
import { type CatalogStore, catalogErrors } from '../../catalog/store.ts'
import { DEFAULT_AUTH_CONFIG } from '../../catalog/tenants.ts'
import { fail, invalidField, PublicError } from '../../errors.ts'
import { bySpelling, hasSpelling } from '../people/account-emails.ts'
import { membershipsOf } from '../people/account-memberships.ts'
import { typedName } from '../people/names.ts'
import type { AccessTokens } from '../tokens/access-tokens.ts'
import type { LoginLimiter } from './limiter.ts'
import type { LoginSlots } from './login-slots.ts'
import { ACCOUNTS_SHARE, MAX_PASSWORD_BYTES, type PasswordHasher, passwordTooLong } from './passwords.ts'
import type { Origin } from './sign-in.ts'

export interface AccountCredentials {
  readonly email: string
  readonly password: string
}

/** There is no refresh token: a refresh token belongs to one tenant, and an account has several. */
export interface AccountToken {
  readonly accessToken: string
  readonly tokenType: 'Bearer'
  /** How long the access token is valid, in seconds. */
  readonly expiresIn: number
}

export interface AccountSignInParts {
  readonly store: CatalogStore
  readonly tokens: Pick<AccessTokens, 'issueForAccount'>
  readonly hasher: PasswordHasher
  readonly limiter: LoginLimiter
  readonly slots: LoginSlots
  readonly auditTrail: Pick<AuditTrail, 'note'>
}

const LIFETIME_SECONDS = 3600
/** The key of all accounts in the limiter, which otherwise has the ids of tenants. */
const ACCOUNTS = 'accounts'
/** The id in the audit log if no account has the address. The typed text is not logged: it may be a password in the wrong field. */
const UNKNOWN_ACCOUNT = 'unknown'

/**
 * Exchanges a password for a token with every tenant of the account. An unknown account, an inactive account and a wrong
 * password get the same answer after the same time.
 *
 * @throws PublicError VALIDATION_FAILED, INVALID_CREDENTIALS, ACCOUNT_LOCKED, RATE_LIMITED, CONFLICT
 */
export async function loginAccount(
  parts: AccountSignInParts,
  { email, password }: AccountCredentials,
  origin: Origin,
): Promise<AccountToken> {
  if (passwordTooLong(password))
    throw invalidField('/password', `must not exceed ${MAX_PASSWORD_BYTES} bytes`)
  const attempt: AccountAttempt = { email, password, accountId: null }
  const note = (action: string, after?: Record<string, unknown>) => {
    const actor = { type: 'account', id: attempt.accountId ?? UNKNOWN_ACCOUNT, ...origin } as const
    parts.auditTrail.note({ actor, action, tenantId: null, ...(after && { after }) })
  }
  try {
    const token = await parts.slots.run(ACCOUNTS, () => signIn(parts, attempt))
    note('account.login')
    return token
  } catch (error) {
    const code = error instanceof PublicError ? error.code : null
    if (code === 'INVALID_CREDENTIALS' || code === 'ACCOUNT_LOCKED') note('account.login-failed', { code })
    throw error
  }
}

/** A login attempt. `accountId` is null until the account is known. */
interface AccountAttempt {
  readonly email: string
  readonly password: string
  accountId: string | null
}

async function signIn(parts: AccountSignInParts, attempt: AccountAttempt): Promise<AccountToken> {
  const subject = { tenantId: ACCOUNTS, identifier: typedName(attempt.email) }
  parts.limiter.begin(subject, DEFAULT_AUTH_CONFIG.lockout)
  try {
    const account = await provePassword(parts, attempt)
    parts.limiter.clear(subject)
    return await issue(parts, account)
  } catch (error) {
    if (!(error instanceof PublicError) || error.code !== 'INVALID_CREDENTIALS') parts.limiter.refund(subject)
    throw error
  }
}

type AccountRow = typeof accounts.$inferSelect

async function provePassword(
  { store, hasher }: AccountSignInParts,
  attempt: AccountAttempt,
): Promise<AccountRow> {
  const { email, password } = attempt
  const query = store.db.select().from(accounts).where(hasSpelling(email)).orderBy(bySpelling(email)).limit(1)
  const [row] = await catalogErrors(query)
  attempt.accountId = row?.id ?? null
  const active = row?.status === 'ACTIVE' ? row : null
  // A hash is computed even without an account: the time must not tell whether the account exists.
  const matches = await hasher.verify(active?.passwordHash ?? null, password, ACCOUNTS_SHARE)
  if (active === null || !matches) throw fail('INVALID_CREDENTIALS')
  if (hasher.isWeak(active.passwordHash)) await strengthen({ store, hasher }, active, password)
  return active
}

/** Has no effect if the password was changed in the meantime. */
async function strengthen(
  { store, hasher }: Pick<AccountSignInParts, 'store' | 'hasher'>,
  { id, passwordHash: old }: AccountRow,
  password: string,
): Promise<void> {
  const passwordHash = await hasher.hash(password, ACCOUNTS_SHARE)
  const query = store.db.update(accounts).set({ passwordHash })
  await catalogErrors(query.where(and(eq(accounts.id, id), eq(accounts.passwordHash, old))))
}

async function issue({ store, tokens }: AccountSignInParts, account: AccountRow): Promise<AccountToken> {
  const { id, roles, generation } = account
  const found = await catalogErrors(membershipsOf(store.db, [id]))
  const memberships = found.get(id) ?? []
  const { token, expiresIn } = await tokens.issueForAccount({
    account: { id, generation },
    authorization: new Map(memberships.map((m) => [m.tenantId, m.roles])),
    roles,
    lifetimeSeconds: LIFETIME_SECONDS,
  })
  return { accessToken: token, tokenType: 'Bearer', expiresIn }
}
