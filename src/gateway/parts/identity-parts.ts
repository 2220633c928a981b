import { RoleCache } from '../../identity/access/role-cache.ts'
import { RoleService } from '../../identity/access/role-service.ts'
import { ClientKeys } from '../../identity/callers/client-keys.ts'
import { Operators } from '../../identity/callers/operators.ts'
import { Revocations } from '../../identity/callers/revocations.ts'
import { TenantResolver } from '../../identity/callers/tenant-resolver.ts'
import { PasswordHasher } from '../../identity/login/passwords.ts'
import { Accounts } from '../../identity/people/accounts.ts'
import { Announcements } from '../../identity/people/announcements.ts'
import { People } from '../../identity/people/people.ts'
import { AccessTokens } from '../../identity/tokens/access-tokens.ts'
import { ExternalIssuers } from '../../identity/tokens/external-issuers.ts'
import { SigningKeys } from '../../identity/tokens/signing.ts'
import type { TenantSessions } from '../../sql/tenant-session.ts'
import type { GatewayOptions } from '../gateway-options.ts'
import type { CatalogParts } from './catalog-parts.ts'

/** The parts that authenticate callers and know their permissions. */
export interface IdentityParts {
  readonly clientKeys: ClientKeys
  readonly operators: Operators
  readonly revocations: Revocations
  readonly signingKeys: SigningKeys
  readonly tokens: AccessTokens
  readonly hasher: PasswordHasher
  readonly accounts: Accounts
  readonly roleCache: RoleCache
  readonly tenantResolver: TenantResolver
  /** These change rows in a tenant database and announce the change in the catalog. */
  readonly announcements: Announcements
  readonly people: People
  readonly roles: RoleService
}

export interface IdentityNeeds {
  readonly catalog: CatalogParts
  readonly sessions: TenantSessions
}

export function createIdentityParts(
  options: GatewayOptions,
  { catalog, sessions }: IdentityNeeds,
): IdentityParts {
  const { store, vault, directory } = catalog
  const maxStalenessMs = options.settings.catalogMaxStalenessMs
  const clientKeys = new ClientKeys({ store, vault, maxStalenessMs })
  const operators = new Operators({ store, vault, maxStalenessMs, bootstrapToken: options.operatorToken })
  const revocations = new Revocations({ store })
  const { signingKeys, tokens } = createTokens(options, { catalog, revocations })
  const hasher = new PasswordHasher(options.passwordCost === undefined ? {} : { cost: options.passwordCost })
  const accounts = new Accounts({ store, hasher, revocations, vault })
  const roleCache = new RoleCache({ open: (route) => sessions.open(route) })
  const tenantResolver = new TenantResolver({ directory, roleCache })
  const announcements = createAnnouncements({ catalog, revocations, roleCache })
  return {
    clientKeys,
    operators,
    revocations,
    signingKeys,
    tokens,
    hasher,
    accounts,
    roleCache,
    tenantResolver,
    announcements,
    people: new People({ hasher, announcements }),
    roles: new RoleService(announcements),
  }
}

function createTokens(
  { settings, log }: GatewayOptions,
  { catalog, revocations }: { catalog: CatalogParts; revocations: Revocations },
): Pick<IdentityParts, 'signingKeys' | 'tokens'> {
  const { store, vault, directory } = catalog
  const signingKeys = new SigningKeys({
    store,
    vault,
    maxStalenessMs: settings.catalogMaxStalenessMs,
    onWithdrawn: (tenantId) => tokens.forgetTenant(tenantId),
  })
  const issuers = new ExternalIssuers({
    issuers: settings.trustedIssuers,
    isListed: async (issuer, id) => (await directory.byExternalId({ issuer, id })) !== null,
    log,
  })
  const tokens = new AccessTokens({
    keys: signingKeys,
    issuers,
    revocations,
  })
  return { signingKeys, tokens }
}

function createAnnouncements({
  catalog: { store, vault, auditTrail },
  revocations,
  roleCache,
}: {
  catalog: CatalogParts
  revocations: Revocations
  roleCache: RoleCache
}): Announcements {
  return new Announcements({
    store,
    vault,
    auditTrail,
    announced: revocations,
    apply: (change) => {
      revocations.apply(change)
      if (change.kind === 'role' && change.tenantId !== null) roleCache.invalidate(change.tenantId)
    },
  })
}
