import { randomBytes, randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import compress from '@fastify/compress'
import cors from '@fastify/cors'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import Fastify, { type FastifyInstance, type FastifyPluginAsync, type FastifyServerOptions } from 'fastify'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { createGateway, freehold, freeholdApi, type Gateway, problem } from '../../src/index.ts'
import { Caller, createStage, environmentOf, type Stage, type TestTenant } from '../support/gateway.ts'
import { bookings as application } from './bookings/application.ts'

const API = '/api/v1'
let stage: Stage
let other: Stage
let lines: { fields: Record<string, unknown>; message: string }[]
const opened: { close(): Promise<unknown> }[] = []

beforeAll(async () => {
  ;[stage, other] = await Promise.all([createStage({ application }), createStage({ application })])
})

afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close()
})

function gatewayOf(of: Stage, more: Record<string, string> = {}): Gateway {
  const note = (fields: object, message: string) =>
    void lines.push({ fields: fields as Record<string, unknown>, message })
  lines = []
  const logger = { debug: note, info: note, warn: note, error: note }
  const gateway = createGateway({ application, env: environmentOf(of, more), logger })
  opened.push(gateway)
  return gateway
}

function hostOf(options: FastifyServerOptions = {}): FastifyInstance {
  const host = Fastify({
    requestTimeout: 60_000,
    http: { maxHeaderSize: 32 * 1024 },
    ...options,
  } as object) as FastifyInstance
  opened.push(host)
  return host
}

async function listen(host: FastifyInstance, operatorToken = stage.operatorToken): Promise<Caller> {
  return new Caller(await host.listen({ port: 0, host: '127.0.0.1' }), operatorToken)
}

/** A gateway and its API in one scope. */
function inScope(gateway: Gateway, prefix: string): FastifyPluginAsync {
  return async (scope) => {
    await scope.register(freehold, { gateway })
    await scope.register(freeholdApi, { gateway, prefix })
  }
}

/** A host with its own routes, parser, validator and error handler. */
function addHostRoutes(host: FastifyInstance): void {
  host.addContentTypeParser('text/csv', { parseAs: 'string' }, async (_request: unknown, body: unknown) =>
    String(body).split(','),
  )
  host.setErrorHandler((error: { message: string; statusCode?: number }, _request, reply) =>
    reply.code(error.statusCode ?? 500).send({ oops: error.message }),
  )
  host.setNotFoundHandler((_request, reply) => reply.code(404).send({ oops: 'no such page' }))
  const body = { type: 'object', properties: { age: { type: 'integer' } }, required: ['age'] }
  host.post('/people', { schema: { body } }, async (request) => request.body)
  host.post('/csv', async (request) => request.body)
  host.get('/broken', async () => Promise.reject(new Error('of the host')))
}

async function tenantOf(caller: Caller): Promise<TestTenant> {
  return caller.createTenant()
}

describe('a gateway inside a host', () => {
  test('serves its API under the prefix, and does not change how the host behaves', async () => {
    const host = hostOf()
    const gateway = gatewayOf(stage)
    addHostRoutes(host)
    await host.register(freehold, { gateway })
    await host.register(freeholdApi, { gateway, prefix: '/saas' })
    const caller = await listen(host)
    // The host: coerced bodies, removed members, its own errors.
    const coerced = await caller.call('POST', '/people', { body: { age: '7', more: 1 } })
    expect(coerced.body).toEqual({ age: 7, more: 1 })
    expect((await caller.call('POST', '/people', { body: {} })).body.oops).toContain(
      "must have required property 'age'",
    )
    expect(
      (await caller.call('POST', '/csv', { body: 'a,b', headers: { 'content-type': 'text/csv' } })).body,
    ).toEqual(['a', 'b'])
    expect((await caller.call('GET', '/broken')).body).toEqual({ oops: 'of the host' })
    expect((await caller.call('GET', '/nowhere')).body).toEqual({ oops: 'no such page' })
    // Freehold, under its prefix only.
    const problemOf = async (method: string, path: string, call = {}) => {
      const { status, body, headers } = await caller.call(method, path, call)
      return [status, body.code, headers.get('content-type')?.split(';')[0]]
    }
    const json = 'application/problem+json'
    expect(await problemOf('GET', '/saas/nowhere')).toEqual([404, 'NOT_FOUND', json])
    expect(await problemOf('GET', '/saas/whoami')).toEqual([401, 'UNAUTHENTICATED', json])
    const token = stage.operatorToken
    expect(await problemOf('POST', '/saas/tenants', { token, body: { code: 7 } })).toEqual([
      400,
      'VALIDATION_FAILED',
      json,
    ])
    const csv = { token, body: 'a,b', headers: { 'content-type': 'text/csv' } }
    expect(await problemOf('POST', '/saas/tenants', csv)).toEqual([415, 'UNSUPPORTED_MEDIA_TYPE', json])
    for (const path of ['/openapi.json', '/docs', '/.well-known/jwks.json'])
      expect([path, (await caller.call('GET', `/saas${path}`)).status]).toEqual([path, 200])
    for (const path of [
      '/saas/livez',
      '/saas/metrics',
      '/livez',
      '/metrics',
      '/openapi.json',
      '/api/v1/tenants',
    ])
      expect([path, (await caller.call('GET', path)).status]).toEqual([path, 404])
    const document = (await caller.call('GET', '/saas/openapi.json')).body
    expect(document.paths['/saas/users'].get).toMatchObject({ operationId: 'listUsers', tags: ['users'] })
    expect(document.paths['/saas/rooms/{id}/bookings'].post.operationId).toBe('postRoomsByIdBookings')
    expect(document.paths).not.toHaveProperty('/people')
    expect((await caller.call('OPTIONS', '/saas/rooms')).headers.get('allow')).toBe(
      'GET, HEAD, OPTIONS, POST',
    )
  })

  test('checks the callers of the host’s routes, which keep the host’s parsing', async () => {
    const host = hostOf()
    const gateway = gatewayOf(stage)
    addHostRoutes(host)
    await host.register(freehold, { gateway })
    await host.register(freeholdApi, { gateway, prefix: API })
    await host.register(
      // biome-ignore lint/nursery/noMisusedPromises: Fastify takes plugins that answer promises
      async (inner) => {
        const options = {
          access: 'reports:read',
          schema: { body: { type: 'object', properties: { n: { type: 'integer' } } } },
        }
        inner.freehold.tenant.post('/report', options, async ({ tenant, body }) => {
          const { n } = body as { n: number }
          if (n === 409) problem('SLOT_TAKEN')
          if (n === 500) throw new Error('of the handler')
          const rooms = await tenant.db.query.rooms.findMany()
          return { code: tenant.code, rooms: rooms.length, n }
        })
        inner.freehold.operator.get('/ops', async ({ principal }) => ({ kind: principal.kind }))
      },
      { prefix: '/inner' },
    )
    const caller = await listen(host)
    const tenant = await tenantOf(caller)
    const report = (body: object, headers = {}) =>
      caller.call('POST', '/inner/report', { token: tenant.token, body, headers })
    expect((await report({ n: '3', more: true })).body).toEqual({ code: tenant.code, rooms: 0, n: 3 })
    expect((await report({ n: 'x' })).body.oops).toContain('must be integer')
    expect((await report({ n: 500 })).body).toEqual({ oops: 'of the handler' })
    expect((await report({ n: 409 })).body).toMatchObject({ code: 'SLOT_TAKEN', status: 409 })
    expect((await caller.call('POST', '/inner/report', { body: { n: 1 } })).body).toMatchObject({
      code: 'UNAUTHENTICATED',
    })
    const keyed = { 'idempotency-key': randomUUID() }
    expect((await report({ n: 4 }, keyed)).body).toEqual({ code: tenant.code, rooms: 0, n: 4 })
    expect((await report({ n: 4 }, keyed)).headers.get('idempotency-replayed')).toBe('true')
    expect((await report({ n: 4 }, { 'idempotency-key': 'x'.repeat(256) })).body.code).toBe(
      'VALIDATION_FAILED',
    )
    expect((await caller.call('GET', '/inner/ops', { token: stage.operatorToken })).body).toEqual({
      kind: 'operator',
    })
    expect((await caller.call('GET', '/inner/ops', { token: tenant.token })).body.code).toBe(
      'OPERATOR_REQUIRED',
    )
    expect((await caller.call('GET', `${API}/permissions`, { token: tenant.token })).body.data).toContain(
      'reports:read',
    )
    expect(() => host.freehold.tenant.get('/late', {} as never, async () => 1)).toThrow('declares no access')
  })

  test('can be in one host with another gateway, each with its own callers', async () => {
    const host = hostOf()
    const [a, b] = [gatewayOf(stage), gatewayOf(other)]
    await host.register(inScope(a, '/a'))
    await host.register(inScope(b, '/b'))
    const caller = await listen(host)
    const listed = async (prefix: string, token: string) =>
      (await caller.call('GET', `${prefix}/tenants`, { token })).status
    expect(await listed('/a', stage.operatorToken)).toBe(200)
    expect(await listed('/b', other.operatorToken)).toBe(200)
    expect(await listed('/a', other.operatorToken)).toBe(401)
    expect(await listed('/b', stage.operatorToken)).toBe(401)
  })

  test('closes after the host’s running requests have ended', async () => {
    const host = hostOf()
    const gateway = gatewayOf(stage)
    await host.register(freehold, { gateway })
    await host.register(freeholdApi, { gateway, prefix: API })
    const begun = Promise.withResolvers<void>()
    const goOn = Promise.withResolvers<void>()
    host.freehold.tenant.get('/slow', { access: 'rooms:read' }, async ({ tenant }) => {
      begun.resolve()
      await goOn.promise
      return { rooms: (await tenant.db.query.rooms.findMany()).length }
    })
    const caller = await listen(host)
    const tenant = await tenantOf(caller)
    const slow = caller.call('GET', '/slow', { token: tenant.token })
    await begun.promise
    const closed = host.close()
    await expect.poll(async () => (await gateway.health()).status).toBe('unavailable')
    // A close that does not wait would be over long before this.
    expect(await Promise.race([closed, delay(1_000, 'waits')])).toBe('waits')
    expect(await gateway.tenants.run(tenant.code, async () => 'open', { actor: 'x' })).toBe('open')
    goOn.resolve()
    expect((await slow).body).toEqual({ rooms: 0 })
    await closed
    await expect(gateway.tenants.run(tenant.code, async () => 1, { actor: 'x' })).rejects.toThrow('closed')
  })

  test('works with common plugins of hosts, and with another serializer', async () => {
    const host = hostOf()
    const gateway = gatewayOf(stage)
    host.setSerializerCompiler(() => () => '"by the host"')
    await host.register(compress)
    await host.register(cors, { origin: true })
    await host.register(swagger, { openapi: { info: { title: 'host', version: '1' } } })
    await host.register(swaggerUi, { routePrefix: '/docs' })
    await host.register(freehold, { gateway })
    await host.register(freeholdApi, { gateway, prefix: API })
    await host.ready()
    const headers = { authorization: `Bearer ${stage.operatorToken}`, origin: 'http://x' }
    const get = (url: string) => host.inject({ url, headers })
    expect((await get(`${API}/openapi.json`)).json().info.title).toBe('Freehold')
    expect((host.swagger() as { info: { title: string } }).info.title).toBe('host')
    const listed = await get(`${API}/tenants?q=no-match`)
    expect([listed.statusCode, listed.json()]).toEqual([200, { data: [], nextCursor: null }])
    expect(listed.headers['access-control-allow-origin']).toBe('http://x')
    for (const path of [`${API}/docs`, '/docs'])
      expect([path, (await get(path)).statusCode]).toEqual([path, 200])
  })

  test('does not stop the host’s other work if databases do not answer', async () => {
    const host = hostOf()
    const gateway = gatewayOf({ ...stage, catalogUrl: stage.catalogUrl.replace(/:\d+\//, ':1/') })
    host.get('/hello', async () => 'hello')
    await host.register(freehold, { gateway })
    await host.register(freeholdApi, { gateway, prefix: API })
    const caller = await listen(host)
    expect((await caller.call('GET', '/hello')).text).toBe('hello')
    expect((await caller.call('GET', `${API}/tenants`)).body.code).toBe('CATALOG_UNAVAILABLE')
  })
})

describe('a fault that is reported before any request is served', () => {
  test.each<[string, FastifyServerOptions & object, string]>([
    ['trusts every proxy', { trustProxy: true }, 'trustProxy trusts every address'],
    [
      'takes headers without end',
      { http: { maxHeaderSize: 1024 * 1024 } } as object,
      'http.maxHeaderSize is above',
    ],
    ['parses what is no HTTP', { http: { insecureHTTPParser: true } } as object, 'http.insecureHTTPParser'],
  ])('a host that %s is refused', async (_case, options, told) => {
    const host = hostOf(options)
    await expect(host.register(freehold, { gateway: gatewayOf(stage) })).rejects.toThrow(told)
  })

  test('options of a host that weaken a protection are logged', async () => {
    const host = hostOf({
      requestTimeout: 0,
      http: {},
      routerOptions: { querystringParser: () => ({}) },
    } as object)
    await host.register(freehold, { gateway: gatewayOf(stage) })
    const weak = lines.filter(({ message }) => message === 'an option of the host weakens a protection')
    expect(weak.map(({ fields }) => fields.option)).toEqual([
      'requestTimeout',
      'http.maxHeaderSize',
      'querystringParser',
    ])
  })

  test('a host of another major version is refused', async () => {
    const host = hostOf()
    Object.defineProperty(host, 'version', { value: '4.29.1' })
    await expect(host.register(freehold, { gateway: gatewayOf(stage) })).rejects.toThrow(
      /freehold.*5\.x.*4\.29\.1/,
    )
    const old = { version: '4.29.1', prefix: '/x' } as unknown as FastifyInstance
    await expect(freeholdApi(old, { gateway: gatewayOf(stage) })).rejects.toThrow(
      'Freehold needs Fastify 5; this host is Fastify 4.29.1.',
    )
  })

  test('a gateway that is registered twice is refused, and so is a second one in the same scope', async () => {
    const host = hostOf()
    const gateway = gatewayOf(stage)
    await host.register(freehold, { gateway })
    await host.register(freeholdApi, { gateway, prefix: API })
    const again = hostOf()
    await expect(again.register(freehold, { gateway })).rejects.toThrow('registered twice')
    const third = hostOf()
    await expect(third.register(freehold, { gateway: gatewayOf(other) })).resolves.toBeDefined()
    await expect(third.register(freehold, { gateway: gatewayOf(other) })).rejects.toThrow('its own scope')
    const fourth = hostOf()
    await expect(fourth.register(freeholdApi, { gateway, prefix: '/x' })).rejects.toThrow('registered twice')
  })

  test('an API without a prefix or a gateway is refused', async () => {
    await expect(hostOf().register(freeholdApi, { gateway: gatewayOf(stage) })).rejects.toThrow(
      'needs its own prefix',
    )
    await expect(hostOf().register(freehold, { gateway: {} as Gateway })).rejects.toThrow(
      'the result of createGateway',
    )
  })

  test('a host whose requests already have a "tenant" is refused', async () => {
    const host = hostOf()
    host.decorateRequest('tenant', null as never)
    await expect(host.register(freehold, { gateway: gatewayOf(stage) })).rejects.toThrow(
      'decorates requests with "tenant"',
    )
  })

  test('a start that can never succeed fails the host', async () => {
    const host = hostOf()
    const gateway = gatewayOf(stage, { ENCRYPTION_KEY: randomBytes(32).toString('base64') })
    const first = gatewayOf(stage)
    await first.start()
    await host.register(freehold, { gateway })
    await expect(host.ready()).rejects.toMatchObject({ name: 'StartRefusedError' })
  })
})
