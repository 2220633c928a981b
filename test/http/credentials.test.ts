import { createHmac, generateKeyPairSync, sign } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { dropAll } from '../support/database.ts'
import { createStage, startGateway, type TestGateway } from '../support/gateway.ts'
import { API, expectProblem, type Fixture, openFixture, rawRequest, telling, UNKNOWN_ID } from './support.ts'

let fixture: Fixture
let elsewhere: TestGateway
let key: string
beforeAll(async () => {
  fixture = await openFixture()
  elsewhere = await startGateway(await createStage())
  const body = { name: 'program', permissions: ['properties:read'] }
  key = (await fixture.gateway.operator('POST', `/tenants/${fixture.shared.id}/client-keys`, body)).body.key
})
afterEach(() => {
  vi.useRealTimers()
})
afterAll(async () => {
  await fixture?.gateway.close()
  await elsewhere?.close()
  await dropAll()
})

const places = (headers: Record<string, string>) => fixture.gateway.call('GET', `${API}/places`, { headers })
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const encode = (part: unknown) => Buffer.from(JSON.stringify(part)).toString('base64url')
const partsOf = (token: string) => token.split('.') as [string, string, string]
const claimsOf = (token: string) => JSON.parse(Buffer.from(partsOf(token)[1], 'base64url').toString())
const headerOf = (token: string) => JSON.parse(Buffer.from(partsOf(token)[0], 'base64url').toString())

const UNAUTHENTICATED = { status: 401, code: 'UNAUTHENTICATED' }
const TOKEN_INVALID = { status: 401, code: 'TOKEN_INVALID' }
const CROSS_TENANT = { status: 403, code: 'CROSS_TENANT_ACCESS' }

describe('an access token', () => {
  const forgeries: [string, (token: string) => string | Promise<string>][] = [
    ['nonsense', () => 'nonsense'],
    ['two dots', () => '..'],
    ['without a signature', (token) => `${partsOf(token)[0]}.${partsOf(token)[1]}.`],
    ['with alg none', (token) => `${encode({ ...headerOf(token), alg: 'none' })}.${partsOf(token)[1]}.`],
    ['with another tenant inside', (token) => withClaims(token, { tenantId: fixture.other.id })],
    ['with a later end', (token) => withClaims(token, { exp: 4_000_000_000 })],
    [
      'with one letter changed',
      (token) => `${token.slice(0, -2)}${token.at(-2) === 'A' ? 'B' : 'A'}${token.at(-1)}`,
    ],
    ['in another spelling', (token) => `${token}=`],
    ['signed by a key of the forger', signedByForger],
    ['signed by the public key as a shared secret', signedByPublicKey],
    ['with its key in the header', (token) => signedByForger(token, { jwk: forger.jwk })],
    ['of another installation', async () => (await elsewhere.createTenant()).token],
    ['of 9 KB', () => `ey${'x'.repeat(9000)}`],
    ['twice', (token) => `${token}, Bearer ${token}`],
  ]

  test.each(forgeries)('%s is refused', async (_case, forge) => {
    const answer = await places(bearer(await forge(fixture.shared.token)))
    expectProblem(answer, TOKEN_INVALID)
    expect(answer.headers.get('www-authenticate')).toBe('Bearer error="invalid_token"')
  })

  test('is valid until its end and no longer, also where it is cached', async () => {
    const token = await fixture.gateway.login(fixture.shared.code, fixture.shared.admin)
    const end = claimsOf(token).exp * 1000
    expect((await places(bearer(token))).status).toBe(200)
    vi.useFakeTimers({ toFake: ['Date'] })
    vi.setSystemTime(end - 1000)
    expect((await places(bearer(token))).status).toBe(200)
    vi.setSystemTime(end)
    expectProblem(await places(bearer(token)), { status: 401, code: 'TOKEN_EXPIRED' })
    // A token that was never seen before gets the same answer.
    expectProblem(await places(bearer(fixture.dedicated.token)), { status: 401, code: 'TOKEN_EXPIRED' })
  })

  test.each(['bearer', 'BEARER'])('may have the scheme %s', async (scheme) => {
    expect((await places({ authorization: `${scheme} ${fixture.shared.token}` })).status).toBe(200)
  })

  test('appears in no log line', () => {
    expect(fixture.gateway.log()).not.toContain(partsOf(fixture.shared.token)[2])
    expect(fixture.gateway.log()).not.toContain(key.slice(-43))
  })
})

describe('exactly one credential', () => {
  test.each([
    ['none', {}],
    ['an empty one', { authorization: '' }],
    ['a scheme alone', { authorization: 'Bearer' }],
    ['Basic', { authorization: 'Basic YTpi' }],
    ['an empty key', { 'x-client-key': '' }],
  ])('%s is not enough', async (_case, headers) => {
    expectProblem(await places(headers as Record<string, string>), UNAUTHENTICATED)
  })

  test('two credentials are refused, even where both are valid or one is empty', async () => {
    const code = { 'x-tenant-code': fixture.shared.code }
    expect((await places({ 'x-client-key': key, ...code })).status).toBe(200)
    expectProblem(
      await places({ ...bearer(fixture.shared.token), 'x-client-key': key, ...code }),
      UNAUTHENTICATED,
    )
    expectProblem(
      await places({ ...bearer(fixture.shared.token), 'x-client-key': '', ...code }),
      UNAUTHENTICATED,
    )
    expectProblem(await places({ authorization: '', 'x-client-key': key, ...code }), UNAUTHENTICATED)
  })

  test.each([
    ['Authorization', () => `Bearer ${fixture.shared.token}`, () => `Bearer ${fixture.other.token}`],
    ['authorization', () => `Bearer ${fixture.shared.token}`, () => `Bearer ${fixture.shared.token}`],
    ['X-Client-Key', () => key, () => key],
    ['X-Tenant-Code', () => fixture.shared.code, () => fixture.shared.code],
    ['X-Account-Id', () => fixture.shared.code, () => fixture.other.code],
  ])('%s may not be sent twice with any value', async (name, first, second) => {
    const others = /authorization|client-key/i.test(name)
      ? []
      : [`Authorization: Bearer ${fixture.shared.token}`]
    const head = [
      `GET ${API}/places HTTP/1.1`,
      ...others,
      `${name}: ${first()}`,
      `${name.toUpperCase()}: ${second()}`,
    ]
    const { status, code } = await rawRequest(fixture.gateway.url, head)
    expect([status, code]).toEqual([400, 'VALIDATION_FAILED'])
  })

  test('X-Tenant-Code may not be sent twice at login either', async () => {
    const body = JSON.stringify({ tenantCode: fixture.shared.code, ...fixture.shared.admin })
    const head = [
      `POST ${API}/auth/login HTTP/1.1`,
      'Content-Type: application/json',
      `Content-Length: ${body.length}`,
      `X-Tenant-Code: ${fixture.shared.code}`,
      `X-Tenant-Code: ${fixture.other.code}`,
    ]
    const { status, code } = await rawRequest(fixture.gateway.url, head, body)
    expect([status, code]).toEqual([400, 'VALIDATION_FAILED'])
  })
})

describe('X-Tenant-Code', () => {
  test("confirms a token's tenant and selects no other", async () => {
    const withCode = (code: string) => places({ ...bearer(fixture.shared.token), 'x-tenant-code': code })
    expect((await withCode(fixture.shared.code)).status).toBe(200)
    const [theirs, unknowns] = [await withCode(fixture.other.code), await withCode('nobody-here')]
    expectProblem(theirs, CROSS_TENANT)
    expect(telling(theirs)).toEqual(telling(unknowns))
  })

  test('is required with a client key', async () => {
    expectProblem(await places({ 'x-client-key': key }), { status: 400, code: 'TENANT_AMBIGUOUS' })
    expectProblem(await places({ 'x-client-key': key, 'x-tenant-code': fixture.other.code }), CROSS_TENANT)
    const unknown = await places({ 'x-client-key': key, 'x-tenant-code': 'nobody-here' })
    expectProblem(unknown, { status: 404, code: 'TENANT_NOT_FOUND' })
  })
})

describe('X-Account-Id', () => {
  const acting = (account: string) => places({ ...bearer(fixture.shared.token), 'x-account-id': account })

  test('may name the tenant itself, by id or code', async () => {
    for (const account of [fixture.shared.id, fixture.shared.id.toUpperCase(), fixture.shared.code])
      expect((await acting(account)).status).toBe(200)
  })

  test("another tenant's account is answered like one that does not exist", async () => {
    const answers = await Promise.all(
      [fixture.other.id, fixture.other.code, UNKNOWN_ID, 'nobody-here', 'x y', ''].map(acting),
    )
    for (const answer of answers) {
      expectProblem(answer, CROSS_TENANT)
      expect(telling(answer)).toEqual(telling(answers[0] ?? answer))
    }
  })
})

const forger = makeForger()
function makeForger() {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  return { privateKey, jwk: publicKey.export({ format: 'jwk' }) }
}

function withClaims(token: string, changes: object): string {
  const [header, , signature] = partsOf(token)
  return `${header}.${encode({ ...claimsOf(token), ...changes })}.${signature}`
}

function signedByForger(token: string, more: object = {}): string {
  const signed = `${encode({ ...headerOf(token), ...more })}.${partsOf(token)[1]}`
  return `${signed}.${sign(null, Buffer.from(signed), forger.privateKey).toString('base64url')}`
}

async function signedByPublicKey(token: string): Promise<string> {
  const { body } = await fixture.gateway.call('GET', '/.well-known/jwks.json')
  const secret = Buffer.from(body.keys[0].x, 'base64url')
  const signed = `${encode({ ...headerOf(token), alg: 'HS256' })}.${partsOf(token)[1]}`
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}
