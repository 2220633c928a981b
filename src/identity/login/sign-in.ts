import type { Actor } from '../../catalog/audit/entries.ts'
import type { AuditTrail } from '../../catalog/audit/trail.ts'
import { isServed } from '../../catalog/directory.ts'
import type { AuthConfig, TenantStatus } from '../../catalog/schema.ts'
import { fail } from '../../errors.ts'
import type { TenantSession } from '../../sql/session.ts'
import type { Announcements } from '../people/announcements.ts'
import type { UserWithGrants } from '../people/users.ts'
import type { AccessTokens } from '../tokens/access-tokens.ts'
import type { LoginSlots } from './login-slots.ts'
import type { PasswordHasher } from './passwords.ts'
import type { RefreshToken } from './sessions.ts'

export interface TokenPair {
  readonly accessToken: string
  readonly refreshToken: string
  readonly tokenType: 'Bearer'
  /** How long the access token is valid, in seconds. */
  readonly expiresIn: number
}

/** What signing in needs of a tenant. A `Route` has it. */
export interface SignInTenant {
  readonly tenantId: string
  readonly code: string
  readonly status: TenantStatus
  readonly authConfig: AuthConfig
}

/** A refresh token as a request sent it, and the tenant that the request names. */
export interface SentRefreshToken {
  readonly refreshToken: string
  /** Must be the tenant of the token. */
  readonly tenantCode?: string | undefined
}

/** A tenant, and how to read its rows. `session` is called for an ACTIVE tenant only. */
export interface OpenedTenant {
  readonly tenant: SignInTenant
  readonly session: () => TenantSession | Promise<TenantSession>
}

export interface SignInParts {
  readonly tokens: Pick<AccessTokens, 'issue' | 'prepare'>
  readonly hasher: PasswordHasher
  readonly slots: LoginSlots
  readonly announcements: Announcements
  /** The token that replaces a used one. */
  readonly succeed: (token: RefreshToken) => RefreshToken
  readonly auditTrail: Pick<AuditTrail, 'note'>
  readonly openTenant: (by: { code: string } | { id: string }) => Promise<OpenedTenant | null>
}

/** The request, for the audit log. */
export type Origin = Pick<Actor, 'requestId' | 'address'>

/** The id in the audit log if no user has the name. The typed text is not logged: it may be a password in the wrong field. */
export const UNKNOWN_USER = 'unknown'

/** @throws PublicError TENANT_NOT_FOUND, also for an INACTIVE tenant. */
export async function openActive(parts: SignInParts, by: { code: string } | { id: string }) {
  const opened = await parts.openTenant(by)
  if (opened === null || !isServed(opened.tenant)) throw fail('TENANT_NOT_FOUND')
  return { tenant: opened.tenant, session: await opened.session() }
}

/**
 * True if a request names another tenant than its refresh token does. Only a caller with a known token is told: others must not
 * learn which code belongs to which id.
 */
export function namesOtherTenant({ code }: SignInTenant, named: string | undefined): boolean {
  return named !== undefined && named !== code
}

interface PairFor {
  readonly tenant: SignInTenant
  readonly user: UserWithGrants
  readonly refreshToken: RefreshToken
}

/** Issues an access token, and answers it with the refresh token. */
export async function issuePair(
  tokens: Pick<AccessTokens, 'issue'>,
  { tenant, user, refreshToken }: PairFor,
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
