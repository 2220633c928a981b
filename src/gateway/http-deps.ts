import { CursorCodec } from '../collections/cursor.ts'
import type { HttpDeps } from '../http/deps.ts'
import type { Own } from '../http/own/own.ts'
import type { ConnectionLimit } from '../http/transport/connection-limit.ts'
import { LoginLimiter } from '../identity/login/limiter.ts'
import { LoginSlots } from '../identity/login/login-slots.ts'
import { successorOf } from '../identity/login/sessions.ts'
import { RateLimiter } from '../lib/rate-limiter.ts'
import { CONFIRMATION_TIMEOUT_MS } from '../operations/create-operations.ts'
import type { Operations } from '../operations/operations.ts'
import { VERSION } from '../version.ts'
import type { GatewayOptions, Parts } from './parts.ts'

interface Served extends GatewayOptions {
  readonly parts: Parts
  readonly operations: Operations
  readonly connections: ConnectionLimit | null
  readonly own: Own
  readonly phase: () => 'starting' | 'ready' | 'leaving' | 'draining'
}

const MINUTE_MS = 60_000

/** Hands the HTTP layer what it asks for of a gateway's parts. */
export function httpDepsFor(served: Served): HttpDeps {
  const { settings, log, application, parts, operations, connections, phase, own } = served
  const { directory, sessions, tokens, hasher, vault } = parts
  return {
    ...parts,
    log,
    application,
    own,
    settings: {
      ...{ actForHeader: settings.actForHeader, trustedProxies: settings.trustedProxies },
      ...{ corsOrigins: settings.corsOrigins, version: VERSION },
      ...(connections !== null && { connections }),
    },
    rates: {
      principals: new RateLimiter({ limit: settings.rateLimitPerMinute, windowMs: MINUTE_MS }),
      addresses: new RateLimiter({ limit: settings.loginRateLimitPerMinute, windowMs: MINUTE_MS }),
    },
    lifecycle: {
      isStarting: () => phase() === 'starting',
      isLeaving: () => phase() === 'leaving' || phase() === 'draining',
      isDraining: () => phase() === 'draining',
    },
    signIn: {
      ...{ tokens, hasher, slots: new LoginSlots() },
      ...{ announcements: parts.announcements, auditTrail: parts.auditTrail },
      succeed: (token) => successorOf(vault.service, token),
      openTenant: async (by) => {
        const route = await ('id' in by ? directory.byId(by.id) : directory.byCode(by.code))
        return route === null ? null : { tenant: route, session: () => sessions.open(route) }
      },
    },
    // For the slots all accounts are one tenant; no database of a tenant can make them hang.
    accountSignIn: { ...parts, limiter: new LoginLimiter(), slots: new LoginSlots({ maxOfTenant: 32 }) },
    homeIsDown: (route) => parts.pools.isDown(route),
    operations,
    confirmations: (seq) => parts.follower.confirmations(seq, CONFIRMATION_TIMEOUT_MS),
    probes: probesOf(served),
    cursors: new CursorCodec((message) => vault.service.mac('cursor', message)),
  }
}

function probesOf({ parts, phase }: Served): HttpDeps['probes'] {
  const { pools, directory, store, registry, masterKeys, replicas, schemas } = parts
  return {
    readiness: () => {
      if (phase() !== 'ready') return 'starting'
      if (!masterKeys.complete) return 'key-missing'
      return replicas.waitsFor === null ? 'ready' : 'connections-missing'
    },
    waitsFor: () => replicas.waitsFor,
    pingCatalog: () => store.ping(),
    pingShared: () => pools.pingShared(),
    countDatabases: () => registry.countByStatus(),
    countSchemas: () => schemas.count(),
    gauges: () => ({
      activePools: pools.size,
      cachedConfigs: directory.size,
      connections: { open: pools.budget.open, max: pools.budget.max },
    }),
  }
}
