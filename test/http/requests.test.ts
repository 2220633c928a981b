import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll } from '../support/database.ts'
import { createStage, startGateway, type TestGateway, type TestTenant } from '../support/gateway.ts'
import { API, expectProblem, rawRequest, UNKNOWN_ID } from './support.ts'

let gateway: TestGateway
let tenant: TestTenant
beforeAll(async () => {
  gateway = await startGateway(await createStage())
  tenant = await gateway.createTenant()
})
afterAll(async () => {
  await gateway?.close()
  await dropAll()
})

const post = (body: string, headers: Record<string, string> = {}) =>
  gateway.call('POST', `${API}/places`, { token: tenant.token, body, headers })
const places = async () =>
  (await gateway.call('GET', `${API}/places`, { token: tenant.token })).body.data.length

describe('400', () => {
  test.each([
    ['nothing', ''],
    ['half of an object', '{"name": "Mill"'],
    ['a trailing comma', '{"name": "Mill",}'],
    ['a comment', '{"name": "Mill" /* x */}'],
    ['two values', '{"name": "Mill"}{}'],
    ['NaN', '{"name": "Mill", "latitude": NaN}'],
    ['a name twice', '{"name": "Mill", "name": "Tower"}'],
    ['a name twice, spelled differently', '{"name": "Mill", "n\\u0061me": "Tower"}'],
    ['a prototype', '{"name": "Mill", "__proto__": {"kind": "land"}}'],
    ['very deep nesting', '['.repeat(100_000)],
  ])('%s is refused as JSON, and nothing is created', async (_case, body) => {
    const before = await places()
    const answer = await post(body)
    expect([answer.status, answer.body.code]).toEqual([
      400,
      body === '' ? 'VALIDATION_FAILED' : 'MALFORMED_JSON',
    ])
    expect(await places()).toBe(before)
  })

  test.each(['null', '[]', '"Mill"', '7', 'true'])('%s is no object', async (body) => {
    expectProblem(await post(body), { status: 400, code: 'VALIDATION_FAILED' })
  })

  test('text that PostgreSQL cannot store is refused with its place in the body', async () => {
    const zero = await post(JSON.stringify({ name: 'a\u0000b' }))
    expectProblem(zero, { status: 400, code: 'VALIDATION_FAILED', pointers: ['/name'] })
    const half = await post('{"name": "Mill", "address": {"city": "\\ud800"}}')
    expectProblem(half, { status: 400, code: 'VALIDATION_FAILED', pointers: ['/address/city'] })
  })

  test('bytes that are not UTF-8', async () => {
    const response = await fetch(`${gateway.url}${API}/places`, {
      method: 'POST',
      headers: { authorization: `Bearer ${tenant.token}`, 'content-type': 'application/json' },
      body: Buffer.from('{"name": "\xff\xfe"}', 'latin1'),
    })
    expect([response.status, await response.json()]).toMatchObject([400, { code: 'MALFORMED_JSON' }])
  })

  test.each(['%ff', '%', '%zz', '%e2%82', '%c0%80', 'Mill%'])('a query whose text is %s', async (text) => {
    const answer = await gateway.call('GET', `${API}/places?name=${text}`, { token: tenant.token })
    expectProblem(answer, { status: 400, code: 'VALIDATION_FAILED' })
  })

  test('but any percent-encoded UTF-8 text is accepted', async () => {
    const path = `${API}/places?name=${encodeURIComponent('Mühle 100 % €')}`
    const { status, body } = await gateway.call('GET', path, { token: tenant.token })
    expect([status, body.data]).toEqual([200, []])
  })

  test('a date instead of a time stamp gets an answer with the expected format', async () => {
    const answer = await gateway.operator('GET', '/audit-log?from=2026-11-28')
    expectProblem(answer, { status: 400, code: 'VALIDATION_FAILED', pointers: ['/from'] })
    expect(answer.body.errors[0].message).toBe(
      'must be a moment with its offset, such as 2026-01-31T00:00:00Z',
    )
    expect((await gateway.operator('GET', '/audit-log?from=2026-11-28T00:00:00Z')).status).toBe(200)
  })

  test('two Host headers, equal or not, at any path', async () => {
    for (const path of ['/livez', `${API}/places`, '/nothing']) {
      for (const host of ['127.0.0.1', 'elsewhere.example']) {
        const { status, code } = await rawRequest(gateway.url, [`GET ${path} HTTP/1.1`, `Host: ${host}`])
        expect([status, code]).toEqual([400, 'VALIDATION_FAILED'])
      }
    }
    expect((await rawRequest(gateway.url, ['GET /livez HTTP/1.1'])).status).toBe(200)
  })

  test('a body where none is allowed', async () => {
    const answer = await gateway.call('DELETE', `${API}/places/${UNKNOWN_ID}`, {
      token: tenant.token,
      body: { tenantId: tenant.id },
    })
    expectProblem(answer, { status: 400, code: 'VALIDATION_FAILED', pointers: ['/tenantId'] })
  })

  test.each([
    ['no HTTP at all', ['\u0016\u0003\u0001 hello']],
    ['a header without end', ['GET /livez HTTP/1.1', `X: ${'x'.repeat(40_000)}`]],
    ['two lengths', ['POST /api/v1/auth/login HTTP/1.1', 'Content-Length: 2', 'Content-Length: 3']],
    [
      'a length and chunks',
      ['POST /api/v1/auth/login HTTP/1.1', 'Content-Length: 2', 'Transfer-Encoding: chunked'],
    ],
  ])('%s is answered as a problem, with a request id', async (_case, head) => {
    const { status, code, text } = await rawRequest(gateway.url, head)
    expect([400, 431]).toContain(status)
    expect(code).toBe('VALIDATION_FAILED')
    expect(text).toMatch(/x-request-id: \S+/i)
  })
})

describe('404', () => {
  test.each([
    ['GET', '/'],
    ['GET', '/api/v1'],
    ['GET', '/api/v1/castles'],
    ['GET', '/api/v2/places'],
    ['PUT', '/api/v1/places'],
    ['POST', `/api/v1/places/${UNKNOWN_ID}`],
    ['GET', '/API/v1/places'],
  ])('%s %s is unknown', async (method, path) => {
    expectProblem(await gateway.call(method, path, { token: tenant.token }), {
      status: 404,
      code: 'NOT_FOUND',
    })
    // Also without credentials: it is no secret which paths exist.
    expectProblem(await gateway.call(method, path), { status: 404, code: 'NOT_FOUND' })
  })
})

describe('413', () => {
  test('a body of more than a megabyte, with and without Content-Length', async () => {
    const large = JSON.stringify({ name: 'x'.repeat(1024 * 1024) })
    expectProblem(await post(large), { status: 413, code: 'PAYLOAD_TOO_LARGE' })
    const head = [
      `POST ${API}/places HTTP/1.1`,
      `Authorization: Bearer ${tenant.token}`,
      'Content-Type: application/json',
      'Transfer-Encoding: chunked',
    ]
    const chunk = `${large.length.toString(16)}\r\n${large}\r\n0\r\n\r\n`
    const { status, code } = await rawRequest(gateway.url, head, chunk)
    expect([status, code]).toEqual([413, 'PAYLOAD_TOO_LARGE'])
  })

  test('only after the credentials are checked: without them no body is read', async () => {
    const answer = await gateway.call('POST', `${API}/places`, { body: { name: 'x'.repeat(1024 * 1024) } })
    expectProblem(answer, { status: 401, code: 'UNAUTHENTICATED' })
  })
})

describe('an empty body of any type', () => {
  const types = ['application/x-www-form-urlencoded', 'application/json']

  test.each(types)('is accepted where none is needed: %s', async (type) => {
    const call = { token: tenant.token, body: '', headers: { 'content-type': type } }
    expect((await gateway.call('POST', `${API}/auth/password`, call)).status).not.toBe(415)
    const missing = await gateway.call('DELETE', `${API}/places/${UNKNOWN_ID}`, call)
    expectProblem(missing, { status: 404, code: 'NOT_FOUND' })
  })

  test.each(types)('is refused as missing where one is needed: %s', async (type) => {
    expectProblem(await post('', { 'content-type': type }), { status: 400, code: 'VALIDATION_FAILED' })
  })
})

describe('415', () => {
  test.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/xml',
    'multipart/form-data; boundary=x',
    'application/jsonx',
    'application/json; charset=utf-16',
    'application/merge-patch+json',
  ])('a new row as %s', async (type) => {
    const answer = await post('{"name": "Mill"}', { 'content-type': type })
    expectProblem(answer, { status: 415, code: 'UNSUPPORTED_MEDIA_TYPE' })
  })

  test('a compressed body', async () => {
    const answer = await post('{"name": "Mill"}', { 'content-encoding': 'gzip' })
    expectProblem(answer, { status: 415, code: 'UNSUPPORTED_MEDIA_TYPE' })
  })

  test('but the charset UTF-8 and a merge patch are accepted', async () => {
    const made = await post('{"name": "Mill"}', { 'content-type': 'application/json; charset="UTF-8"' })
    expect(made.status).toBe(201)
    const patched = await gateway.call('PATCH', `${API}/places/${made.body.id}`, {
      token: tenant.token,
      body: '{"kind": "land"}',
      headers: { 'content-type': 'application/merge-patch+json' },
    })
    expect([patched.status, patched.body.kind]).toEqual([200, 'land'])
  })
})

describe('X-Request-Id', () => {
  const paths = ['/livez', '/health', '/metrics', '/nowhere', `${API}/places`, `${API}/tenants`, '/%zz']

  test.each(paths)('is in the answer of %s, with a new value for each', async (path) => {
    const ids = await Promise.all(
      [1, 2].map(async () => (await gateway.call('GET', path)).headers.get('x-request-id')),
    )
    expect(ids[0]).toMatch(/^[0-9a-f-]{36}$/)
    expect(ids[0]).not.toBe(ids[1])
  })

  test("is the caller's own value if that is valid", async () => {
    const id = 'trace-1.2:3_A'
    const { headers, body } = await gateway.call('GET', `${API}/places`, { headers: { 'x-request-id': id } })
    expect([headers.get('x-request-id'), body.requestId]).toEqual([id, id])
  })

  test.each(['', ' ', 'a b', '"}', '<script>', 'é', 'x'.repeat(129), '{jndi:x}'])(
    "is not the caller's value %j",
    async (id) => {
      const { headers } = await gateway.call('GET', '/livez', { headers: { 'x-request-id': id } })
      expect(headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/)
    },
  )
})

describe('every answer', () => {
  test('forbids storing, sniffing and framing', async () => {
    for (const path of ['/livez', '/nowhere', `${API}/places`]) {
      const { headers } = await gateway.call('GET', path, { token: tenant.token })
      expect(headers.get('cache-control')).toBe('no-store')
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('x-frame-options')).toBe('DENY')
      expect(headers.get('x-powered-by')).toBeNull()
      expect(headers.get('server')).toBeNull()
    }
  })

  test('of an error reveals no query, stack, SQL, host or user', async () => {
    const answer = await gateway.call('GET', `${API}/places?name=secret-search&colour=red`, {
      token: tenant.token,
    })
    expect(answer.body.instance).toBe(`${API}/places`)
    expect(answer.text).not.toMatch(/secret-search|select|127\.0\.0\.1|node_modules|postgres|at /i)
  })

  test.each([
    ['without a Host', ['GET /livez HTTP/1.1'], 400],
    ['to a CONNECT', ['CONNECT example.com:443 HTTP/1.1', 'Host: x'], 400],
    ['with an unknown expectation', ['GET /livez HTTP/1.1', 'Host: x', 'Expect: banana'], 200],
  ])('%s has a body of our own', async (_case, head, status) => {
    const { hostname, port } = new URL(gateway.url)
    const socket = connect(Number(port), hostname)
    await once(socket, 'connect')
    socket.write(`${[...head, 'Connection: close'].join('\r\n')}\r\n\r\n`)
    let text = ''
    for await (const chunk of socket) text += chunk
    expect(text).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    expect(text).toMatch(/^x-request-id: /im)
    if (status === 400) expect(text).toContain('"code":"VALIDATION_FAILED"')
  })
})
