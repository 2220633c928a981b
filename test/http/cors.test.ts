import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SettingsError } from '../../src/config/environment.ts'
import { readSettings } from '../../src/config.ts'
import { dropAll } from '../support/database.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { API, expectProblem, type Fixture, openFixture, rawRequest } from './support.ts'

const APP = 'https://app.example.com'
let fixture: Fixture
let open: TestGateway
beforeAll(async () => {
  fixture = await openFixture()
  open = await startGateway(fixture.stage, { CORS_ORIGINS: `${APP}, http://localhost:5173` })
})
afterAll(async () => {
  await Promise.all([fixture?.gateway.close(), open?.close()])
  await dropAll()
})

const preflight = (gateway: TestGateway, origin: string, path = `${API}/places`) =>
  gateway.call('OPTIONS', path, {
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,idempotency-key',
    },
  })
const corsHeaders = (headers: Headers) => [...headers].filter(([name]) => name.startsWith('access-control-'))

describe('scripts of another origin', () => {
  test('may send no request unless the origin is listed', async () => {
    for (const answer of [
      await preflight(fixture.gateway, APP),
      await fixture.gateway.call('GET', '/livez', { headers: { origin: APP } }),
    ])
      expect(corsHeaders(answer.headers)).toEqual([])
    for (const origin of [
      'https://evil.example',
      `${APP}.evil.example`,
      `${APP}:444`,
      'null',
      'http://app.example.com',
    ]) {
      const { headers } = await preflight(open, origin)
      expect(headers.get('access-control-allow-origin')).toBeNull()
    }
  })

  test.each([APP, 'http://localhost:5173'])(
    '%s may use every method and header of the API',
    async (origin) => {
      const { status, headers } = await preflight(open, origin)
      expect([status, headers.get('access-control-allow-origin')]).toEqual([204, origin])
      const methods = headers.get('access-control-allow-methods')?.split(', ')
      expect(methods).toEqual(expect.arrayContaining(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']))
      const allowed = headers.get('access-control-allow-headers')?.toLowerCase().split(', ')
      const needed = [
        'authorization',
        'idempotency-key',
        'if-match',
        'x-client-key',
        'x-tenant-code',
        'x-account-id',
      ]
      expect(allowed).toEqual(expect.arrayContaining(needed))
      expect(headers.get('vary')?.toLowerCase()).toContain('origin')
    },
  )

  test('may read the headers of results and errors, and never with credentials of the browser', async () => {
    const { token } = fixture.shared
    for (const path of [`${API}/places`, `${API}/places/${'0'.repeat(8)}-0000-7000-8000-000000000000`]) {
      const { headers } = await open.call('GET', path, { token, headers: { origin: APP } })
      expect(headers.get('access-control-allow-origin')).toBe(APP)
      const exposed = headers.get('access-control-expose-headers')?.split(', ')
      const told = ['ETag', 'Location', 'Link', 'RateLimit-Limit', 'X-Request-Id', 'Retry-After']
      expect(exposed).toEqual(expect.arrayContaining(told))
      expect(headers.get('access-control-allow-credentials')).toBeNull()
    }
  })

  test.each(['*', 'app.example.com', `${APP}/`, `${APP}/x`, 'null', 'ftp://a', `${APP},*`])(
    'cannot be allowed by CORS_ORIGINS=%s',
    (origins) => {
      expect(() => readSettings({ CORS_ORIGINS: origins })).toThrow(SettingsError)
    },
  )
})

describe('OPTIONS', () => {
  test.each([
    [`${API}/places`, 'GET, HEAD, OPTIONS, POST'],
    [`${API}/places/anything`, 'DELETE, GET, HEAD, OPTIONS, PATCH'],
    [`${API}/auth/login`, 'OPTIONS, POST'],
    [`${API}/tenants/x/database`, 'DELETE, GET, HEAD, OPTIONS, PUT'],
    ['/livez', 'GET, HEAD, OPTIONS'],
  ])('%s allows %s to every caller', async (path, allow) => {
    for (const gateway of [fixture.gateway, open]) {
      const { status, headers, text } = await gateway.call('OPTIONS', path)
      expect([status, headers.get('allow'), text]).toEqual([204, allow, ''])
    }
  })

  test('of an unknown path is 404, with and without origins', async () => {
    for (const gateway of [fixture.gateway, open]) {
      expectProblem(await gateway.call('OPTIONS', '/nowhere'), { status: 404, code: 'NOT_FOUND' })
      expectProblem(await preflight(gateway, APP, '/nowhere'), { status: 404, code: 'NOT_FOUND' })
    }
  })
})

describe('HEAD', () => {
  test('answers like GET but without a body', async () => {
    const { token } = fixture.shared
    const made = await fixture.gateway.call('POST', `${API}/places`, { token, body: { name: 'Mill' } })
    for (const path of ['/livez', '/openapi.json', `${API}/tenant`, `${API}/places/${made.body.id}`]) {
      const [get, head] = [
        await fixture.gateway.call('GET', path, { token, headers: { 'accept-encoding': 'identity' } }),
        await fixture.gateway.call('HEAD', path, { token, headers: { 'accept-encoding': 'identity' } }),
      ]
      expect([head.status, head.text]).toEqual([200, ''])
      for (const name of ['content-length', 'content-type', 'etag'])
        expect([path, name, head.headers.get(name)]).toEqual([path, name, get.headers.get(name)])
    }
  })
})

describe('compression', () => {
  const ask = (path: string, encoding: string) =>
    fetch(`${fixture.gateway.url}${path}`, {
      headers: { authorization: `Bearer ${fixture.shared.token}`, 'accept-encoding': encoding },
    })

  test.each(['br', 'gzip'])('uses %s for a list that is long enough', async (encoding) => {
    const names = Array.from({ length: 12 }, (_, n) => `Mill number ${n}`)
    for (const name of names)
      await fixture.gateway.call('POST', `${API}/places`, { token: fixture.shared.token, body: { name } })
    const { status, text } = await raw(`${API}/places?limit=200`, encoding)
    expect(status).toBe(200)
    const plain = await (await ask(`${API}/places?limit=200`, 'identity')).json()
    expect(JSON.parse(text)).toEqual(plain)
  })

  test('is not used for short answers, or where the caller does not accept it', async () => {
    for (const [path, encoding] of [
      ['/livez', 'br, gzip'],
      ['/metrics', 'br, gzip'],
      [`${API}/places?limit=200`, 'identity'],
      [`${API}/places?limit=200`, 'zstd'],
      [`${API}/places?limit=1`, 'gzip'],
    ] as const) {
      const { headers } = await ask(path, encoding)
      expect([path, headers.get('content-encoding')]).toEqual([path, null])
    }
  })

  test('is not accepted in requests', async () => {
    const answer = await fixture.gateway.call('POST', `${API}/places`, {
      token: fixture.shared.token,
      headers: { 'content-encoding': 'gzip' },
      body: { name: 'x' },
    })
    expectProblem(answer, { status: 415, code: 'UNSUPPORTED_MEDIA_TYPE' })
  })

  /** fetch decompresses answers itself and hides the encoding, so the test reads the compressed bytes. */
  async function raw(path: string, encoding: string) {
    const { get } = await import('node:http')
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>()
    const headers = { authorization: `Bearer ${fixture.shared.token}`, 'accept-encoding': encoding }
    get(`${fixture.gateway.url}${path}`, { headers }, async (answer) => {
      const chunks: Buffer[] = []
      for await (const chunk of answer) chunks.push(chunk as Buffer)
      const packed = Buffer.concat(chunks)
      expect(answer.headers['content-encoding']).toBe(encoding)
      expect(answer.headers.vary?.toLowerCase()).toContain('accept-encoding')
      const bytes = encoding === 'br' ? brotliDecompressSync(packed) : gunzipSync(packed)
      expect(packed.length).toBeLessThan(bytes.length / 2)
      resolve({ status: answer.statusCode ?? 0, text: bytes.toString() })
    }).on('error', reject)
    return promise
  }
})

test('a request with two Origin headers is refused', async () => {
  const head = ['GET /livez HTTP/1.1', `Origin: ${APP}`, 'Origin: https://evil.example']
  const { text } = await rawRequest(open.url, head)
  expect(text).not.toMatch(/access-control-allow-origin: https:\/\/evil/i)
})
