import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import type { FastifyInstance, InjectOptions } from 'fastify'
import { afterEach, describe, expect, it } from 'vitest'
import { fail } from '../../../src/errors.ts'
import type { HttpDeps } from '../../../src/http/deps.ts'
import { contextOf } from '../../../src/http/pipeline.ts'
import { PermissionSet } from '../../../src/identity/access/permissions.ts'
import { ALWAYS_FRESH } from '../../support/route-source.ts'
import { ACME, bearer, makeServer, OTHER, only, TOKENS } from './fakes.ts'

let server: FastifyInstance
afterEach(() => server.close())

const TENANT_PATH = '/api/v1/whoami'
const OPERATOR_PATH = '/api/v1/tenants'

/** Routes that answer the caller's kind, so that no database is needed. */
function guarded(changes?: Parameters<typeof makeServer>[0]) {
  server = makeServer(changes, (app) => {
    app.all(
      TENANT_PATH,
      { config: { access: { kind: 'tenant', permission: 'properties:read' } } },
      async (request) => {
        const { tenantId, principal } = contextOf(request)
        return { tenantId, kind: principal.kind }
      },
    )
    app.get(
      '/api/v1/write',
      { config: { access: { kind: 'tenant', permission: 'properties:write' } } },
      async () => 'ok',
    )
    app.get('/api/v1/operator', { config: { access: { kind: 'operator', write: false } } }, async () => 'ok')
    app.post('/api/v1/operator', { config: { access: { kind: 'operator', write: true } } }, async () => 'ok')
    app.get('/open', { config: { access: { kind: 'open' } } }, async ({ principal }) => principal)
  })
  return server
}

async function answer(options: InjectOptions) {
  const response = await server.inject(options)
  return { status: response.statusCode, code: response.json<{ code?: string }>().code, response }
}

const withKey = (code?: string) => ({
  'x-client-key': TOKENS.clientKey,
  ...(code && { 'x-tenant-code': code }),
})

describe('passes', () => {
  it.each([
    ['a token seen before', bearer(TOKENS.reader), 'user'],
    ['a token seen for the first time', bearer(TOKENS.writer), 'user'],
    ['a client key with its tenant', withKey('acme-corp'), 'client-key'],
    ['a token whose tenant is confirmed', { ...bearer(TOKENS.reader), 'x-tenant-code': 'acme-corp' }, 'user'],
    [
      'one who acts for their own tenant, by code',
      { ...bearer(TOKENS.reader), 'x-account-id': 'acme-corp' },
      'user',
    ],
    [
      'one who acts for their own tenant, by id',
      { ...bearer(TOKENS.reader), 'x-account-id': ACME.toUpperCase() },
      'user',
    ],
    ['a scheme in capitals', { authorization: `BEARER ${TOKENS.reader}` }, 'user'],
  ])('%s', async (_case, headers, kind) => {
    guarded()
    const { response } = await answer({ url: TENANT_PATH, headers })
    expect(response.json()).toEqual({ tenantId: ACME, kind })
  })

  it('an operator, and a viewer for reading', async () => {
    guarded()
    for (const token of [TOKENS.admin, TOKENS.viewer]) {
      const response = await server.inject({ url: '/api/v1/operator', headers: bearer(token) })
      expect(response.statusCode).toBe(200)
    }
    const written = await server.inject({
      method: 'POST',
      url: '/api/v1/operator',
      headers: bearer(TOKENS.admin),
    })
    expect(written.statusCode).toBe(200)
  })
})

describe('refuses', () => {
  it.each<[string, string, Record<string, string>, string]>([
    ['a request without a credential', TENANT_PATH, {}, '401 UNAUTHENTICATED'],
    ['another scheme', TENANT_PATH, { authorization: 'Basic YTpi' }, '401 UNAUTHENTICATED'],
    ['an empty bearer', TENANT_PATH, { authorization: 'Bearer ' }, '401 UNAUTHENTICATED'],
    ['a forged token', TENANT_PATH, bearer('eyJ.forged.sig'), '401 TOKEN_INVALID'],
    ['an expired token', TENANT_PATH, bearer(TOKENS.expired), '401 TOKEN_EXPIRED'],
    [
      'two credentials',
      TENANT_PATH,
      { ...bearer(TOKENS.reader), ...withKey('acme-corp') },
      '401 UNAUTHENTICATED',
    ],
    [
      'an unknown key',
      TENANT_PATH,
      { 'x-client-key': 'fhk_x', 'x-tenant-code': 'acme-corp' },
      '401 INVALID_CREDENTIALS',
    ],
    ['a key without a tenant', TENANT_PATH, withKey(), '400 TENANT_AMBIGUOUS'],
    ['a key with an unknown tenant', TENANT_PATH, withKey('no-such-tenant'), '404 TENANT_NOT_FOUND'],
    ['a key with an inactive tenant', TENANT_PATH, withKey('gone'), '404 TENANT_NOT_FOUND'],
    ["a key with another's tenant", TENANT_PATH, withKey('other'), '403 CROSS_TENANT_ACCESS'],
    [
      "a token with another's tenant",
      TENANT_PATH,
      { ...bearer(TOKENS.reader), 'x-tenant-code': 'other' },
      '403 CROSS_TENANT_ACCESS',
    ],
    ['a token of an inactive tenant', TENANT_PATH, bearer(TOKENS.gone), '404 TENANT_NOT_FOUND'],
    [
      'one who acts for a tenant without permission',
      TENANT_PATH,
      { ...bearer(TOKENS.writer), 'x-account-id': OTHER },
      '403 CROSS_TENANT_ACCESS',
    ],
    [
      'one who acts for an unknown account',
      TENANT_PATH,
      { ...bearer(TOKENS.writer), 'x-account-id': 'no-such-account' },
      '403 CROSS_TENANT_ACCESS',
    ],
    ['one without the permission', '/api/v1/write', bearer(TOKENS.reader), '403 PERMISSION_DENIED'],
    ['an operator on a tenant path', TENANT_PATH, bearer(TOKENS.admin), '403 PERMISSION_DENIED'],
    ['a user on an operator path', OPERATOR_PATH, bearer(TOKENS.writer), '403 OPERATOR_REQUIRED'],
    ['a key on an operator path', OPERATOR_PATH, withKey(), '403 OPERATOR_REQUIRED'],
    ['a request without a credential on an operator path', OPERATOR_PATH, {}, '401 UNAUTHENTICATED'],
    ['an unknown operator', OPERATOR_PATH, bearer('fho_unknown'), '401 INVALID_CREDENTIALS'],
  ])('%s', async (_case, url, headers, expected) => {
    guarded()
    const { status, code } = await answer({ url, headers })
    expect(`${status} ${code}`).toBe(expected)
  })

  it('a viewer who writes', async () => {
    guarded()
    const options = { method: 'POST', url: '/api/v1/operator', headers: bearer(TOKENS.viewer) } as const
    expect(await answer(options)).toMatchObject({ status: 403, code: 'PERMISSION_DENIED' })
  })

  it('names the missing permission, and asks for a bearer token with 401', async () => {
    guarded()
    const denied = await server.inject({ url: '/api/v1/write', headers: bearer(TOKENS.reader) })
    expect(denied.json()).toMatchObject({ required: 'properties:write' })
    const missing = await server.inject({ url: TENANT_PATH })
    expect(missing.headers['www-authenticate']).toBe('Bearer')
    const forged = await server.inject({ url: TENANT_PATH, headers: bearer('eyJ.x.y') })
    expect(forged.headers['www-authenticate']).toBe('Bearer error="invalid_token"')
  })
})

describe('the order of the gates', () => {
  const json = { 'content-type': 'application/json' }
  const broken = { method: 'POST', payload: '{broken' } as const

  it.each<[string, InjectOptions, string]>([
    ['the credential before the body', { ...broken, url: TENANT_PATH, headers: json }, 'UNAUTHENTICATED'],
    [
      'the tenant before the body',
      { ...broken, url: TENANT_PATH, headers: { ...json, ...bearer(TOKENS.gone) } },
      'TENANT_NOT_FOUND',
    ],
    [
      'the role before the body',
      { ...broken, url: OPERATOR_PATH, headers: { ...json, ...bearer(TOKENS.viewer) } },
      'PERMISSION_DENIED',
    ],
    ['the path before the body', { ...broken, url: '/api/v1/nothing', headers: json }, 'NOT_FOUND'],
    ['the credential before the query', { url: `${OPERATOR_PATH}?limit=0` }, 'UNAUTHENTICATED'],
    [
      'then the body',
      { ...broken, url: TENANT_PATH, headers: { ...json, ...bearer(TOKENS.reader) } },
      'MALFORMED_JSON',
    ],
  ])('%s', async (_case, options, code) => {
    guarded()
    expect((await answer(options)).code).toBe(code)
  })

  it('a query or body that a route does not declare is refused', async () => {
    guarded()
    const headers = bearer(TOKENS.reader)
    expect(await answer({ url: `${TENANT_PATH}?tenantId=${OTHER}`, headers })).toMatchObject({
      code: 'VALIDATION_FAILED',
    })
    const posted = { method: 'POST', url: TENANT_PATH, headers, payload: { tenant_id: OTHER } } as const
    const { response } = await answer(posted)
    expect(response.json()).toMatchObject({
      code: 'VALIDATION_FAILED',
      errors: [{ pointer: '/tenant_id' }],
    })
  })
})

describe('after a pause of the process', () => {
  const probes = () => ({ ...ALWAYS_FRESH, isOver: false, lapses: 0, renewals: 0 })

  it.each([
    ['a tenant', TENANT_PATH, TOKENS.reader],
    ['an operator', '/api/v1/operator', TOKENS.admin],
    ['anybody', '/open', TOKENS.reader],
  ])('the catalog is read before a request of %s is decided', async (_case, url, token) => {
    const asked: string[] = []
    const freshness = probes()
    freshness.isOver = true
    freshness.renew = async () => {
      asked.push('catalog')
      freshness.isOver = false
    }
    guarded({
      freshness,
      tokens: {
        peek: () => {
          asked.push('token')
          return undefined
        },
        verify: () => Promise.reject(fail('TOKEN_INVALID')),
      },
    })
    await server.inject({ url, headers: bearer(token) })
    expect(asked).toEqual(url === '/open' ? ['catalog'] : ['catalog', 'token'])
  })

  it('requests are refused while the catalog does not answer, and probes are answered', async () => {
    const renew = () => Promise.reject(fail('CATALOG_UNAVAILABLE'))
    guarded({ freshness: { ...ALWAYS_FRESH, isOver: true, renew } })
    for (const token of [TOKENS.reader, TOKENS.admin]) {
      const url = token === TOKENS.admin ? '/api/v1/operator' : TENANT_PATH
      expect(await answer({ url, headers: bearer(token) })).toMatchObject({
        status: 503,
        code: 'CATALOG_UNAVAILABLE',
      })
    }
    expect((await server.inject({ url: '/livez' })).statusCode).toBe(200)
  })

  it.each([
    ['changes were missed', 1, 401],
    ['none was missed', 0, 200],
  ])('a request that was admitted before it is decided again if %s', async (_case, missed, status) => {
    const freshness = probes()
    let isRevoked = false
    guarded({
      freshness,
      clientKeys: only<HttpDeps['clientKeys']>({
        authenticate: async () => {
          if (isRevoked) throw fail('INVALID_CREDENTIALS')
          return { kind: 'client-key', keyId: 'k', tenantId: ACME, permissions: new PermissionSet(['*']) }
        },
      }),
    })
    server.addHook('preValidation', async () => {
      // The process paused while the body arrived, and the key was deleted meanwhile.
      isRevoked = true
      freshness.isOver = true
      freshness.renew = async () => {
        freshness.isOver = false
        freshness.lapses += missed
      }
    })
    expect((await answer({ url: TENANT_PATH, headers: withKey('acme-corp') })).status).toBe(status)
  })
})

describe('routes', () => {
  it('cannot be registered without access', async () => {
    server = makeServer()
    expect(() => server.get('/forgotten', async () => 'hello')).toThrow('declares no access')
  })

  it('have no principal if they need none', async () => {
    guarded()
    expect(await answer({ url: '/open', headers: bearer(TOKENS.admin) })).toMatchObject({
      code: 'INTERNAL_ERROR',
    })
  })

  it('answer HEAD with the same checks', async () => {
    guarded()
    expect((await server.inject({ method: 'HEAD', url: '/api/v1/operator' })).statusCode).toBe(401)
    const head = await server.inject({
      method: 'HEAD',
      url: '/api/v1/operator',
      headers: bearer(TOKENS.viewer),
    })
    expect(head.statusCode).toBe(200)
  })
})

describe('while draining', () => {
  it('refuses everything but probes with Retry-After, and closes the connection', async () => {
    guarded({ lifecycle: { phase: 'draining' } })
    for (const url of [TENANT_PATH, OPERATOR_PATH, '/open']) {
      const { status, code, response } = await answer({ url, headers: bearer(TOKENS.admin) })
      expect({ status, code }).toEqual({ status: 503, code: 'SHUTTING_DOWN' })
      expect(response.headers).toMatchObject({ 'retry-after': '1', connection: 'close' })
    }
    expect((await server.inject('/livez')).statusCode).toBe(200)
    expect((await server.inject('/readyz')).json()).toEqual({ status: 'draining' })
  })
})

describe('repeated headers about access', () => {
  it.each([
    ['Authorization', [`Authorization: Bearer ${TOKENS.reader}`, 'authorization: Bearer other']],
    ['X-Client-Key', ['X-Client-Key: a', 'X-Client-Key: b']],
    [
      'X-Tenant-Code',
      [`Authorization: Bearer ${TOKENS.reader}`, 'X-Tenant-Code: acme-corp', 'x-tenant-code: acme-corp'],
    ],
    [
      'the act-for header',
      [`Authorization: Bearer ${TOKENS.reader}`, `X-Account-Id: ${ACME}`, `x-account-id: ${ACME}`],
    ],
  ])('%s', async (_name, headers) => {
    guarded()
    await server.listen({ port: 0, host: '127.0.0.1' })
    const text = await speak([
      `GET ${TENANT_PATH} HTTP/1.1`,
      'Host: x',
      ...headers,
      'Connection: close',
      '',
      '',
    ])
    expect(text).toMatch(/^HTTP\/1\.1 400 /)
    expect(text).toContain('"VALIDATION_FAILED"')
  })
})

describe('an invalid request', () => {
  it.each([
    ['bytes that are no HTTP', ['nonsense', '', ''], 400],
    ['headers without end', ['GET / HTTP/1.1', 'Host: x', `X-Big: ${'a'.repeat(40_000)}`, '', ''], 431],
  ])('%s', async (_case, lines, status) => {
    guarded()
    await server.listen({ port: 0, host: '127.0.0.1' })
    const text = await speak(lines)
    expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(text).toContain('application/problem+json')
  })
})

async function speak(lines: string[]): Promise<string> {
  const { port } = server.server.address() as AddressInfo
  const socket = connect(port, '127.0.0.1')
  let text = ''
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  socket.on('error', () => undefined)
  socket.write(lines.join('\r\n'))
  await once(socket, 'close')
  return text
}
