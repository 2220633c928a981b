import { once } from 'node:events'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { Readable, Writable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createLogger } from '../../../src/logger.ts'
import { ACME, bearer, GONE, makeDeps, makeServer, TOKENS } from './fakes.ts'

const OPEN = { config: { access: { kind: 'open' } as const } }
const TENANT = (permission: string) => ({ config: { access: { kind: 'tenant' as const, permission } } })
const OPERATOR = { config: { access: { kind: 'operator' as const, write: false } } }
const LENGTH = 'Content-Type: application/json\r\nContent-Length: 1000'

let server: FastifyInstance
let port: number
let lines: Record<string, unknown>[]
let arrived: PromiseWithResolvers<void>
const sockets: Socket[] = []

beforeEach(async () => {
  lines = []
  arrived = Promise.withResolvers()
  const sink = new Writable({
    write(chunk, _encoding, done) {
      for (const line of String(chunk).trimEnd().split('\n')) lines.push(JSON.parse(line))
      done()
    },
  })
  const settings = { ...makeDeps().settings, requestTimeoutMs: 300 }
  server = makeServer({ log: createLogger('info', sink), settings }, addRoutes)
  await server.listen({ port: 0, host: '127.0.0.1' })
  port = (server.server.address() as AddressInfo).port
})
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await server.close()
})

function addRoutes(app: FastifyInstance): void {
  app.get('/stream', OPEN, (_request, reply) => {
    const stream = new Readable({ read: () => undefined })
    stream.push('begun')
    return reply.send(stream)
  })
  app.get('/never', OPEN, () => {
    arrived.resolve()
    return new Promise(() => undefined)
  })
  app.get('/whole', OPEN, async () => ({ whole: true }))
  app.get('/rows', TENANT('properties:read'), async () => ({}))
  app.get('/rows/more', TENANT('properties:write'), async () => ({}))
  app.get('/tenants/:id/rows', OPERATOR, async () => ({}))
  app.get('/operators', OPERATOR, async () => ({}))
  app.post('/upload', OPEN, async () => ({}))
  app.addHook('preParsing', async () => arrived.resolve())
}

/** Sends a head and waits for the answer. */
async function send(head: string, answer?: RegExp): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  sockets.push(socket)
  await once(socket, 'connect')
  socket.write(`${head}\r\n\r\n`)
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  socket.on('error', () => undefined)
  if (answer !== undefined) await expect.poll(() => text).toMatch(answer)
  return socket
}

const requests = () => lines.filter(({ msg }) => msg === 'request')
const lineOf = async (path: string) => {
  await expect.poll(requests).toHaveLength(1)
  const [line] = requests()
  expect(line).toMatchObject({ path, durationMs: expect.any(Number), requestId: expect.any(String) })
  const { method, status, code, aborted } = line ?? {}
  return { method, status, code, aborted }
}
const counted = async () => {
  const { body } = await server.inject('/metrics')
  return body.split('\n').filter((line) => /^freehold_http_request_duration_seconds_count/.test(line))
}

describe('a request is logged in one line', () => {
  test('when it is answered', async () => {
    await send('GET /whole HTTP/1.1\r\nHost: x', /whole/)
    expect(await lineOf('/whole')).toEqual({ method: 'GET', status: 200 })
  })

  test('when its download is aborted', async () => {
    const socket = await send('GET /stream HTTP/1.1\r\nHost: x', /begun/)
    expect(requests()).toEqual([])
    socket.destroy()
    expect(await lineOf('/stream')).toEqual({ method: 'GET', status: 200, aborted: true })
    expect(await counted()).toEqual([expect.stringMatching(/route="\/stream",status="200".* 1$/)])
  })

  test('when its caller leaves before the answer', async () => {
    const socket = await send('GET /never HTTP/1.1\r\nHost: x')
    await arrived.promise
    socket.destroy()
    expect(await lineOf('/never')).toEqual({ method: 'GET', status: 499, aborted: true })
    expect(await counted()).toEqual([expect.stringMatching(/route="\/never",status="499".* 1$/)])
  })

  test('when its caller leaves in the middle of the body', async () => {
    const socket = await send(`POST /upload HTTP/1.1\r\nHost: x\r\n${LENGTH}`)
    await arrived.promise
    socket.resetAndDestroy()
    expect(await lineOf('/upload')).toEqual({ method: 'POST', status: 499, aborted: true })
  })

  test('when its body arrives too late', async () => {
    await send(`POST /upload HTTP/1.1\r\nHost: x\r\n${LENGTH}`, /^HTTP\/1.1 408/)
    const late = { method: 'POST', status: 408, code: 'VALIDATION_FAILED', aborted: true }
    expect(await lineOf('/upload')).toEqual(late)
  })
})

describe('the line names the tenant and its placement', () => {
  const told = async (url: string, token?: string) => {
    const headers = token === undefined ? {} : bearer(token)
    await server.inject({ url, headers })
    const [line] = requests()
    const { status, tenantId, placement } = line ?? {}
    return { status, tenantId, placement }
  }
  const acme = { tenantId: ACME, placement: 'shared' }

  test.each([
    ['/rows', 200],
    ['/rows/more', 403],
  ])('%s with %i, if a tenant calls', async (url, status) => {
    expect(await told(url, TOKENS.reader)).toEqual({ status, ...acme })
  })

  test('if an operator calls a path of the tenant', async () => {
    expect(await told(`/tenants/${ACME}/rows`, TOKENS.viewer)).toEqual({ status: 200, ...acme })
  })

  test.each([
    ['/rows', undefined, 401],
    ['/rows', TOKENS.gone, 404],
    [`/tenants/${ACME}/rows`, TOKENS.reader, 403],
    [`/tenants/${GONE}/rows`, TOKENS.viewer, 200],
    ['/operators', TOKENS.viewer, 200],
    ['/whole', undefined, 200],
  ])('and names none for %s with %s, whose tenant is not known', async (url, token, status) => {
    expect(await told(url, token)).toEqual({ status, tenantId: undefined, placement: undefined })
  })
})

test('the address is not logged by the server, only by the gateway', () => {
  expect(lines).toEqual([])
})
