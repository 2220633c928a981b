import { CursorCodec } from '../collections/cursor.ts'
import type { HttpDeps } from '../http/deps.ts'
import type { Own } from '../http/own/own.ts'
import { connectionLimit } from '../http/transport/connection-limit.ts'
import { LoginLimiter } from '../identity/login/limiter.ts'
import { LoginSlots } from '../identity/login/login-slots.ts'
import { successorOf } from '../identity/login/sessions.ts'
import { descriptorLimit } from '../lib/descriptors.ts'
import { RateLimiter } from '../lib/rate-limiter.ts'
import { CONFIRMATION_TIMEOUT_MS } from '../operations/create-operations.ts'
import type { Operations } from '../operations/operations.ts'
import { VERSION } from '../version.ts'
import type { GatewayOptions } from './gateway-options.ts'
import type { Parts } from './parts/parts.ts'
import type { ServingPhase } from './serving-phase.ts'

export interface HttpNeeds {
  readonly parts: Parts
  readonly operations: Operations
  readonly own: Own
  readonly phase: ServingPhase
}

const MINUTE_MS = 60_000
/** The limit for all account logins together. They need no tenant database, so a database that hangs cannot block them. */
const ACCOUNT_LOGINS_AT_ONCE = 32

/** Selects the parts that the HTTP layer needs. */
export function createHttpDeps(options: GatewayOptions, needs: HttpNeeds): HttpDeps {
  const { parts, operations, own, phase } = needs
  const { catalog, pools, changes, sessions, identity } = parts
  return {
    application: options.application,
    own,
    settings: httpSettings(options),
    log: options.log,
    metrics: parts.metrics,
    lifecycle: phase,
    freshness: changes.freshness,
    directory: catalog.directory,
    tokens: identity.tokens,
    clientKeys: identity.clientKeys,
    operators: identity.operators,
    signingKeys: identity.signingKeys,
    signIn: signInParts(parts),
    people: identity.people,
    roles: identity.roles,
    accounts: identity.accounts,
    accountSignIn: accountSignInParts(parts),
    tenantResolver: identity.tenantResolver,
    sessions: sessions.sessions,
    isDatabaseDown: (route) => pools.pools.refusalOf(route) !== null,
    operations,
    schemas: sessions.schemas,
    confirmations: (seq) => changes.follower.confirmations(seq, CONFIRMATION_TIMEOUT_MS),
    probes: probesOf(parts, phase),
    cursors: new CursorCodec((message) => catalog.vault.service.mac('cursor', message)),
    rates: ratesOf(options),
    auditTrail: catalog.auditTrail,
  }
}

function httpSettings({ settings }: GatewayOptions): HttpDeps['settings'] {
  const descriptors = descriptorLimit()
  return {
    actForHeader: settings.actForHeader,
    trustedProxies: settings.trustedProxies,
    corsOrigins: settings.corsOrigins,
    version: VERSION,
    ...(descriptors !== null && { connections: connectionLimit(descriptors, settings.maxConnections) }),
  }
}

function ratesOf({ settings }: GatewayOptions): HttpDeps['rates'] {
  return {
    principals: new RateLimiter({ limit: settings.rateLimitPerMinute, windowMs: MINUTE_MS }),
    addresses: new RateLimiter({ limit: settings.loginRateLimitPerMinute, windowMs: MINUTE_MS }),
  }
}

function signInParts({ catalog, sessions, identity }: Parts): HttpDeps['signIn'] {
  const { directory, auditTrail, vault } = catalog
  return {
    tokens: identity.tokens,
    hasher: identity.hasher,
    slots: new LoginSlots(),
    announcements: identity.announcements,
    auditTrail,
    succeed: (token) => successorOf(vault.service, token),
    openTenant: async (by) => {
      const route = await ('id' in by ? directory.byId(by.id) : directory.byCode(by.code))
      return route === null ? null : { tenant: route, session: () => sessions.sessions.open(route) }
    },
  }
}

function accountSignInParts({ catalog, identity }: Parts): HttpDeps['accountSignIn'] {
  return {
    store: catalog.store,
    tokens: identity.tokens,
    hasher: identity.hasher,
    auditTrail: catalog.auditTrail,
    limiter: new LoginLimiter(),
    slots: new LoginSlots({ maxOfTenant: ACCOUNT_LOGINS_AT_ONCE }),
  }
}

function probesOf(parts: Parts, phase: ServingPhase): HttpDeps['probes'] {
  const { store, registry, directory } = parts.catalog
  const { pools } = parts.pools
  const { replicas } = parts.changes
  return {
    readiness: () => {
      if (!phase.isReady()) return 'starting'
      if (!parts.masterKeys.complete) return 'key-missing'
      return replicas.waitsFor === null ? 'ready' : 'connections-missing'
    },
    waitsFor: () => replicas.waitsFor,
    pingCatalog: () => store.ping(),
    pingShared: () => pools.pingShared(),
    countDatabases: () => registry.countByStatus(),
    countSchemas: () => parts.sessions.schemas.count(),
    gauges: () => ({
      activePools: pools.size,
      cachedConfigs: directory.size,
      connections: { open: pools.budget.open, max: pools.budget.max },
    }),
  }
}
