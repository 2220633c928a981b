import type { FastifyInstance } from 'fastify'
import { afterEach, describe, expect, it } from 'vitest'
import { ERROR_TABLE, type ErrorCode, fail } from '../../../src/errors.ts'
import { createLogger } from '../../../src/logger.ts'
import { bearer, makeServer, TOKENS } from './fakes.ts'

let server: FastifyInstance
afterEach(() => server.close())

const OPEN = { access: { kind: 'open' } } as const
const CANARY = 'canary-93c1'

function throwing(error: unknown, lines: string[] = []) {
  server = makeServer({ log: createLogger('debug', { write: (line) => void lines.push(line) }) }, (app) => {
    app.get('/throw', { config: OPEN }, async () => {
      throw error
    })
  })
  return server
}

const TABLE = Object.entries(ERROR_TABLE) as [ErrorCode, (typeof ERROR_TABLE)[ErrorCode]][]

describe('the table of errors', () => {
  it.each(TABLE)('%s is answered as the table says', async (code, { status, title, retryAfterSeconds }) => {
    const response = await throwing(fail(code)).inject('/throw?q=secret')
    expect(response.statusCode).toBe(status)
    expect(response.headers['content-type']).toMatch(/^application\/problem\+json/)
    expect(response.headers['retry-after']).toBe(retryAfterSeconds?.toString())
    expect(response.json()).toEqual({
      type: `urn:freehold:error:${code.toLowerCase().replaceAll('_', '-')}`,
      ...{ title, status, code, detail: `${title}.`, instance: '/throw' },
      requestId: response.headers['x-request-id'],
      ...(code === 'VALIDATION_FAILED' && { errors: [{ pointer: '', message: `${title}.` }] }),
    })
  })

  it('passes on the extra fields of an error', async () => {
    const errors = [{ pointer: '/code', message: 'is required' }]
    const extra = { detail: 'Look.', required: 'users:read', errors, retryAfterSeconds: 7 }
    const response = await throwing(fail('VALIDATION_FAILED', extra)).inject('/throw')
    expect(response.json()).toMatchObject({ detail: 'Look.', required: 'users:read', errors })
    expect(response.headers['retry-after']).toBe('7')
  })
})

describe('an error that is not in the table', () => {
  it.each([
    ['an error', new Error(CANARY)],
    [
      'an error with a status of its own',
      Object.assign(new Error(CANARY), { statusCode: 418, code: CANARY }),
    ],
    ['something that is no error', { message: CANARY }],
  ])('%s becomes an INTERNAL_ERROR that reveals nothing', async (_case, error) => {
    const response = await throwing(error).inject('/throw')
    expect(response.json()).toMatchObject({ status: 500, code: 'INTERNAL_ERROR' })
    expect(response.body).not.toContain(CANARY)
  })

  it('is logged once, with its stack and the request id', async () => {
    const lines: string[] = []
    await throwing(new TypeError('boom'), lines).inject({
      url: '/throw',
      headers: { 'x-request-id': 'req-1' },
    })
    const [failed, request] = lines.map((line) => JSON.parse(line) as Record<string, Record<string, string>>)
    expect(failed).toMatchObject({
      level: 'error',
      requestId: 'req-1',
      err: { name: 'TypeError', message: 'boom' },
    })
    expect(failed?.err?.stack).toContain('    at ')
    expect(request).toMatchObject({ level: 'info', requestId: 'req-1', status: 500, code: 'INTERNAL_ERROR' })
    expect(lines).toHaveLength(2)
  })
})

describe('every answer', () => {
  it.each(['req-1:a.B_2', 'a'.repeat(128)])(
    'has the request id of the caller if that is valid',
    async (id) => {
      const response = await makeAndAsk('/livez', { 'x-request-id': id })
      expect(response.headers['x-request-id']).toBe(id)
    },
  )

  it.each(['', 'a b', 'a'.repeat(129), 'a\tb', '<x>', 'ä'])(
    'has a new request id otherwise (%j)',
    async (id) => {
      const response = await makeAndAsk('/livez', { 'x-request-id': id })
      expect(response.headers['x-request-id']).toMatch(/^[0-9a-f]{8}-[0-9a-f-]{27}$/)
    },
  )

  it.each([
    '/livez',
    '/nothing',
    '/api/v1/nothing',
    '/api/v1/tenants',
    '/%zz',
    `/api/v1/places/${'x'.repeat(300)}`,
  ])('forbids sniffing, framing and storing: %s', async (url) => {
    const response = await makeAndAsk(url)
    expect(response.headers['x-request-id']).toBeDefined()
    expect(response.headers['cache-control']).toBe('no-store')
    if (url.startsWith('/%') || url.length > 300) return
    expect(response.headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'x-frame-options': 'DENY' })
  })

  it.each([
    ['/nothing', 404, 'NOT_FOUND'],
    ['/api/v1/nothing', 404, 'NOT_FOUND'],
    ['/%zz', 400, 'VALIDATION_FAILED'],
    ['/livez?x=%00', 400, 'VALIDATION_FAILED'],
    [`/api/v1/places/${'x'.repeat(300)}`, 404, 'NOT_FOUND'],
  ])('has a body of our own also for %s', async (url, status, code) => {
    const response = await makeAndAsk(url)
    expect(response.json()).toMatchObject({ status, code })
  })

  it('is counted under the template of its route', async () => {
    server = makeServer()
    await server.inject({ url: '/api/v1/tenants/not-an-id/users', headers: bearer(TOKENS.admin) })
    await server.inject('/nothing/to/see')
    const { body } = await server.inject('/metrics')
    expect(body).toContain('method="GET",route="/api/v1/tenants/:id/users",status="404"')
    expect(body).toContain('route="unmatched",status="404"')
    expect(body).not.toContain('not-an-id')
  })
})

async function makeAndAsk(url: string, headers: Record<string, string> = {}) {
  server = makeServer()
  return server.inject({ url, headers })
}
