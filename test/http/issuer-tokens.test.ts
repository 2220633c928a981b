import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll } from '../support/database.ts'
import { createStage, startGateway, type TestGateway } from '../support/gateway.ts'
import { type Json, KeyServer } from '../support/key-server.ts'
import { ISSUER_SHAPES, type IssuerShape } from './issuer-shapes.ts'
import { API, expectProblem } from './support.ts'

/** One server has the keys of all issuers except one, whose directories have their own keys. */
let keys: KeyServer
let directories: KeyServer
let gateway: TestGateway
const tenants = new Map<string, { id: string; code: string }>()

const OWN_KEYS = 'https://directories.example/{tid}/v2.0'
const OTHER = 'https://other.example'
const PLAIN = 'https://plain.example'

beforeAll(async () => {
  keys = await KeyServer.start()
  await keys.addKey('k1', 'RS256')
  await keys.addKey('k2', 'ES256')
  await keys.addKey('k3', 'EdDSA')
  await keys.addKey('k4', 'EdDSA', { alg: 'Ed25519' })
  await keys.addKey('of-one', 'RS256', { issuer: 'https://login.example/another-directory/v2.0' })
  await keys.addKey('of-all', 'RS256', { issuer: 'https://login.example/{tenantid}/v2.0' })
  directories = await KeyServer.start()
  await directories.addKey('k1', 'RS256')
  const { jwksUri } = keys
  const entries = new Map<string, Json>(
    ISSUER_SHAPES.map(({ entry }) => [entry.issuer, { ...entry, jwksUri }]),
  )
  const more = [
    { issuer: OWN_KEYS, jwksUri: `${directories.url}/{tid}/keys`, audience: 'freehold' },
    { issuer: OTHER, jwksUri, audience: 'freehold', tenantBy: 'externalId' },
    { issuer: PLAIN, jwksUri, audience: 'freehold', permissionsClaim: 'scope' },
  ]
  const settings = JSON.stringify([...entries.values(), ...more])
  gateway = await startGateway(await createStage(), { TRUSTED_ISSUERS: settings })
  await makeTenant('acme-corp', [])
  await makeTenant('globex', [])
  for (const [i, { entry, externalId }] of ISSUER_SHAPES.entries()) {
    if (externalId !== null) await makeTenant(`tenant-${i}`, [{ issuer: entry.issuer, id: externalId }])
  }
})
afterAll(async () => {
  await gateway?.close()
  await keys?.close()
  await directories?.close()
  await dropAll()
})

/** Without an administrator, because the users of such a tenant come from its issuer. */
async function makeTenant(code: string, externalIds: object[]): Promise<void> {
  const roles = [{ name: 'clerk', permissions: ['leases:read'] }]
  const { status, body, text } = await gateway.operator('POST', '/tenants', {
    ...{ code, name: code, externalIds, roles },
  })
  expect(status, text).toBe(201)
  tenants.set(code, { id: body.id, code })
}

const now = () => Math.floor(Date.now() / 1000)

function timesOf({ times = {} }: Pick<IssuerShape, 'times'>): Json {
  const shifted = Object.entries({ iat: 0, exp: 3600, ...times }).map(([name, offset]) => {
    return [name, offset === null ? undefined : now() + offset]
  })
  return Object.fromEntries(shifted)
}

function print(shape: IssuerShape, { claims = {}, header = {} }: { claims?: Json; header?: Json } = {}) {
  const { kid } = shape.header
  const given = { ...shape.claims, ...timesOf(shape), ...claims }
  return keys.sign(given, { kid, header: { typ: undefined, ...shape.header, ...header } })
}

function shapeOf(provider: string): IssuerShape {
  const shape = ISSUER_SHAPES.find((one) => one.provider === provider)
  if (shape === undefined) throw new Error(`there is no ${provider}`)
  return shape
}

const me = (token: string, headers: Record<string, string> = {}) =>
  gateway.call('GET', `${API}/auth/me`, { token, headers })
const TOKEN_INVALID = { status: 401, code: 'TOKEN_INVALID' }
const TENANT_NOT_FOUND = { status: 404, code: 'TENANT_NOT_FOUND' }
const CROSS = { status: 403, code: 'CROSS_TENANT_ACCESS' }
const AMBIGUOUS = { status: 400, code: 'TENANT_AMBIGUOUS' }

describe('a token as its issuer creates it', () => {
  test.each(ISSUER_SHAPES.map((shape, i) => [shape.provider ?? 'other', shape.about, shape, i] as const))(
    '%s: %s',
    async (_provider, _about, shape, i) => {
      const tenant = tenants.get(shape.externalId === null ? 'acme-corp' : `tenant-${i}`)
      const { status, body, text } = await me(await print(shape))
      expect(status, text).toBe(200)
      expect(body).toMatchObject({ tenant, permissions: shape.permissions })
      const leases = await gateway.call('GET', `${API}/leases`, { token: await print(shape) })
      expect(leases.status).toBe(shape.permissions.includes('leases:read') ? 200 : 403)
    },
  )

  test.each(ISSUER_SHAPES.map((shape) => [shape.provider ?? 'other', shape.about, shape] as const))(
    '%s: %s, is refused for another audience, from another key, and once it has ended',
    async (_provider, _about, shape) => {
      const audienceClaim = String(shape.entry.audienceClaim ?? 'aud')
      expectProblem(await me(await print(shape, { claims: { [audienceClaim]: 'elsewhere' } })), TOKEN_INVALID)
      const forged = await directories.sign({ ...shape.claims, ...timesOf(shape) }, { kid: 'k1' })
      expectProblem(await me(forged), TOKEN_INVALID)
      const ended = await print(shape, { claims: { exp: now() - 0.5 } })
      expectProblem(await me(ended), { status: 401, code: 'TOKEN_EXPIRED' })
    },
  )

  test('of two organizations: X-Tenant-Code selects one', async () => {
    const several = [['acme-corp', 'globex'], { 'acme-corp': {}, globex: { id: '1' } }]
    for (const organization of several) {
      const token = await print(shapeOf('Keycloak'), { claims: { organization } })
      expectProblem(await me(token), AMBIGUOUS)
      expectProblem(await gateway.call('GET', `${API}/leases`, { token }), AMBIGUOUS)
      for (const code of ['acme-corp', 'globex'])
        expect((await me(token, { 'x-tenant-code': code })).body.tenant.code).toBe(code)
      for (const code of ['tenant-0', 'nobody', '42c3e46f'])
        expectProblem(await me(token, { 'x-tenant-code': code }), CROSS)
    }
  })

  test('of two external ids: X-Tenant-Code selects one', async () => {
    const { externalId, entry } = shapeOf('Auth0')
    await makeTenant('second-org', [{ issuer: entry.issuer, id: 'org_second' }])
    const token = await print(shapeOf('Auth0'), { claims: { org_id: [externalId, 'org_second'] } })
    expectProblem(await me(token), AMBIGUOUS)
    expect((await me(token, { 'x-tenant-code': 'second-org' })).body.tenant.code).toBe('second-org')
    expectProblem(await me(token, { 'x-tenant-code': 'acme-corp' }), CROSS)
  })

  test('without a claim that names its tenant is refused', async () => {
    const without = [undefined, null, [], {}, '', true, [['acme-corp']], [{ id: 'acme-corp' }]]
    for (const organization of without) {
      const token = await print(shapeOf('Keycloak'), { claims: { organization } })
      expectProblem(await me(token), TOKEN_INVALID)
    }
  })
})

describe('the header of a token', () => {
  const plain = {
    ...{ provider: null, about: '', header: { alg: 'ES256', kid: 'k2' }, entry: { issuer: PLAIN } },
    ...{ claims: { iss: PLAIN, aud: 'freehold', sub: 's', tenant_id: 'acme-corp' } },
    ...{ externalId: null, permissions: [] },
  }

  test('selects no other key, and unknown parameters are ignored', async () => {
    const trap = directories
    const address = `${trap.url}/trap`
    const [jwk] = trap.keys
    const others = [
      { jku: address },
      { x5u: address },
      { jwk },
      { x5c: ['MIIB'] },
      { 'x-vendor': {} },
      { b64: true },
    ]
    for (const header of others) {
      expect((await me(await print(plain, { header }))).status, JSON.stringify(header)).toBe(200)
      const claims = { ...plain.claims, ...timesOf({}) }
      for (const kid of ['k1', 'k2']) {
        const forged = await trap.sign(claims, { kid: 'k1', header: { ...header, kid } })
        expectProblem(await me(forged), TOKEN_INVALID)
      }
    }
    expect(trap.requests).not.toContain('/trap')
  })

  test('may have no critical parameter', async () => {
    for (const header of [
      { crit: ['x-vendor'], 'x-vendor': '1' },
      { crit: ['b64'], b64: true },
    ])
      expectProblem(await me(await print(plain, { header })), TOKEN_INVALID)
  })

  test.each(['logout+jwt', 'application/dpop+jwt', 'SECEVENT+JWT'])(
    'may not say that it is of another kind: %s',
    async (typ) => {
      expectProblem(await me(await print(plain, { header: { typ } })), TOKEN_INVALID)
    },
  )

  test.each(['JWT', 'at+jwt', 'application/at+jwt', 'Bearer'])('may say %s', async (typ) => {
    expect((await me(await print(plain, { header: { typ } }))).status).toBe(200)
  })

  test('may call Ed25519 by either name, regardless of the name of its key', async () => {
    for (const kid of ['k3', 'k4']) {
      for (const alg of ['EdDSA', 'Ed25519']) {
        const shape = { ...plain, header: { alg, kid } }
        expect((await me(await print(shape))).status, `${kid} ${alg}`).toBe(200)
      }
    }
  })

  test('and the claims may have 16 KiB together, and all headers 32', async () => {
    const sized = (length: number) => print(plain, { claims: { groups: 'g'.repeat(length) } })
    const bare = (await sized(0)).length
    const longest = await sized(Math.floor(((16_384 - bare) * 3) / 4) - 2)
    expect(longest.length).toBeGreaterThan(16_300)
    expect(longest.length).toBeLessThanOrEqual(16_384)
    const more = { 'x-more': 'x'.repeat(15_000) }
    expect((await me(longest, more)).status).toBe(200)
    expectProblem(await me(await sized(12_500)), TOKEN_INVALID)
    expect((await me(await sized(0), { 'x-more': '!'.repeat(31_000) })).status).toBe(200)
    expect((await me(await sized(0), { 'x-more': '!'.repeat(33_000) })).status).toBe(431)
  })
})

describe('an issuer entry for many directories', () => {
  const entra = shapeOf('Entra ID')
  const tid = String(entra.claims.tid)
  const stranger = '99999999-2222-3333-4444-555555555555'
  const issuerOf = (id: string) => `https://login.example/${id}/v2.0`

  test('finds no tenant for a directory that is not listed', async () => {
    const token = await print(entra, { claims: { iss: issuerOf(stranger), tid: stranger } })
    expectProblem(await me(token), TENANT_NOT_FOUND)
  })

  test.each<[string, Json]>([
    ['whose id is another', { tid: stranger }],
    ['whose issuer is another', { iss: issuerOf(stranger) }],
    ['without an id', { tid: undefined }],
    ['with ids in a list', { tid: [tid] }],
    ['whose id is written otherwise', { tid: `${tid} ` }],
    ['that is the template', { iss: entra.entry.issuer, tid: '{tid}' }],
    ['in a deeper path', { iss: issuerOf(`x/${tid}`) }],
    ['of another host', { iss: `https://login.example.evil/${tid}/v2.0` }],
    [
      'that names a tenant besides',
      { iss: issuerOf(stranger), tid: stranger, tenant_id: 'acme-corp', org: tid },
    ],
  ])('refuses a directory %s', async (about, claims) => {
    const answer = await me(await print(entra, { claims }))
    expectProblem(answer, about.includes('besides') ? TENANT_NOT_FOUND : TOKEN_INVALID)
  })

  test('accepts a key only for its own directories', async () => {
    const by = (kid: string) => print({ ...entra, header: { alg: 'RS256', kid } })
    expect((await me(await by('of-all'))).status).toBe(200)
    expectProblem(await me(await by('of-one')), TOKEN_INVALID)
  })

  test('requests the keys of a directory only after a tenant has listed it', async () => {
    const claimsOf = (id: string) => {
      const iss = OWN_KEYS.replace('{tid}', id)
      return { iss, tid: id, aud: 'freehold', sub: 's', ...timesOf({}) }
    }
    const printed = await Promise.all(
      Array.from({ length: 20 }, (_, i) => directories.sign(claimsOf(`stranger-${i}`), { kid: 'k1' })),
    )
    for (const token of printed) expectProblem(await me(token), TOKEN_INVALID)
    expect(directories.requests).toEqual([])
    await makeTenant('listed', [{ issuer: OWN_KEYS, id: 'listed-1' }])
    const token = await directories.sign(claimsOf('listed-1'), { kid: 'k1' })
    expect((await me(token)).body.tenant.code).toBe('listed')
    expect(directories.requests).toEqual(['/listed-1/keys'])
  })
})

describe('an external id', () => {
  const by = (iss: string, tenant: string) =>
    keys.sign({ iss, aud: 'freehold', sub: 's', tenant_id: tenant, ...timesOf({}) }, { kid: 'k2' })

  test('selects its tenant only for tokens of its own issuer', async () => {
    const { externalId } = shapeOf('Auth0')
    expectProblem(await me(await by(OTHER, String(externalId))), TENANT_NOT_FOUND)
    expectProblem(await me(await by(PLAIN, String(externalId))), TENANT_NOT_FOUND)
  })

  test('is never taken for a code or an id', async () => {
    const { id } = tenants.get('globex') ?? {}
    await makeTenant('look-alike', [
      { issuer: OTHER, id: 'globex' },
      { issuer: OTHER, id },
    ])
    for (const name of ['globex', String(id)]) {
      expect((await me(await by(OTHER, name))).body.tenant.code).toBe('look-alike')
      expect((await me(await by(PLAIN, name))).body.tenant.code).toBe('globex')
    }
    expectProblem(await me(await by(OTHER, 'acme-corp')), TENANT_NOT_FOUND)
    expectProblem(await me(await by(OTHER, String(tenants.get('acme-corp')?.id))), TENANT_NOT_FOUND)
  })

  test.each(['__proto__', 'constructor', 'toString', '{tid}'])('may be %s', async (name) => {
    expectProblem(await me(await by(OTHER, name)), TENANT_NOT_FOUND)
    expectProblem(await me(await by(PLAIN, name)), TENANT_NOT_FOUND)
  })
})
