/** How the OpenAPI document describes callers' credentials. `gates.ts` reads the credentials. */
import type { Access } from './access.ts'

const jwt = (description: string) => ({ type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description })

export const CREDENTIALS = {
  tenantToken: jwt(
    "An access token of a tenant's user, from `POST /api/v1/auth/login`, or a token signed with the tenant's own key. " +
      '`X-Tenant-Code` may confirm its tenant.',
  ),
  accountToken: jwt(
    'An access token of an account, from `POST /api/v1/auth/accounts/login`. If the account has several tenants, ' +
      '`X-Tenant-Code` picks one.',
  ),
  externalToken: jwt(
    'A token of an issuer that this gateway trusts. The token names its tenant. `X-Tenant-Code` may confirm it.',
  ),
  operatorToken: {
    type: 'http',
    scheme: 'bearer',
    description: 'An operator token, `fho_…`, or the bootstrap token.',
  },
  clientKey: {
    type: 'apiKey',
    in: 'header',
    name: 'X-Client-Key',
    description: "A key of a tenant's program, `fhk_…`. `X-Tenant-Code` must name its tenant.",
  },
  tenantCode: {
    type: 'apiKey',
    in: 'header',
    name: 'X-Tenant-Code',
    description: "The tenant's code: the client key's tenant, or one of the account's tenants.",
  },
}

type Requirement = Readonly<Partial<Record<keyof typeof CREDENTIALS, readonly string[]>>>

/** The credentials of a tenant's callers. The document names them once, for all operations that name no others. */
export const TENANT_CREDENTIALS: readonly Requirement[] = [
  { tenantToken: [] },
  { accountToken: [] },
  { accountToken: [], tenantCode: [] },
  { externalToken: [] },
  { clientKey: [], tenantCode: [] },
]
const OPERATOR_CREDENTIAL: Requirement = { operatorToken: [] }

/** The credentials that a route accepts: one requirement of the list must be met. */
export function credentialsOf(access: Access | undefined): readonly Requirement[] {
  if (access?.kind === 'tenant') return TENANT_CREDENTIALS
  if (access?.kind === 'operator') return [OPERATOR_CREDENTIAL]
  if (access?.kind === 'either') return [...TENANT_CREDENTIALS, OPERATOR_CREDENTIAL]
  return []
}
