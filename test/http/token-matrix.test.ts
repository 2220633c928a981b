import { createHmac, generateKeyPairSync, randomBytes, sign as signBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll } from '../support/database.ts'
import type { TestTenant } from '../support/gateway.ts'
import { KeyServer } from '../support/key-server.ts'
import { API, expectProblem, type Fixture, openFixture } from './support.ts'

/**
 * Every attack of RFC 8725 through HTTP, on both placements. The test knows the secrets of the tenants, so each forgery below has
 * only the fault that its name says.
 */
interface Signer {
  readonly tenant: TestTenant
  readonly secret: Buffer
  readonly kid: string
}

const PLACEMENTS = ['shared', 'dedicated'] as const
const TOKEN_INVALID = { status: 401, code: 'TOKEN_INVALID' }

let fixture: Fixture
/** A URL in a header, which the gateway must not request. */
let trap: KeyServer
let signers: Record<(typeof PLACEMENTS)[number], Signer>
beforeAll(async () => {
  fixture = await openFixture()
  trap = await KeyServer.start()
  await trap.addKey('trap')
  signers = { shared: await giveSecret(fixture.shared), dedicated: await giveSecret(fixture.dedicated) }
})
afterAll(async () => {
  await trap?.close()
  await fixture?.gateway.close()
  await dropAll()
})

async function giveSecret(tenant: TestTenant): Promise<Signer> {
  const secret = randomBytes(32)
  const body = { algorithm: 'HS256', secret: secret.toString('base64') }
  const { body: made } = await fixture.gateway.operator('PUT', `/tenants/${tenant.id}/signing-key`, body)
  return { tenant, secret, kid: made.kid }
}

type Json = Record<string, unknown>

const encode = (part: unknown) =>
  Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url')
const places = (token: string) => fixture.gateway.call('GET', `${API}/places`, { token })
const now = () => Math.floor(Date.now() / 1000)

function headerOf({ kid }: Signer): Json {
  return { alg: 'HS256', kid, typ: 'at+jwt' }
}

function claimsOf({ tenant }: Signer): Json {
  const standing = { iss: 'freehold', aud: 'freehold', sub: 'anna', jti: 'j', gen: 0 }
  const there = { tenantId: tenant.id, tenantCode: tenant.code, permissions: ['properties:read'], roles: [] }
  return { ...standing, ...there, iat: now() - 5, exp: now() + 600 }
}

function hmac(text: string, secret: Buffer | string, hash = 'sha256'): string {
  return `${text}.${createHmac(hash, secret).update(text).digest('base64url')}`
}

/** Parts can be given as text, for tokens that no JSON library writes. */
function forge(
  signer: Signer,
  { header = {}, claims = {} }: { header?: Json | string; claims?: Json | string },
) {
  const head = typeof header === 'string' ? header : { ...headerOf(signer), ...header }
  const body = typeof claims === 'string' ? claims : { ...claimsOf(signer), ...claims }
  return hmac(`${encode(head)}.${encode(body)}`, signer.secret)
}

function without(part: Json, ...names: string[]): Json {
  return { ...part, ...Object.fromEntries(names.map((name) => [name, undefined])) }
}

const textOf = (part: Json, from: string, to: string) => JSON.stringify(part).replace(from, to)
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })

const FORGERIES: [string, (signer: Signer) => string][] = [
  ...['none', 'None', 'NONE', 'nOnE', '', 'HS384', 'HS512', 'hs256', 'RS256', 'ES256', 'EdDSA'].map(
    (alg): [string, (signer: Signer) => string] => [
      `alg ${alg || '(empty)'}`,
      (s) => forge(s, { header: { alg } }),
    ],
  ),
  ...['none', 'None', 'NONE'].flatMap((alg): [string, (signer: Signer) => string][] => {
    const text = (s: Signer) => `${encode({ ...headerOf(s), alg })}.${encode(claimsOf(s))}`
    return [
      [`alg ${alg} without a signature`, (s) => `${text(s)}.`],
      [`alg ${alg} without the last dot`, text],
      [`alg ${alg} with two dots more`, (s) => `${text(s)}...`],
    ]
  }),
  ['no alg', (s) => forge(s, { header: { alg: undefined } })],
  ['alg in a list', (s) => forge(s, { header: { alg: ['HS256'] } })],
  ['alg null', (s) => forge(s, { header: { alg: null } })],
  ['alg twice', (s) => forge(s, { header: textOf(headerOf(s), '{', '{"alg":"none",') })],
  ['alg twice, once escaped', (s) => forge(s, { header: textOf(headerOf(s), '{', '{"\\u0061lg":"none",') })],
  [
    'signed with HS512 under its name',
    (s) => {
      const text = `${encode({ ...headerOf(s), alg: 'HS512' })}.${encode(claimsOf(s))}`
      return hmac(text, s.secret, 'sha512')
    },
  ],
  [
    'signed with an RSA key of the forger',
    (s) => {
      const text = `${encode({ ...headerOf(s), alg: 'RS256' })}.${encode(claimsOf(s))}`
      return `${text}.${signBytes('sha256', Buffer.from(text), rsa.privateKey).toString('base64url')}`
    },
  ],
  ['no kid', (s) => forge(s, { header: { kid: undefined } })],
  ['kid null', (s) => forge(s, { header: { kid: null } })],
  ['kid in a list', (s) => forge(s, { header: { kid: [s.kid] } })],
  ['kid as an object', (s) => forge(s, { header: { kid: { kid: s.kid } } })],
  ['kid as a path', (s) => forge(s, { header: { kid: '../../../../dev/null' } })],
  ['kid as a URL', (s) => forge(s, { header: { kid: `${trap.url}/kid` } })],
  ['kid as SQL', (s) => forge(s, { header: { kid: `${s.kid}' or '1'='1` } })],
  ['kid as a prototype', (s) => forge(s, { header: { kid: '__proto__' } })],
  ['kid with U+0000', (s) => forge(s, { header: { kid: `${s.kid}\0` } })],
  ['kid with a line end', (s) => forge(s, { header: { kid: `${s.kid}\n` } })],
  ['kid in upper case', (s) => forge(s, { header: { kid: s.kid.toUpperCase() } })],
  ['kid with another proof', (s) => forge(s, { header: { kid: `${s.kid.slice(0, -11)}AAAAAAAAAAA` } })],
  [
    'kid with another random part',
    (s) => forge(s, { header: { kid: s.kid.replace(/\.[^.]{12}\./, '.AAAAAAAAAAAA.') } }),
  ],
  ['kid twice', (s) => forge(s, { header: textOf(headerOf(s), '{', '{"kid":"service",') })],
  ['jwk', (s) => forge(s, { header: { jwk: { kty: 'oct', k: s.secret.toString('base64url') } } })],
  ['jku', (s) => forge(s, { header: { jku: `${trap.url}/jku` } })],
  ['jku of a trusted name', (s) => forge(s, { header: { jku: `${trap.url}/.well-known/jwks.json` } })],
  ['x5u', (s) => forge(s, { header: { x5u: `${trap.url}/x5u` } })],
  ['x5c', (s) => forge(s, { header: { x5c: ['MIIB'] } })],
  ['crit', (s) => forge(s, { header: { crit: ['exp'] } })],
  ['crit, empty', (s) => forge(s, { header: { crit: [] } })],
  ['crit of b64', (s) => forge(s, { header: { crit: ['b64'], b64: false } })],
  ['b64', (s) => forge(s, { header: { b64: true } })],
  ['zip', (s) => forge(s, { header: { zip: 'DEF' } })],
  ['a nested token', (s) => forge(s, { header: { cty: 'JWT' } })],
  ['typ of a logout token', (s) => forge(s, { header: { typ: 'logout+jwt' } })],
  ['typ in a list', (s) => forge(s, { header: { typ: ['JWT'] } })],
  ['a header that is a list', (s) => forge(s, { header: '[]' })],
  ['a header that is null', (s) => forge(s, { header: 'null' })],
  ['a header that is no JSON', (s) => forge(s, { header: '{alg:HS256}' })],
  [
    'a header that is not UTF-8',
    (s) =>
      hmac(`${Buffer.from('{"a":"\xff"}', 'latin1').toString('base64url')}.${encode(claimsOf(s))}`, s.secret),
  ],
  ['a header with a byte order mark', (s) => forge(s, { header: `\ufeff${JSON.stringify(headerOf(s))}` })],
  ...['exp', 'iat', 'sub'].map((name): [string, (signer: Signer) => string] => [
    `no ${name}`,
    (s) => forge(s, { claims: without(claimsOf(s), name) }),
  ]),
  [
    'neither tenantId nor tenantCode',
    (s) => forge(s, { claims: without(claimsOf(s), 'tenantId', 'tenantCode') }),
  ],
  [
    'exp infinite',
    (s) => forge(s, { claims: JSON.stringify(claimsOf(s)).replace(/"exp":\d+/, '"exp":1e999') }),
  ],
  ['exp beyond whole numbers', (s) => forge(s, { claims: { exp: 1e300 } })],
  [
    'exp negative and infinite',
    (s) => forge(s, { claims: JSON.stringify(claimsOf(s)).replace(/"exp":\d+/, '"exp":-1e999') }),
  ],
  ['exp as text', (s) => forge(s, { claims: { exp: String(now() + 600) } })],
  ['exp null', (s) => forge(s, { claims: { exp: null } })],
  ['exp in a list', (s) => forge(s, { claims: { exp: [now() + 600] } })],
  ['iat in the future', (s) => forge(s, { claims: { iat: now() + 60 } })],
  [
    'iat infinite',
    (s) => forge(s, { claims: JSON.stringify(claimsOf(s)).replace(/"iat":\d+/, '"iat":1e999') }),
  ],
  ['nbf in the future', (s) => forge(s, { claims: { nbf: now() + 60 } })],
  ['nbf infinite', (s) => forge(s, { claims: textOf(claimsOf(s), '{', '{"nbf":1e999,') })],
  ['nbf null', (s) => forge(s, { claims: { nbf: null } })],
  ['another issuer', (s) => forge(s, { claims: { iss: 'https://login.example.com' } })],
  ['issuers in a list', (s) => forge(s, { claims: { iss: ['freehold'] } })],
  ['another audience', (s) => forge(s, { claims: { aud: 'elsewhere' } })],
  ['no audience in the list', (s) => forge(s, { claims: { aud: [] } })],
  ["another tenant's id", (s) => forge(s, { claims: { tenantId: fixture.other.id } })],
  ["another tenant's code", (s) => forge(s, { claims: { tenantCode: fixture.other.code } })],
  [
    "another tenant's id alone",
    (s) => forge(s, { claims: { ...without(claimsOf(s), 'tenantCode'), tenantId: fixture.other.id } }),
  ],
  ['the tenant in a list', (s) => forge(s, { claims: { tenantId: [s.tenant.id] } })],
  ['a tenant that is SQL', (s) => forge(s, { claims: { tenantId: `${s.tenant.id}' or true --` } })],
  [
    'the tenant twice',
    (s) => forge(s, { claims: textOf(claimsOf(s), '{', `{"tenantId":"${fixture.other.id}",`) }),
  ],
  [
    'the tenant twice, once escaped',
    (s) => forge(s, { claims: textOf(claimsOf(s), '{', '{"tenant\\u0049d":"x",') }),
  ],
  ['permissions twice', (s) => forge(s, { claims: textOf(claimsOf(s), '{', '{"permissions":["*"],') })],
  ['permissions as text', (s) => forge(s, { claims: { permissions: '*' } })],
  [
    'an authorization map',
    (s) => forge(s, { claims: { authorization: { [fixture.other.id]: { roles: ['admin'] } } } }),
  ],
  ['claims that are a list', (s) => forge(s, { claims: '[]' })],
  ['claims that are no JSON', (s) => forge(s, { claims: 'claims' })],
  ['a thousand brackets', (s) => forge(s, { claims: '['.repeat(1000) })],
  ['another secret', (s) => forge({ ...s, secret: randomBytes(32) }, {})],
  ['an empty secret', (s) => forge({ ...s, secret: Buffer.alloc(0) }, {})],
  ['the name of its key as the secret', (s) => forge({ ...s, secret: Buffer.from(s.kid) }, {})],
  ['a cut signature', (s) => forge(s, {}).slice(0, -4)],
  ['another spelling', (s) => `${forge(s, {})}=`],
  [
    'an encrypted form',
    (s) => `${encode({ alg: 'dir', enc: 'A256GCM' })}..${encode('x')}.${encode(s.kid)}.${encode('x')}`,
  ],
  [
    'a JSON form',
    (s) => {
      const [header, payload, signature] = forge(s, {}).split('.')
      return JSON.stringify({ protected: header, payload, signature })
    },
  ],
  ['an apostrophe', () => "eyJ'.'or'1.x"],
]

describe.each(PLACEMENTS)('a token of a tenant (%s)', (placement) => {
  test('is accepted when it is valid', async () => {
    const signer = signers[placement]
    expect((await places(forge(signer, {}))).status).toBe(200)
    expect((await places(forge(signer, { header: { typ: undefined } }))).status).toBe(200)
  })

  test.each(FORGERIES)('is refused with %s', async (_case, forgery) => {
    const answer = await places(forgery(signers[placement]))
    expectProblem(answer, TOKEN_INVALID)
    expect(answer.headers.get('www-authenticate')).toBe('Bearer error="invalid_token"')
    expect(answer.body.detail).toBe('The access token is not valid.')
  })

  test('is reported as expired only if it was valid before', async () => {
    const signer = signers[placement]
    const ended = { iat: now() - 60, exp: now() - 1 }
    expectProblem(await places(forge(signer, { claims: ended })), { status: 401, code: 'TOKEN_EXPIRED' })
    const forged = forge({ ...signer, secret: randomBytes(32) }, { claims: ended })
    expectProblem(await places(forged), TOKEN_INVALID)
  })
})

test('no header of a token causes an outgoing request', () => {
  expect(trap.requests).toEqual([])
})

describe("another tenant's key", () => {
  const ALGORITHMS = ['HS256', 'HS384', 'HS512', 'EdDSA', 'ES256', 'RS256', 'none']
  const hashOf: Record<string, string> = { HS384: 'sha384', HS512: 'sha512' }

  /** All combinations: whose secret signs, which key and algorithm the header names, which tenant the claims name. */
  test('verifies nothing, in any combination of secret, kid, alg and claims', {
    timeout: 60_000,
  }, async () => {
    const { body } = await fixture.gateway.call('GET', '/.well-known/jwks.json')
    const { kid: service, x } = body.keys[0] as { kid: string; x: string }
    const both = Object.values(signers)
    const secrets = [...both.map(({ secret }) => secret), Buffer.from(x), Buffer.from(x, 'base64url')]
    const kids = [...both.map(({ kid }) => kid), service, 'nobody']
    const tenants = [...both.map(({ tenant }) => tenant), fixture.other]
    const wrong: unknown[] = []
    let accepted = 0
    for (const [s, secret] of secrets.entries()) {
      for (const [k, kid] of kids.entries()) {
        for (const alg of ALGORITHMS) {
          for (const [t, { id, code }] of tenants.entries()) {
            const base = claimsOf(both[k] ?? (both[0] as Signer))
            const ways = [
              { ...base, tenantId: id, tenantCode: code },
              { ...without(base, 'tenantCode'), tenantId: id },
              { ...without(base, 'tenantId'), tenantCode: code },
            ]
            for (const claims of ways) {
              const text = `${encode({ alg, kid, typ: 'at+jwt' })}.${encode(claims)}`
              const { status, body: said } = await places(hmac(text, secret, hashOf[alg] ?? 'sha256'))
              const isGood = s === k && t === k && k < both.length && alg === 'HS256'
              const outcome = status === 200 ? 'accepted' : `${status} ${said.code}`
              if (isGood && status === 200) accepted += 1
              if (outcome !== (isGood ? 'accepted' : '401 TOKEN_INVALID')) wrong.push([s, k, alg, t, outcome])
            }
          }
        }
      }
    }
    expect(wrong).toEqual([])
    expect(accepted).toBe(6)
  })

  test('gives access to no other tenant by X-Tenant-Code', async () => {
    const headers = { 'x-tenant-code': fixture.dedicated.code }
    const token = forge(signers.shared, {})
    const answer = await fixture.gateway.call('GET', `${API}/places`, { token, headers })
    expectProblem(answer, { status: 403, code: 'CROSS_TENANT_ACCESS' })
  })

  test('gives no access to paths of operators', async () => {
    const token = forge(signers.shared, { claims: { permissions: ['*'] } })
    const answer = await fixture.gateway.call('GET', `${API}/tenants`, { token })
    expectProblem(answer, { status: 403, code: 'OPERATOR_REQUIRED' })
  })
})

describe('a token of any length', () => {
  const BUDGET_MS = 5
  const ROUNDS = 21

  /** Writes the bytes to the socket, in one piece or in many. */
  async function send(token: string, pieceBytes = Number.POSITIVE_INFINITY): Promise<string> {
    const { hostname, port } = new URL(fixture.gateway.url)
    const request = Buffer.from(
      `GET ${API}/places HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nConnection: close\r\n\r\n`,
    )
    const socket = connect(Number(port), hostname)
    socket.setNoDelay(true)
    await once(socket, 'connect')
    // The answer comes before the whole request was sent. Bytes sent after it may meet a closed connection.
    socket.on('error', () => undefined)
    for (let at = 0; at < request.length && !socket.destroyed; at += pieceBytes) {
      socket.write(request.subarray(at, Math.min(request.length, at + pieceBytes)))
      if (pieceBytes < request.length) await new Promise((resolve) => setImmediate(resolve))
    }
    let text = ''
    for await (const chunk of socket) text += chunk
    return text
  }

  const lengths = [8_192, 8_193, 12_000, 16_000, 17_000, 64_000, 1_000_000]

  test.each(lengths)('is refused like any other: %i bytes', async (length) => {
    const token = forge(signers.shared, { claims: { note: 'x'.repeat(length) } })
    const texts = [await send(token.slice(0, length)), await send(token.slice(0, length), 1_400)]
    for (const text of texts) {
      expect(text).toMatch(/^HTTP\/1\.1 401 /)
      expect(text).toContain('"code":"TOKEN_INVALID"')
      expect(text.toLowerCase()).toContain('www-authenticate: bearer error="invalid_token"')
    }
  })

  test('is refused like any other, also through a usual HTTP client', async () => {
    expectProblem(await places(`eyJ${'a'.repeat(12_000)}`), TOKEN_INVALID)
  })

  /** Includes the work of the caller, so the real cost of the service is lower than the measured one. */
  test('costs less than 5 ms of CPU to refuse', async () => {
    const signer = signers.dedicated
    const hostile: [string, string][] = [
      ['1 MB', 'x'.repeat(1_000_000)],
      ['1 MB of dots', '.'.repeat(1_000_000)],
      ['8 KB of dots', '.'.repeat(8_000)],
      ['8 KB of brackets', forge(signer, { claims: '['.repeat(5_900) })],
      [
        '8 KB of names',
        forge(signer, {
          claims: JSON.stringify(Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`n${i}`, i]))),
        }),
      ],
      ['a forged kid', forge(signer, { header: { kid: `${signer.kid.slice(0, -11)}AAAAAAAAAAA` } })],
      ['a forged signature', forge({ ...signer, secret: randomBytes(32) }, {})],
    ]
    for (const [name, token] of hostile) {
      const spent: number[] = []
      for (let i = 0; i < ROUNDS; i += 1) {
        const begun = process.cpuUsage()
        await send(token)
        const { user, system } = process.cpuUsage(begun)
        spent.push((user + system) / 1000)
      }
      // Other work of the process only raises the number.
      expect(Math.min(...spent), name).toBeLessThan(BUDGET_MS)
    }
  })
})
