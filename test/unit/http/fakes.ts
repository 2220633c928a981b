import { randomUUID } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import type { Route } from '../../../src/catalog/directory.ts'
import { fail } from '../../../src/errors.ts'
import type { HttpDeps } from '../../../src/http/deps.ts'
import { ownOf } from '../../../src/http/own/own.ts'
import { createServer } from '../../../src/http/server.ts'
import { PermissionSet } from '../../../src/identity/access/permissions.ts'
import type { UserPrincipal } from '../../../src/identity/callers/principal.ts'
import { RateLimiter } from '../../../src/lib/rate-limiter.ts'
import { Secret } from '../../../src/lib/secret.ts'
import { createLogger } from '../../../src/logger.ts'
import { Metrics } from '../../../src/metrics.ts'
import type { TenantSession } from '../../../src/sql/session.ts'
import { property } from '../../support/application.ts'
import { makeCursors } from '../../support/cursors.ts'
import { ALWAYS_FRESH } from '../../support/route-source.ts'

/** Tenants, users and keys for these tests. A part that a test does not replace throws when it is used. */
export const ACME = '01900000-0000-7000-8000-00000000000a'
export const OTHER = '01900000-0000-7000-8000-00000000000b'
export const GONE = '01900000-0000-7000-8000-00000000000c'

export const TOKENS = {
  reader: 'eyJ.reader.sig',
  writer: 'eyJ.writer.sig',
  gone: 'eyJ.gone.sig',
  expired: 'eyJ.expired.sig',
  admin: 'fho_admin',
  viewer: 'fho_viewer',
  clientKey: 'fhk_acme',
}

export const PUBLIC_KEY = { kty: 'OKP', crv: 'Ed25519', x: 'abc', kid: 'k1', use: 'sig', alg: 'EdDSA' }

const AUTH_CONFIG = {
  passwordPolicy: { minLength: 12, requireMixed: false },
  accessTokenSeconds: 900,
  refreshTokenSeconds: 2_592_000,
  refreshReuseSeconds: 10,
  lockout: { attempts: 10, windowSeconds: 900 },
}

export function routeOf(tenantId: string, code: string, status: Route['status'] = 'ACTIVE'): Route {
  const at = new Date('2026-01-01T00:00:00Z')
  return Object.freeze({
    ...{ tenantId, code, status, name: code.toUpperCase(), parentId: null, placement: 'shared', epoch: 1 },
    ...{ authConfig: AUTH_CONFIG, createdAt: at, updatedAt: at, database: null, externalIds: [] },
    seal: new Secret('seal'),
  } as Route)
}

const ROUTES = [routeOf(ACME, 'acme-corp'), routeOf(OTHER, 'other'), routeOf(GONE, 'gone', 'INACTIVE')]

function user(tenantId: string, tenantCode: string, permissions: string[]): UserPrincipal {
  const names = new PermissionSet(permissions)
  return {
    kind: 'user',
    userId: randomUUID(),
    tenantId,
    tenantCode,
    permissions: names,
    roles: [],
    tokenId: 'j',
    generation: null,
  }
}

const USERS: Record<string, UserPrincipal> = {
  [TOKENS.reader]: user(ACME, 'acme-corp', ['properties:read', 'client-keys:write']),
  [TOKENS.writer]: user(ACME, 'acme-corp', ['*']),
  [TOKENS.gone]: user(GONE, 'gone', ['*']),
}

/** An object with the given parts. Using any other part fails the test. */
export function only<T extends object>(parts: Partial<T>): T {
  return new Proxy(parts, {
    get(target, name) {
      if (name in target) return Reflect.get(target, name)
      if (typeof name === 'symbol' || name === 'then') return undefined
      throw new Error(`the test did not expect ${String(name)}`)
    },
  }) as T
}

const unlimited = new RateLimiter({ limit: 1_000_000, windowMs: 1_000 })

export function makeDeps(changes: Partial<HttpDeps> = {}): HttpDeps {
  return {
    application: property,
    schemas: only<HttpDeps['schemas']>({}),
    own: ownOf(changes.application ?? property),
    settings: { actForHeader: 'x-account-id', version: '1.2.3', trustedProxies: [] },
    rates: { principals: unlimited, addresses: unlimited },
    auditTrail: { note: () => undefined },
    confirmations: async () => ({ replicas: 1, confirmed: 1 }),
    log: createLogger('silent'),
    metrics: new Metrics(),
    lifecycle: { phase: 'ready' },
    freshness: ALWAYS_FRESH,
    directory: {
      peekById: (id) => (id === ACME ? ROUTES[0] : undefined),
      peekByCode: () => undefined,
      byId: async (id) => ROUTES.find((route) => route.tenantId === id) ?? null,
      byCode: async (code) => ROUTES.find((route) => route.code === code) ?? null,
    },
    tokens: {
      peek: (token) => (token === TOKENS.reader ? USERS[token] : undefined),
      verify: async (token) => {
        if (token === TOKENS.expired) throw fail('TOKEN_EXPIRED')
        return USERS[token] ?? Promise.reject(fail('TOKEN_INVALID'))
      },
    },
    operators: only<HttpDeps['operators']>({
      recognises: (token) => token.startsWith('fho_'),
      authenticate: async (token) => {
        const role = token === TOKENS.admin ? 'admin' : token === TOKENS.viewer ? 'viewer' : null
        if (role === null) throw fail('INVALID_CREDENTIALS')
        return { kind: 'operator', id: role, name: role, role }
      },
    }),
    clientKeys: only<HttpDeps['clientKeys']>({
      authenticate: async (key) => {
        if (key !== TOKENS.clientKey) throw fail('INVALID_CREDENTIALS')
        const permissions = new PermissionSet(['properties:*'])
        return { kind: 'client-key', keyId: 'k', tenantId: ACME, permissions }
      },
    }),
    signingKeys: only<HttpDeps['signingKeys']>({ jwks: () => ({ keys: [PUBLIC_KEY] }) }),
    signIn: only<HttpDeps['signIn']>({}),
    people: only<HttpDeps['people']>({}),
    roles: only<HttpDeps['roles']>({}),
    accounts: only<HttpDeps['accounts']>({}),
    accountSignIn: only<HttpDeps['accountSignIn']>({}),
    tenantResolver: only<HttpDeps['tenantResolver']>({}),
    sessions: { open: () => only<TenantSession>({}) },
    isDatabaseDown: () => false,
    operations: only<HttpDeps['operations']>({}),
    probes: only<HttpDeps['probes']>({
      readiness: () => 'ready',
      waitsFor: () => null,
      pingCatalog: async () => ({ latencyMs: 1, isReadOnly: false }),
      pingShared: async () => ({ latencyMs: 1.234, isReadOnly: false }),
      countSchemas: async () => ({ current: 2, behind: 1, failed: 0 }),
      countDatabases: async () => ({ pending_validation: 0, active: 2, failed: 1, inactive: 0 }),
      gauges: () => ({ activePools: 1, cachedConfigs: 2, connections: { open: 3, max: 100 } }),
    }),
    cursors: makeCursors(),
    ...changes,
  }
}

/** A server with routes of the test besides the real ones. */
export function makeServer(
  changes?: Partial<HttpDeps>,
  add?: (server: FastifyInstance) => void,
): FastifyInstance {
  const server = createServer(makeDeps(changes))
  add?.(server)
  return server
}

export function bearer(token: string): Record<string, string> {
  return { authorization: `Bearer ${token}` }
}
