import { createHmac, randomBytes } from 'node:crypto'
import { createLocalJWKSet, jwtVerify } from 'jose'
import { Client } from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { dropAll } from '../support/database.ts'
import { startGateway, type TestGateway, type TestTenant } from '../support/gateway.ts'
import { API, expectProblem, type Fixture, NOTIFIED, openFixture, UNKNOWN_ID } from './support.ts'

let fixture: Fixture
let replica: TestGateway
beforeAll(async () => {
  fixture = await openFixture()
  replica = await startGateway(fixture.stage)
})
afterEach(() => {
  vi.useRealTimers()
})
afterAll(async () => {
  await replica?.close()
  await fixture?.gateway.close()
  await dropAll()
})

const TOKEN_INVALID = { status: 401, code: 'TOKEN_INVALID' }
const KEY_FIELDS = ['algorithm', 'createdAt', 'kid']
const PLACEMENTS = ['shared', 'dedicated'] as const
const ALGORITHMS = ['HS256', 'ES256', 'EdDSA'] as const

const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')
const headerOf = (token: string) =>
  JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()) as { kid: string; alg: string }
const put = (tenant: TestTenant, body: object) =>
  fixture.gateway.operator('PUT', `/tenants/${tenant.id}/signing-key`, body)
const rotate = (tenant: TestTenant) =>
  fixture.gateway.operator('POST', `/tenants/${tenant.id}/signing-key/rotate`)
const remove = (tenant: TestTenant) => fixture.gateway.operator('DELETE', `/tenants/${tenant.id}/signing-key`)
const login = ({ code, admin }: TestTenant) => fixture.gateway.login(code, admin)
const me = (token: string, gateway = fixture.gateway) => gateway.call('GET', `${API}/auth/me`, { token })
const jwksOf = ({ code }: TestTenant) => fixture.gateway.call('GET', `/.well-known/tenants/${code}/jwks.json`)

/** A token as the software of a tenant would write it. */
function sign(secret: Buffer, kid: string, claims: object): string {
  const now = Math.floor(Date.now() / 1000)
  const text = `${encode({ alg: 'HS256', kid })}.${encode({ sub: 'anna', iat: now, exp: now + 600, ...claims })}`
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`
}

describe.each(PLACEMENTS)('the signing key of a tenant (%s)', (placement) => {
  test.each(ALGORITHMS)('signs the tokens of the tenant: %s', async (algorithm) => {
    const tenant = fixture[placement]
    const { status, body } = await put(tenant, { algorithm })
    expect([status, Object.keys(body).sort(), body.algorithm]).toEqual([200, KEY_FIELDS, algorithm])
    const found = await fixture.gateway.operator('GET', `/tenants/${tenant.id}/signing-key`)
    expect(found.body).toEqual(body)
    const token = await login(tenant)
    expect(headerOf(token)).toEqual({ alg: algorithm, kid: body.kid, typ: 'at+jwt' })
    expect((await me(token)).body.tenant.id).toBe(tenant.id)
    await expect.poll(async () => (await me(token, replica)).status, NOTIFIED).toBe(200)
  })

  test.each(['ES256', 'EdDSA'])('is published so that others can verify: %s', async (algorithm) => {
    const tenant = fixture[placement]
    const { body: made } = await put(tenant, { algorithm })
    const { status, body, headers } = await jwksOf(tenant)
    expect(status).toBe(200)
    expect(headers.get('cache-control')).toBe('public, max-age=300')
    expect(body.keys).toHaveLength(1)
    expect(body.keys[0]).toMatchObject({ kid: made.kid, alg: algorithm, use: 'sig' })
    expect(body.keys[0]).not.toHaveProperty('d')
    const { payload } = await jwtVerify(await login(tenant), createLocalJWKSet(body))
    expect(payload.tenantCode).toBe(tenant.code)
  })

  test('lets the tenant sign tokens itself with its own secret', async () => {
    const tenant = fixture[placement]
    const secret = randomBytes(48)
    for (const spelling of ['base64', 'base64url'] as const) {
      const { body } = await put(tenant, { algorithm: 'HS256', secret: secret.toString(spelling) })
      const reader = sign(secret, body.kid, { tenantCode: tenant.code, permissions: ['properties:read'] })
      expect((await fixture.gateway.call('GET', `${API}/places`, { token: reader })).status).toBe(200)
      const unnamed = sign(secret, body.kid, { tenantId: tenant.id })
      const refused = await fixture.gateway.call('GET', `${API}/places`, { token: unnamed })
      expectProblem(refused, { status: 403, code: 'PERMISSION_DENIED', required: 'properties:read' })
      const { body: caller } = await me(reader)
      expect(caller).toMatchObject({ user: null, permissions: ['properties:read'] })
      expect((await jwksOf(tenant)).body).toEqual({ keys: [] })
    }
  })

  test('ends at once on every replica when it is replaced', async () => {
    const tenant = fixture[placement]
    await put(tenant, { algorithm: 'EdDSA' })
    const token = await login(tenant)
    expect((await me(token, replica)).status).toBe(200)
    expect((await me(token)).status).toBe(200)
    await put(tenant, { algorithm: 'EdDSA' })
    expectProblem(await me(token), TOKEN_INVALID)
    await expect.poll(async () => (await me(token, replica)).body.code, NOTIFIED).toBe('TOKEN_INVALID')
    expect((await jwksOf(tenant)).body.keys).toHaveLength(1)
  })

  test('still verifies after a rotation until its tokens end, and no longer', async () => {
    const tenant = fixture[placement]
    const secret = randomBytes(32)
    const { body: first } = await put(tenant, { algorithm: 'HS256', secret: secret.toString('base64') })
    const exp = Math.floor(Date.now() / 1000) + 7200
    const old = sign(secret, first.kid, { tenantId: tenant.id, exp })
    const { status, body: second } = await rotate(tenant)
    expect([status, second.algorithm, Object.keys(second).sort()]).toEqual([200, 'HS256', KEY_FIELDS])
    expect(second.kid).not.toBe(first.kid)
    expect(headerOf(await login(tenant)).kid).toBe(second.kid)
    const rotatedAt = Date.now()
    expect((await me(old)).status).toBe(200)
    vi.useFakeTimers({ toFake: ['Date'] })
    vi.setSystemTime(rotatedAt + (900 + 50) * 1000)
    expect((await me(old)).status).toBe(200)
    vi.setSystemTime(rotatedAt + (900 + 70) * 1000)
    expectProblem(await me(old), TOKEN_INVALID)
  })

  test('accepts the next secret of an issuer that signs with its own secret', async () => {
    const tenant = fixture[placement]
    await put(tenant, { algorithm: 'HS256' })
    const secret = randomBytes(32)
    const path = `/tenants/${tenant.id}/signing-key/rotate`
    const rotated = await fixture.gateway.operator('POST', path, { secret: secret.toString('base64url') })
    expect(rotated.status).toBe(200)
    expect((await me(sign(secret, rotated.body.kid, { tenantId: tenant.id }))).status).toBe(200)
    const refused = { status: 400, code: 'VALIDATION_FAILED', pointers: ['/secret'] }
    expectProblem(await fixture.gateway.operator('POST', path, { secret: 'too-short' }), refused)
    await put(tenant, { algorithm: 'ES256' })
    expectProblem(await fixture.gateway.operator('POST', path, { secret: secret.toString('hex') }), refused)
  })

  test('is published with its predecessor while that one verifies', async () => {
    const tenant = fixture[placement]
    const { body: first } = await put(tenant, { algorithm: 'ES256' })
    const { body: second } = await rotate(tenant)
    const kids = (await jwksOf(tenant)).body.keys.map(({ kid }: { kid: string }) => kid)
    expect(kids.sort()).toEqual([first.kid, second.kid].sort())
  })

  test('is deleted on request, and then the service signs again', async () => {
    const tenant = fixture[placement]
    await put(tenant, { algorithm: 'ES256' })
    await rotate(tenant)
    const token = await login(tenant)
    expect((await remove(tenant)).status).toBe(204)
    expectProblem(await me(token), TOKEN_INVALID)
    await expect.poll(async () => (await me(token, replica)).body.code, NOTIFIED).toBe('TOKEN_INVALID')
    const { body } = await fixture.gateway.call('GET', '/.well-known/jwks.json')
    const again = await login(tenant)
    expect(body.keys.map(({ kid }: { kid: string }) => kid)).toContain(headerOf(again).kid)
    expect((await me(again)).status).toBe(200)
    expect((await jwksOf(tenant)).body).toEqual({ keys: [] })
    for (const gone of [await remove(tenant), await rotate(tenant)])
      expectProblem(gone, { status: 404, code: 'NOT_FOUND' })
  })
})

describe('a signing key is refused', () => {
  const short = randomBytes(31).toString('base64')
  test.each<[string, object, string]>([
    ['with a secret of 31 bytes', { algorithm: 'HS256', secret: short }, '/secret'],
    [
      'with a secret that is no base64',
      { algorithm: 'HS256', secret: 'correct horse battery '.repeat(3) },
      '/secret',
    ],
    ['with both alphabets in one', { algorithm: 'HS256', secret: `${'ab-_'.repeat(10)}+/+/` }, '/secret'],
    ['with bits left over', { algorithm: 'HS256', secret: `${'A'.repeat(42)}B` }, '/secret'],
    ['with an empty secret', { algorithm: 'HS256', secret: '' }, '/secret'],
    [
      'with a secret of 513 bytes',
      { algorithm: 'HS256', secret: randomBytes(513).toString('base64') },
      '/secret',
    ],
    [
      'with a secret for a key pair',
      { algorithm: 'ES256', secret: randomBytes(32).toString('base64') },
      '/secret',
    ],
    ['of another algorithm', { algorithm: 'RS256' }, '/algorithm'],
    ['of none', {}, '/algorithm'],
    ['with an unknown field', { algorithm: 'ES256', kid: 'mine' }, '/kid'],
  ])('%s', async (_case, body, pointer) => {
    const answer = await put(fixture.other, body)
    expectProblem(answer, { status: 400, code: 'VALIDATION_FAILED', pointers: [pointer] })
    const { secret } = body as { secret?: string }
    if (secret) expect(answer.text + fixture.gateway.log()).not.toContain(secret)
    expectProblem(await rotate(fixture.other), { status: 404, code: 'NOT_FOUND' })
  })

  test('from a tenant, a viewer or a caller without credentials', async () => {
    const { gateway, shared } = fixture
    const { body: viewer } = await gateway.operator('POST', '/operators', { name: 'eyes', role: 'viewer' })
    const path = `${API}/tenants/${shared.id}/signing-key`
    const calls = [
      ['PUT', path, { algorithm: 'ES256' }],
      ['POST', `${path}/rotate`, undefined],
      ['DELETE', path, undefined],
      ['POST', `${API}/signing-key/rotate`, undefined],
    ] as const
    const token = await login(shared)
    for (const [method, url, body] of calls) {
      const attempt = (as: object) => gateway.call(method, url, { ...as, ...(body && { body }) })
      expectProblem(await attempt({ token }), { status: 403, code: 'OPERATOR_REQUIRED' })
      expect((await attempt({ token: viewer.token })).status).toBe(403)
      expectProblem(await attempt({}), { status: 401, code: 'UNAUTHENTICATED' })
    }
  })

  test('for an unknown tenant', async () => {
    const path = `/tenants/${UNKNOWN_ID}/signing-key`
    const { gateway } = fixture
    const gone = { status: 404, code: 'TENANT_NOT_FOUND' }
    expectProblem(await gateway.operator('PUT', path, { algorithm: 'HS256' }), gone)
    expectProblem(await gateway.operator('POST', `${path}/rotate`), gone)
    expectProblem(await gateway.operator('DELETE', path), gone)
  })
})

test('an unknown or inactive tenant has no published keys', async () => {
  const { gateway } = fixture
  const tenant = await gateway.createTenant()
  await put(tenant, { algorithm: 'ES256' })
  await gateway.operator('PATCH', `/tenants/${tenant.id}`, { status: 'INACTIVE' })
  for (const code of [tenant.code, 'nobody', "x'or'1", '..%2f..', 'A'.repeat(150)]) {
    const answer = await gateway.call('GET', `/.well-known/tenants/${code}/jwks.json`)
    expectProblem(answer, { status: 404, code: 'TENANT_NOT_FOUND' })
  }
})

test('the audit log records changes of keys, and no part of the keys', async () => {
  const { gateway } = fixture
  const tenant = await gateway.createTenant()
  const secret = randomBytes(32).toString('base64')
  const { body: first } = await put(tenant, { algorithm: 'HS256', secret })
  const { body: second } = await rotate(tenant)
  await remove(tenant)
  const { body, text } = await gateway.operator('GET', `/audit-log?tenantId=${tenant.id}&limit=50`)
  const [a, b] = [first, second].map(({ kid, algorithm }) => ({ kid, algorithm }))
  const rows = body.data as { action: string; before: unknown; after: unknown }[]
  const told = rows.filter(({ action }) => action.startsWith('signing-key.'))
  expect(told.map(({ action, before, after }) => ({ action, before, after }))).toEqual([
    { action: 'signing-key.delete', before: b, after: null },
    { action: 'signing-key.rotate', before: a, after: b },
    { action: 'signing-key.replace', before: null, after: a },
  ])
  expect(text + gateway.log()).not.toContain(secret)
})

test('a stored key is sealed, and opens in its own row only', async () => {
  const { gateway, stage, shared, other } = fixture
  const secret = randomBytes(32)
  const { body: mine } = await put(shared, { algorithm: 'HS256', secret: secret.toString('base64') })
  const { body: otherKey } = await put(other, { algorithm: 'HS256' })
  const client = new Client({ connectionString: stage.catalogUrl })
  await client.connect()
  try {
    const { rows } = await client.query('select * from signing_keys where kid = $1', [mine.kid])
    const stored = JSON.stringify(rows, (_, value) =>
      value?.type === 'Buffer' ? Buffer.from(value.data).toString('latin1') : value,
    )
    expect(stored).not.toContain(secret.toString('base64url'))
    expect(rows[0].public_jwk).toBeNull()
    // An attacker with write access to the catalog replaces the key of a tenant by another one.
    await client.query(
      `update signing_keys set sealed_private_key = (select sealed_private_key from signing_keys where kid = $1)
       where kid = $2`,
      [mine.kid, otherKey.kid],
    )
  } finally {
    await client.end()
  }
  const fresh = await startGateway(stage)
  try {
    const forged = sign(secret, otherKey.kid, { tenantId: other.id, permissions: ['*'] })
    expect((await me(forged, fresh)).status).toBe(500)
  } finally {
    await fresh.close()
    await put(other, { algorithm: 'HS256' })
    await remove(other)
    await remove(shared)
  }
  expect(gateway.log()).not.toContain(secret.toString('base64url'))
})

describe("the service's key", () => {
  const turn = (gateway = fixture.gateway) => gateway.operator('POST', '/signing-key/rotate')
  const published = async (gateway = fixture.gateway): Promise<string[]> => {
    const { body } = await gateway.call('GET', '/.well-known/jwks.json')
    return body.keys.map(({ kid }: { kid: string }) => kid)
  }

  test('is rotated on every replica without ending a login session', async () => {
    const before = await login(fixture.dedicated)
    expect((await me(before, replica)).status).toBe(200)
    const { status, body } = await turn()
    expect([status, body.algorithm, Object.keys(body).sort()]).toEqual([200, 'EdDSA', KEY_FIELDS])
    const after = await login(fixture.dedicated)
    expect(headerOf(after).kid).toBe(body.kid)
    // At once: the change has not reached the other replica yet, and it finds the key by its id.
    expect((await me(after, replica)).status).toBe(200)
    for (const gateway of [fixture.gateway, replica]) {
      expect((await me(before, gateway)).status).toBe(200)
      expect(await published(gateway)).toEqual(expect.arrayContaining([body.kid, headerOf(before).kid]))
    }
  })

  test('is published until a day and a minute after it was replaced', async () => {
    const old = await published()
    const { body } = await turn()
    vi.useFakeTimers({ toFake: ['Date'] })
    vi.setSystemTime(Date.now() + 86_400_000)
    expect(await published()).toEqual(expect.arrayContaining(old))
    vi.setSystemTime(Date.now() + 70_000)
    expect(await published()).toEqual([body.kid])
  })

  test('is one key, even after concurrent rotations', async () => {
    const answers = await Promise.all([turn(), turn(replica), turn(), turn(replica)])
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    const made = answers.map(({ body }) => body.kid)
    expect(new Set(made).size).toBe(4)
    const signers = async () => {
      const tokens = [
        await login(fixture.dedicated),
        await replica.login(fixture.dedicated.code, fixture.dedicated.admin),
      ]
      return new Set(tokens.map((token) => headerOf(token).kid)).size
    }
    await expect.poll(signers).toBe(1)
    await expect.poll(async () => (await published(replica)).length).toBe((await published()).length)
  })

  test('cannot be rotated so often that the list of keys grows without end', async () => {
    let last = await turn()
    for (let i = 0; i < 25 && last.status === 200; i += 1) last = await turn()
    expectProblem(last, { status: 409, code: 'CONFLICT' })
    expect((await published()).length).toBeLessThanOrEqual(21)
  })
})
