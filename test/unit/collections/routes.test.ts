import Fastify from 'fastify'
import { describe, expect, it } from 'vitest'
import { estates } from '../../../src/applications/property/properties/estates.ts'
import { places } from '../../../src/applications/property/properties/places.ts'
import { decorateRequests, setContext, type TenantContext } from '../../../src/http/pipeline.ts'
import { registerResource } from '../../../src/http/routes/resources.ts'
import { makeCursors } from '../../support/cursors.ts'
import { recorder } from './recorder.ts'

const TENANT = '0190aaaa-0000-7000-8000-00000000000a'
const ID = '0190aaaa-0000-7000-8000-000000000001'
const MOMENT = '2026-01-01T00:00:00.123456Z'
const row = {
  id: ID,
  name: 'n',
  kind: null,
  address: { city: 'Lyon', country: 'FR' },
  latitude: 45.5,
  longitude: null,
  createdAt: MOMENT,
  updatedAt: MOMENT,
}
const tagged = { ...row, etag: 'v1' }

/** The routes alone: validation and serialisation are real, the pipeline and the database are not there. */
async function serving(...script: (readonly unknown[])[]) {
  const { session, sent } = recorder(TENANT, ...script)
  const app = Fastify({ ajv: { customOptions: { removeAdditional: false, coerceTypes: true } } })
  const accesses: unknown[] = []
  decorateRequests(app)
  app.addHook('onRequest', async (request) => {
    setContext(request, { tenantId: TENANT, session } as TenantContext)
  })
  app.addHook('onRoute', ({ method, url, config }) => {
    accesses.push([method, url, config?.access])
  })
  app.setErrorHandler((error: { statusCode?: number }, { id }, reply) => {
    const status = error.statusCode ?? 500
    return reply
      .code(status)
      .send({ type: 't', title: 't', status, code: 'VALIDATION_FAILED', requestId: id })
  })
  const cursors = makeCursors()
  await app.register(
    (api, _, done) => {
      for (const resource of [places, estates]) registerResource(api, resource, { cursors })
      done()
    },
    { prefix: '/api/v1' },
  )
  return { app, sent, accesses }
}

describe('the routes of a collection', () => {
  it('declare one permission each', async () => {
    const { accesses } = await serving()
    const config = (action: string) => ({ kind: 'tenant', permission: `properties:${action}` })
    expect(accesses).toContainEqual(['GET', '/api/v1/places', config('read')])
    expect(accesses).toContainEqual(['GET', '/api/v1/places/:id', config('read')])
    expect(accesses).toContainEqual(['POST', '/api/v1/places', config('write')])
    expect(accesses).toContainEqual(['PATCH', '/api/v1/places/:id', config('write')])
    expect(accesses).toContainEqual(['DELETE', '/api/v1/places/:id', config('write')])
  })

  it('answer a row with its entity tag, nulls and microseconds, and no undeclared field', async () => {
    const { app } = await serving([{ ...tagged, tenantId: TENANT, address: { ...row.address, secret: 1 } }])
    const answer = await app.inject(`/api/v1/places/${ID}`)
    expect(answer.statusCode).toBe(200)
    expect(answer.headers.etag).toBe('"v1"')
    expect(answer.json()).toEqual(row)
  })

  it('answer 304 without a body to a caller who knows the version', async () => {
    const { app } = await serving([tagged])
    const headers = { 'if-none-match': 'W/"v1"' }
    const answer = await app.inject({ url: `/api/v1/places/${ID}`, headers })
    expect([answer.statusCode, answer.body, answer.headers.etag]).toEqual([304, '', '"v1"'])
  })

  it('link each page to the next with the same query', async () => {
    const { app, sent } = await serving([row, row], [row])
    const first = await app.inject('/api/v1/places?limit=1&name=n%26m&sort=-name')
    const [, next = ''] = /^<(.+)>; rel="next"$/.exec(String(first.headers.link)) ?? []
    expect(next).toMatch(/^\/api\/v1\/places\?limit=1&name=n%26m&sort=-name&cursor=/)
    expect(new URL(next, 'http://x').searchParams.get('cursor')).toBe(first.json().nextCursor)
    const second = await app.inject(next)
    expect(second.json()).toEqual({ data: [row], nextCursor: null })
    expect(second.headers.link).toBeUndefined()
    expect(sent[1]?.values).toEqual([TENANT, 'n&m', 'n', ID, 2])
  })

  it('answer a new row with 201 and its Location', async () => {
    const { app } = await serving([tagged])
    const answer = await app.inject({ method: 'POST', url: '/api/v1/places', payload: { name: 'n' } })
    expect(answer.statusCode).toBe(201)
    expect(answer.headers).toMatchObject({ location: `/api/v1/places/${ID}`, etag: '"v1"' })
    expect(answer.json()).toEqual(row)
  })

  it('pass conditions on to the statement', async () => {
    const { app, sent } = await serving([tagged], [{ id: ID }])
    const request = { url: `/api/v1/places/${ID}`, headers: { 'if-match': '"v0"' } }
    const patched = await app.inject({ ...request, method: 'PATCH', payload: { name: 'n' } })
    const removed = await app.inject({ ...request, method: 'DELETE' })
    expect([patched.statusCode, removed.statusCode, removed.body]).toEqual([200, 204, ''])
    expect(sent.map(({ values }) => values.at(-1))).toEqual([['v0'], ['v0']])
  })

  it('take no connection for an invalid request', async () => {
    const { app, sent } = await serving()
    const refused = await Promise.all([
      app.inject('/api/v1/places?tenantId=x'),
      app.inject('/api/v1/places?limit=0'),
      app.inject('/api/v1/places?name=a&name=b'),
      app.inject('/api/v1/places/42'),
      app.inject({ method: 'POST', url: '/api/v1/places', payload: { name: 'n', tenantId: TENANT } }),
      app.inject({ method: 'POST', url: '/api/v1/places', payload: [] }),
      app.inject({ method: 'PATCH', url: `/api/v1/places/${ID}`, payload: { name: null } }),
    ])
    expect(refused.map(({ statusCode }) => statusCode)).toEqual(refused.map(() => 400))
    expect(sent).toEqual([])
  })
})
