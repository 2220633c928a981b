import { generateKeyPair, jwtVerify, SignJWT } from 'jose'
import { CatalogFreshness } from '../src/catalog/changes/freshness.ts'
import { type Route, RouteDirectory } from '../src/catalog/directory.ts'
import { BEGINNING } from '../src/catalog/history.ts'
import { DEFAULT_AUTH_CONFIG } from '../src/catalog/tenants.ts'
import type { HttpDeps } from '../src/http/deps.ts'
import { TENANT_GATES } from '../src/http/pipeline.ts'
import type { RequestState } from '../src/http/request-state.ts'
import { AccessTokens } from '../src/identity/tokens/access-tokens.ts'
import type { TokenKeys } from '../src/identity/tokens/signing-key.ts'
import { newId } from '../src/lib/ids.ts'
import { RateLimiter } from '../src/lib/rate-limiter.ts'
import { Secret } from '../src/lib/secret.ts'

/** CPU time in µs between the head of a request and its handler, in this process. */
export interface GateCosts {
  /** With a verified token, a known route and a checked permission. */
  readonly warm: number
  /** jose alone on the same token, as it would be without the cache. */
  readonly eddsa: number
  readonly hs256: number
}

const WARM_PASSES = 200_000
const VERIFICATIONS = 3_000

export async function measureGates(): Promise<GateCosts> {
  const { privateKey, publicKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519' })
  const key = { kid: 'k', owner: null, algorithm: 'EdDSA', key: publicKey, verifyUntil: null } as const
  const tokens = new AccessTokens({
    keys: {
      find: () => key,
      prepare: () => Promise.resolve(),
      sign: (claims) =>
        new SignJWT(claims).setProtectedHeader({ alg: 'EdDSA', kid: 'k', typ: 'at+jwt' }).sign(privateKey),
    } satisfies TokenKeys,
  })
  const tenant = { id: newId(), code: 'bench' }
  const grants = { permissions: ['*'], roles: ['admin'], lifetimeSeconds: 900 }
  const { token } = await tokens.issue({ user: { id: newId(), generation: 0 }, tenant, ...grants })
  const state = await makeState(tokens, tenant, token)
  const hmac = await crypto.subtle.generateKey({ name: 'HMAC', hash: 'SHA-256' }, false, ['sign', 'verify'])
  const signed = await new SignJWT({ sub: 'u' }).setProtectedHeader({ alg: 'HS256' }).sign(hmac)
  return {
    warm: await cpuPerCall(WARM_PASSES, () => passAll(state())),
    eddsa: await cpuPerCall(VERIFICATIONS, () => jwtVerify(token, publicKey, { algorithms: ['EdDSA'] })),
    hs256: await cpuPerCall(VERIFICATIONS, () => jwtVerify(signed, hmac, { algorithms: ['HS256'] })),
  }
}

async function makeState(
  tokens: AccessTokens,
  tenant: { id: string; code: string },
  token: string,
): Promise<() => RequestState> {
  const at = new Date()
  const route = Object.freeze({
    ...{ tenantId: tenant.id, code: tenant.code, name: 'Bench', status: 'ACTIVE', parentId: null },
    externalIds: [],
    ...{ placement: 'shared', epoch: 1, authConfig: DEFAULT_AUTH_CONFIG, createdAt: at, updatedAt: at },
    database: null,
    seal: new Secret('seal'),
  } satisfies Route)
  const directory = new RouteDirectory({
    ...{ load: async () => route, max: 10, ttlMs: 300_000, maxStalenessMs: 300_000 },
  })
  await directory.byId(tenant.id)
  await tokens.verify(token)
  const freshness = new CatalogFreshness({ trustedMs: 8_000, wake: () => undefined })
  freshness.reached({ wall: Number.POSITIVE_INFINITY, monotonic: Number.POSITIVE_INFINITY }, BEGINNING)
  const deps = {
    freshness,
    ...{ tokens, directory, operators: {}, clientKeys: {}, settings: { actForHeader: 'x-account-id' } },
    rates: { principals: new RateLimiter({ limit: 1_000_000_000, windowMs: 60_000 }) },
    lifecycle: { phase: 'ready' },
  } as unknown as HttpDeps
  const headers = { host: '127.0.0.1', authorization: `Bearer ${token}` }
  const raw = { rawHeaders: Object.entries(headers).flat() }
  const request = { headers, raw } as unknown as RequestState['request']
  const access = { kind: 'tenant', permission: 'properties:read' } as const
  const unknown = { principal: null, unresolved: null, route: null, ownRoute: null, allowance: null }
  return () => ({ request, deps, access, lapses: 0, ...unknown })
}

function passAll(state: RequestState): undefined {
  for (const gate of TENANT_GATES) {
    if (gate(state) !== undefined) throw new Error(`${gate.name} had to wait: not the warm path`)
  }
}

async function cpuPerCall(calls: number, call: () => Promise<unknown> | undefined): Promise<number> {
  const measure = async () => {
    const before = process.cpuUsage()
    for (let i = 0; i < calls; i += 1) {
      const waiting = call()
      if (waiting !== undefined) await waiting
    }
    const { user, system } = process.cpuUsage(before)
    return (user + system) / calls
  }
  await measure()
  return measure()
}
