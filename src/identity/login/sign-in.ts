import type { Actor } from '../../catalog/audit/entries.ts'
import type { AuditTrail } from '../../catalog/audit/trail.ts'
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

/** The request in which it happens, for the audit log. */
export type Origin = Pick<Actor, 'requestId' | 'address'>

/** The id in the audit log where no user has the name. The text that was typed may be a password in the wrong field. */
export const UNKNOWN_USER = 'unknown'

/** @throws PublicError TENANT_NOT_FOUND, also for an INACTIVE tenant. */
export async function openActive(parts: SignInParts, by: { code: string } | { id: string }) {
  const opened = await parts.openTenant(by)
  if (opened?.tenant.status !== 'ACTIVE') throw fail('TENANT_NOT_FOUND')
  return { tenant: opened.tenant, session: await opened.session() }
}

/**
 * Whether a request names another tenant than its refresh token's. Only a caller with a known token is told: others must not
 * learn which code belongs to which id.
 */
export function isContradicted({ code }: SignInTenant, named: string | undefined): boolean {
  return named !== undefined && named !== code
}

export async function issuePair(
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
