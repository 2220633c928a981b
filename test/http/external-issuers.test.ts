import { createHmac } from 'node:crypto'
import { exportSPKI, importJWK } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { dropAll } from '../support/database.ts'
import { createStage, startGateway, type TestGateway, type TestTenant } from '../support/gateway.ts'
import { type Json, KeyServer } from '../support/key-server.ts'
import { API, expectProblem, moveToOwnDatabase } from './support.ts'

/** One identity provider for each form of tokens, and for each fault. */
const NAMES = [
  'plain',
  'nested',
  'named',
  'roles',
  'rotating',
  'down',
  'slow',
  'huge',
  'redirecting',
] as const
type Name = (typeof NAMES)[number]

const CLAIMS: Partial<Record<Name, object>> = {
  plain: { permissionsClaim: 'scope' },
  nested: { tenantClaim: 'org.id', permissionsClaim: 'access.permissions', subjectClaim: 'oid' },
  named: { tenantClaim: ['https://acme.example/company', 'company_id'], permissionsClaim: 'permissions' },
  roles: { rolesClaim: 'realm_access.roles' },
}

let servers: Record<Name, KeyServer>
let gateway: TestGateway
let tenants: { shared: TestTenant; own: TestTenant }
beforeAll(async () => {
  const started = await Promise.all(NAMES.map(async (name) => [name, await KeyServer.start()] as const))
  servers = Object.fromEntries(started) as Record<Name, KeyServer>
  for (const server of Object.values(servers)) await server.addKey('key-1')
  const issuers = NAMES.map((name) => ({
    ...{ issuer: servers[name].url, jwksUri: servers[name].jwksUri, audience: ['freehold-api', 'other'] },
    ...{ permissionsClaim: 'scope', ...CLAIMS[name] },
  }))
  gateway = await startGateway(await createStage(), { TRUSTED_ISSUERS: JSON.stringify(issuers) })
  tenants = { shared: await gateway.createTenant(), own: await gateway.createTenant() }
  await moveToOwnDatabase(gateway, tenants.own.id)
})
afterEach(() => {
  vi.useRealTimers()
})
afterAll(async () => {
  await gateway?.close()
  for (const server of Object.values(servers ?? {})) await server.close()
  await dropAll()
})

const PLACEMENTS = ['shared', 'own'] as const
const TOKEN_INVALID = { status: 401, code: 'TOKEN_INVALID' }

const now = () => Math.floor(Date.now() / 1000)
const places = (token: string, headers: Record<string, string> = {}) =>
  gateway.call('GET', `${API}/places`, { token, headers })
const me = (token: string) => gateway.call('GET', `${API}/auth/me`, { token })
const encode = (part: unknown) => Buffer.from(JSON.stringify(part)).toString('base64url')

function claimsOf(name: Name, tenant: TestTenant = tenants.shared) {
  const standing = {
    iss: servers[name].url,
    aud: 'freehold-api',
    sub: 'auth0|anna',
    iat: now() - 5,
    exp: now() + 600,
  }
  return { ...standing, tenant_id: tenant.id, scope: 'openid properties:read' }
}

function issue(name: Name, claims: object = {}, how: { kid?: string; header?: Json } = {}): Promise<string> {
  return servers[name].sign({ ...claimsOf(name), ...claims }, { kid: 'key-1', ...how })
}

describe.each(PLACEMENTS)('a token of a trusted issuer (%s)', (placement) => {
  test('names its tenant by id or by code, and brings its permissions', async () => {
    const { id, code } = tenants[placement]
    for (const tenant_id of [id, code]) {
      const token = await issue('plain', { tenant_id })
      expect((await places(token)).status).toBe(200)
      const { body } = await me(token)
      expect(body).toMatchObject({ user: null, tenant: { id, code }, permissions: ['properties:read'] })
      expect((await places(token, { 'x-tenant-code': code })).status).toBe(200)
      const denied = await gateway.call('POST', `${API}/places`, { token, body: { name: 'x' } })
      expectProblem(denied, { status: 403, code: 'PERMISSION_DENIED', required: 'properties:write' })
    }
  })

  test('may name tenant and permissions in the claims of its issuer', async () => {
    const { id, code } = tenants[placement]
    const bare = { tenant_id: undefined, scope: undefined, sub: undefined }
    const permissions = ['properties:*']
    const tokens = [
      await issue('nested', { ...bare, org: { id }, oid: 'anna', access: { permissions } }),
      await issue('named', { ...bare, sub: 'anna', 'https://acme.example/company': code, permissions }),
      await issue('named', { ...bare, sub: 'anna', company_id: id, permissions: permissions.join(' ') }),
    ]
    for (const token of tokens) {
      const { status, body } = await me(token)
      expect([status, body.tenant?.id, body.permissions]).toEqual([200, id, permissions])
      expect((await places(token)).status).toBe(200)
    }
  })

  test('has the permissions of its roles in the tenant, and none from roles that the tenant lacks', async () => {
    const tenant_id = tenants[placement].id
    const admin = await issue('roles', {
      tenant_id,
      scope: undefined,
      realm_access: { roles: ['admin', 'x'] },
    })
    expect((await places(admin)).status).toBe(200)
    expect((await me(admin)).body.permissions).toEqual(['*'])
    const stranger = await issue('roles', {
      tenant_id,
      scope: undefined,
      realm_access: { roles: ['x'] },
    })
    expectProblem(await places(stranger), {
      status: 403,
      code: 'PERMISSION_DENIED',
      required: 'properties:read',
    })
  })

  test('ends at its expiry, also where it is cached', async () => {
    const exp = now() + 60
    const token = await issue('plain', { tenant_id: tenants[placement].id, exp })
    expect((await places(token)).status).toBe(200)
    vi.useFakeTimers({ toFake: ['Date'] })
    vi.setSystemTime(exp * 1000)
    expectProblem(await places(token), { status: 401, code: 'TOKEN_EXPIRED' })
  })
})

test('the audit log records the actor of such a token under the name from the issuer', async () => {
  const { shared } = tenants
  const token = await issue('plain', { scope: 'client-keys:write', tenant_id: shared.code })
  const made = await gateway.call('POST', `${API}/client-keys`, {
    token,
    body: { name: 'k', permissions: [] },
  })
  expect(made.status).toBe(201)
  const { body } = await gateway.operator('GET', `/audit-log?tenantId=${shared.id}&action=client-key.create`)
  expect(body.data[0].actor).toEqual({ type: 'external', id: `${servers.plain.url}|auth0|anna` })
})

describe('a token of a trusted issuer is refused', () => {
  const cases: [string, object, object?][] = [
    ['for another audience', { aud: 'elsewhere' }],
    ['for no audience', { aud: undefined }],
    ['for an audience in a deeper list', { aud: [['freehold-api']] }],
    ['without a tenant', { tenant_id: undefined }],
    ['with a tenant that is null', { tenant_id: null }],
    ['with tenants in a deeper list', { tenant_id: [['acme']] }],
    ['with an empty tenant', { tenant_id: '' }],
    ['without a subject', { sub: undefined }],
    ['with a subject that is a number', { sub: 1 }],
    ['without exp', { exp: undefined }],
    ['with exp as text', { exp: '4000000000' }],
    ['with exp beyond whole numbers', { exp: 1e300 }],
    ['with iat as text', { iat: '1764412800' }],
    ['with iat in the future', { iat: 4_000_000_000 }],
    ['with nbf in the future', { nbf: 4_000_000_000 }],
    ['with permissions that are no texts', { scope: [1] }],
    ['with permissions in an object', { scope: { admin: true } }],
    ['with something critical', {}, { crit: ['exp'], exp: 1 }],
    ['with a key that is not published', {}, { kid: 'nobody' }],
    ['with a path for a key', {}, { kid: '../../etc/keys' }],
  ]
  test.each(cases)('%s', async (_case, claims, header = {}) => {
    // jose does not sign unknown critical headers, so the header is added afterwards. The token is refused in any case.
    const token = await issue('plain', claims, { header: { ...header } }).catch(async () => {
      const [, body, signature] = (await issue('plain', claims)).split('.')
      return `${encode({ alg: 'ES256', kid: 'key-1', ...header })}.${body}.${signature}`
    })
    expectProblem(await places(token), TOKEN_INVALID)
  })

  test('signed by another trusted issuer', async () => {
    const token = await servers.named.sign(claimsOf('plain'), { kid: 'key-1' })
    expectProblem(await places(token), TOKEN_INVALID)
  })

  test('signed with the public key as a shared secret, or unsigned', async () => {
    const [jwk] = servers.plain.keys
    const key = await importJWK({ ...jwk }, 'ES256', { extractable: true })
    if (key instanceof Uint8Array) throw new Error('not a public key')
    for (const alg of ['HS256', 'none']) {
      const text = `${encode({ alg, kid: 'key-1' })}.${encode(claimsOf('plain'))}`
      for (const secret of [await exportSPKI(key), JSON.stringify(jwk), jwk?.x ?? '']) {
        const signature = createHmac('sha256', secret).update(text).digest('base64url')
        expectProblem(await places(`${text}.${signature}`), TOKEN_INVALID)
      }
      expectProblem(await places(`${text}.`), TOKEN_INVALID)
    }
  })

  test('of an untrusted issuer, whose keys are not requested', async () => {
    const stranger = await KeyServer.start()
    try {
      await stranger.addKey('key-1')
      for (const iss of [stranger.url, `${servers.plain.url}/`, servers.plain.url.toUpperCase()]) {
        const token = await stranger.sign({ ...claimsOf('plain'), iss }, { kid: 'key-1' })
        expectProblem(await places(token), TOKEN_INVALID)
      }
      expect(stranger.requests).toEqual([])
    } finally {
      await stranger.close()
    }
  })

  test('for a tenant that does not exist or is inactive', async () => {
    const gone = await gateway.createTenant()
    await gateway.operator('PATCH', `/tenants/${gone.id}`, { status: 'INACTIVE' })
    const unknown = '01900000-0000-7000-8000-0000000000ff'
    for (const tenant_id of [gone.id, gone.code, unknown, 'nobody', "x' or true", 42]) {
      const token = await issue('plain', { tenant_id })
      expectProblem(await places(token), { status: 404, code: 'TENANT_NOT_FOUND' })
    }
  })

  test('for a tenant other than its own', async () => {
    const token = await issue('plain', { tenant_id: tenants.shared.id })
    const answer = await places(token, { 'x-tenant-code': tenants.own.code })
    expectProblem(answer, { status: 403, code: 'CROSS_TENANT_ACCESS' })
  })

  test('on the paths of operators', async () => {
    const token = await issue('plain', { scope: '*' })
    const answer = await gateway.call('GET', `${API}/tenants`, { token })
    expectProblem(answer, { status: 403, code: 'OPERATOR_REQUIRED' })
  })
})

describe("an issuer's keys", () => {
  test('may be replaced at any time, and are requested no more often than needed', async () => {
    const server = servers.rotating
    expect((await places(await issue('rotating'))).status).toBe(200)
    await server.addKey('key-2', 'EdDSA')
    await server.addKey('key-3', 'RS256')
    for (const kid of ['key-2', 'key-3'])
      expect((await places(await issue('rotating', {}, { kid }))).status).toBe(200)
    const asked = server.requests.length
    expect(asked).toBe(2)
    const forged = await Promise.all(
      Array.from({ length: 40 }, (_, i) => issue('rotating', {}, { header: { kid: `forged-${i}` } })),
    )
    const answers = await Promise.all(forged.map((token) => places(token)))
    for (const answer of answers) expectProblem(answer, TOKEN_INVALID)
    expect(server.requests.length).toBe(asked)
  })

  test('of an algorithm that is not configured verify nothing', async () => {
    await servers.nested.addKey('key-512', 'ES512')
    const token = await servers.nested.sign(
      { ...claimsOf('nested'), org: { id: tenants.shared.id }, oid: 'a' },
      { kid: 'key-512' },
    )
    expectProblem(await places(token), TOKEN_INVALID)
  })

  test('that cannot be fetched are reported in the log only, and harm no other issuer', async () => {
    const { down, slow, huge, redirecting, plain } = servers
    down.answer = (response) => response.destroy()
    slow.answer = () => undefined
    huge.answer = (response) => response.end(JSON.stringify({ keys: huge.keys, more: 'x'.repeat(300_000) }))
    redirecting.answer = (response) => response.writeHead(302, { location: `${plain.url}/redirected` }).end()
    const waiting = (['down', 'slow', 'huge', 'redirecting'] as const).map(async (name) => {
      expectProblem(await places(await issue(name)), TOKEN_INVALID)
    })
    // While one issuer keeps requests waiting, all other callers are served.
    expect((await places(await issue('plain', { jti: 'meanwhile' }))).status).toBe(200)
    expect((await places(tenants.own.token)).status).toBe(200)
    await Promise.all(waiting)
    expect(plain.requests).not.toContain('/redirected')
    for (const name of ['down', 'slow', 'huge', 'redirecting'] as const) {
      const lines = gateway
        .log()
        .split('\n')
        .filter((line) => line.includes(servers[name].jwksUri))
      expect(lines.length, name).toBeGreaterThan(0)
    }
  })

  test('still verify known tokens after the endpoint went away', async () => {
    const { named } = servers
    const there = { tenant_id: undefined, company_id: tenants.own.id, permissions: ['properties:read'] }
    expect((await places(await issue('named', there))).status).toBe(200)
    named.answer = (response) => response.writeHead(500).end()
    expect((await places(await issue('named', { ...there, jti: 'later' }))).status).toBe(200)
  })
})

test('no log line contains a token of an issuer', async () => {
  const token = await issue('plain')
  await places(token)
  expect(gateway.log()).not.toContain(token.split('.')[2])
})
