import { createHmac, generateKeyPairSync, sign } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { dropAll } from '../support/database.ts'
import { createStage, startGateway, type TestGateway } from '../support/gateway.ts'
import { API, expectProblem, type Homes, openHomes, rawRequest, telling, UNKNOWN_ID } from './support.ts'

let homes: Homes
let elsewhere: TestGateway
let key: string
beforeAll(async () => {
  homes = await openHomes()
  elsewhere = await startGateway(await createStage())
  const body = { name: 'program', permissions: ['properties:read'] }
  key = (await homes.gateway.operator('POST', `/tenants/${homes.shared.id}/client-keys`, body)).body.key
})
afterEach(() => {
  vi.useRealTimers()
})
afterAll(async () => {
  await homes?.gateway.close()
  await elsewhere?.close()
  await dropAll()
})

const places = (headers: Record<string, string>) => homes.gateway.call('GET', `${API}/places`, { headers })
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const encode = (part: unknown) => Buffer.from(JSON.stringify(part)).toString('base64url')
const partsOf = (token: string) => token.split('.') as [string, string, string]
const claimsOf = (token: string) => JSON.parse(Buffer.from(partsOf(token)[1], 'base64url').toString())
const headerOf = (token: string) => JSON.parse(Buffer.from(partsOf(token)[0], 'base64url').toString())

const UNAUTHENTICATED = { status: 401, code: 'UNAUTHENTICATED' }
const TOKEN_INVALID = { status: 401, code: 'TOKEN_INVALID' }
const STRANGER = { status: 403, code: 'CROSS_TENANT_ACCESS' }

describe('an access token', () => {
  const forgeries: [string, (token: string) => string | Promise<string>][] = [
    ['nonsense', () => 'nonsense'],
    ['two dots', () => '..'],
    ['without a signature', (token) => `${partsOf(token)[0]}.${partsOf(token)[1]}.`],
    ['with alg none', (token) => `${encode({ ...headerOf(token), alg: 'none' })}.${partsOf(token)[1]}.`],
    ['with another tenant inside', (token) => withClaims(token, { tenantId: homes.stranger.id })],
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
    const answer = await places(bearer(await forge(homes.shared.token)))
    expectProblem(answer, TOKEN_INVALID)
    expect(answer.headers.get('www-authenticate')).toBe('Bearer error="invalid_token"')
  })

  test('is good until its end and not a moment longer, also where it is remembered', async () => {
    const token = await homes.gateway.login(homes.shared.code, homes.shared.admin)
    const end = claimsOf(token).exp * 1000
    expect((await places(bearer(token))).status).toBe(200)
    vi.useFakeTimers({ toFake: ['Date'] })
    vi.setSystemTime(end - 1000)
    expect((await places(bearer(token))).status).toBe(200)
    vi.setSystemTime(end)
    expectProblem(await places(bearer(token)), { status: 401, code: 'TOKEN_EXPIRED' })
    // One that was never seen before is judged alike.
    expectProblem(await places(bearer(homes.own.token)), { status: 401, code: 'TOKEN_EXPIRED' })
  })

  test.each(['bearer', 'BEARER'])('may be announced as %s', async (scheme) => {
    expect((await places({ authorization: `${scheme} ${homes.shared.token}` })).status).toBe(200)
  })

  test('is in no log line', () => {
    expect(homes.gateway.log()).not.toContain(partsOf(homes.shared.token)[2])
    expect(homes.gateway.log()).not.toContain(key.slice(-43))
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

  test('two of them are too many, even where both are good or one is empty', async () => {
    const code = { 'x-tenant-code': homes.shared.code }
    expect((await places({ 'x-client-key': key, ...code })).status).toBe(200)
    expectProblem(
      await places({ ...bearer(homes.shared.token), 'x-client-key': key, ...code }),
      UNAUTHENTICATED,
    )
    expectProblem(
      await places({ ...bearer(homes.shared.token), 'x-client-key': '', ...code }),
      UNAUTHENTICATED,
    )
    expectProblem(await places({ authorization: '', 'x-client-key': key, ...code }), UNAUTHENTICATED)
  })

  test.each([
    ['Authorization', () => `Bearer ${homes.shared.token}`, () => `Bearer ${homes.stranger.token}`],
    ['authorization', () => `Bearer ${homes.shared.token}`, () => `Bearer ${homes.shared.token}`],
    ['X-Client-Key', () => key, () => key],
    ['X-Tenant-Code', () => homes.shared.code, () => homes.shared.code],
    ['X-Account-Id', () => homes.shared.code, () => homes.stranger.code],
  ])('%s may not stand twice, whatever it says', async (name, first, second) => {
    const others = /authorization|client-key/i.test(name)
      ? []
      : [`Authorization: Bearer ${homes.shared.token}`]
    const head = [
      `GET ${API}/places HTTP/1.1`,
      ...others,
      `${name}: ${first()}`,
      `${name.toUpperCase()}: ${second()}`,
    ]
    const { status, code } = await rawRequest(homes.gateway.url, head)
    expect([status, code]).toEqual([400, 'VALIDATION_FAILED'])
  })

  test('nor on the way in', async () => {
    const body = JSON.stringify({ tenantCode: homes.shared.code, ...homes.shared.admin })
    const head = [
      `POST ${API}/auth/login HTTP/1.1`,
      'Content-Type: application/json',
      `Content-Length: ${body.length}`,
      `X-Tenant-Code: ${homes.shared.code}`,
      `X-Tenant-Code: ${homes.stranger.code}`,
    ]
    const { status, code } = await rawRequest(homes.gateway.url, head, body)
    expect([status, code]).toEqual([400, 'VALIDATION_FAILED'])
  })
})

describe('X-Tenant-Code', () => {
  test("confirms a token's tenant and picks no other", async () => {
    const withCode = (code: string) => places({ ...bearer(homes.shared.token), 'x-tenant-code': code })
    expect((await withCode(homes.shared.code)).status).toBe(200)
    const [theirs, unknowns] = [await withCode(homes.stranger.code), await withCode('nobody-here')]
    expectProblem(theirs, STRANGER)
    expect(telling(theirs)).toEqual(telling(unknowns))
  })

  test('must stand beside a client key', async () => {
    expectProblem(await places({ 'x-client-key': key }), { status: 400, code: 'TENANT_AMBIGUOUS' })
    expectProblem(await places({ 'x-client-key': key, 'x-tenant-code': homes.stranger.code }), STRANGER)
    const unknown = await places({ 'x-client-key': key, 'x-tenant-code': 'nobody-here' })
    expectProblem(unknown, { status: 404, code: 'TENANT_NOT_FOUND' })
  })
})

describe('X-Account-Id', () => {
  const acting = (account: string) => places({ ...bearer(homes.shared.token), 'x-account-id': account })

  test('may name the tenant itself, by id or code', async () => {
    for (const account of [homes.shared.id, homes.shared.id.toUpperCase(), homes.shared.code])
      expect((await acting(account)).status).toBe(200)
  })

  test("a stranger's account is answered like one that does not exist", async () => {
    const answers = await Promise.all(
      [homes.stranger.id, homes.stranger.code, UNKNOWN_ID, 'nobody-here', 'x y', ''].map(acting),
    )
    for (const answer of answers) {
      expectProblem(answer, STRANGER)
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
  const { body } = await homes.gateway.call('GET', '/.well-known/jwks.json')
  const secret = Buffer.from(body.keys[0].x, 'base64url')
  const signed = `${encode({ ...headerOf(token), alg: 'HS256' })}.${partsOf(token)[1]}`
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}
