/**
 * What all baselines share: Fastify with request and response schemas, and jose with a cache of verified tokens. No entity
 * tags, no metrics, no security headers, no log, no limits. Everything that the gateway does beyond this counts against the
 * gateway. A baseline brings only its way to the database.
 */
import type { AddressInfo } from 'node:net'
import { type FastifyInstance, fastify, type onRequestAsyncHookHandler } from 'fastify'
import { jwtVerify } from 'jose'
import { LRUCache } from 'lru-cache'

export interface Place {
  readonly id: string
  readonly createdAt: Date | string
}

export interface NewPlace {
  readonly name: string
  readonly kind?: string
  readonly address?: object
  readonly latitude?: number
  readonly longitude?: number
}

/** A way to the rows. Rows are given as the database driver gives them. */
export interface Places {
  find(tenantId: string, id: string): Promise<Place | undefined>
  list(tenantId: string, limit: number): Promise<Place[]>
  insert(tenantId: string, place: NewPlace): Promise<Place>
  update(tenantId: string, id: string, changes: Partial<NewPlace>): Promise<Place | undefined>
  /** Runs a statement that takes a quarter of a second. */
  sleep?(): Promise<unknown>
}

interface Verified {
  readonly tenantId: string
  readonly permissions: readonly string[]
  readonly exp: number
}

declare module 'fastify' {
  interface FastifyRequest {
    caller: string
  }
}

const text = { type: 'string' }
const address = {
  type: ['object', 'null'],
  properties: { line1: text, line2: text, postalCode: text, city: text, country: text },
}
const place = {
  type: 'object',
  properties: {
    ...{ id: text, name: text, kind: { type: ['string', 'null'] }, address },
    ...{ latitude: { type: ['number', 'null'] }, longitude: { type: ['number', 'null'] } },
    createdAt: { type: 'string', format: 'date-time' },
    updatedAt: { type: 'string', format: 'date-time' },
  },
}
const page = {
  type: 'object',
  properties: { data: { type: 'array', items: place }, nextCursor: { type: ['string', 'null'] } },
}
const fields = {
  ...{ name: { type: 'string', maxLength: 200 }, kind: { enum: ['building', 'land', 'parking', 'other'] } },
  ...{ address: { ...address, type: 'object', additionalProperties: false } },
  latitude: { type: 'number', minimum: -90, maximum: 90 },
  longitude: { type: 'number', minimum: -180, maximum: 180 },
}
const body = { type: 'object', properties: fields, additionalProperties: false }
const params = { type: 'object', properties: { id: { type: 'string', format: 'uuid' } } }
const querystring = {
  type: 'object',
  properties: { limit: { type: 'integer', minimum: 1, maximum: 200, default: 50 } },
}

/** Serves the rows on a free port, and tells the parent which one it is. */
export async function serve(places: Places, more?: (server: FastifyInstance) => void): Promise<void> {
  const server = fastify()
  server.decorateRequest('caller', '')
  server.addHook('onRequest', await authenticator())
  addReads(server, places)
  addWrites(server, places)
  more?.(server)
  await server.listen({ port: 0, host: '127.0.0.1' })
  process.send?.({ port: (server.server.address() as AddressInfo).port })
  process.on('SIGTERM', () => process.exit(0))
}

async function authenticator(): Promise<onRequestAsyncHookHandler> {
  const secretBytes = Buffer.from(process.env.TOKEN_SECRET ?? '', 'base64url')
  const hmac = { name: 'HMAC', hash: 'SHA-256' }
  const secret = await crypto.subtle.importKey('raw', secretBytes, hmac, false, ['verify'])
  const verified = new LRUCache<string, Verified>({ max: 10_000 })
  const verify = async (token: string): Promise<Verified> => {
    const known = verified.get(token)
    if (known !== undefined && known.exp * 1_000 > Date.now()) return known
    const { payload } = await jwtVerify<Verified>(token, secret, { algorithms: ['HS256'], audience: 'bench' })
    verified.set(token, payload)
    return payload
  }
  return async (request, reply) => {
    const { authorization = '' } = request.headers
    if (!authorization.startsWith('Bearer ')) return reply.code(401).send()
    const { tenantId, permissions } = await verify(authorization.slice(7))
    const needed = request.method === 'GET' ? 'properties:read' : 'properties:write'
    if (!permissions.includes(needed)) return reply.code(403).send()
    request.caller = tenantId
  }
}

function addReads(server: FastifyInstance, places: Places): void {
  server.get<{ Params: { id: string } }>(
    '/api/v1/places/:id',
    { schema: { params, response: { 200: place } } },
    async (request, reply) =>
      (await places.find(request.caller, request.params.id)) ?? reply.code(404).send(),
  )
  server.get<{ Querystring: { limit: number } }>(
    '/api/v1/places',
    { schema: { querystring, response: { 200: page } } },
    async (request) => {
      const { limit } = request.query
      const rows = await places.list(request.caller, limit + 1)
      if (rows.length <= limit) return { data: rows, nextCursor: null }
      rows.pop()
      const last = rows[rows.length - 1]
      return { data: rows, nextCursor: btoa(JSON.stringify([last?.createdAt, last?.id])) }
    },
  )
  server.get('/api/v1/sleep', async () => {
    await places.sleep?.()
    return {}
  })
}

function addWrites(server: FastifyInstance, places: Places): void {
  server.post<{ Body: NewPlace }>(
    '/api/v1/places',
    { schema: { body: { ...body, required: ['name'] }, response: { 201: place } } },
    async (request, reply) => reply.code(201).send(await places.insert(request.caller, request.body)),
  )
  server.patch<{ Params: { id: string }; Body: Partial<NewPlace> }>(
    '/api/v1/places/:id',
    { schema: { params, body, response: { 200: place } } },
    async (request, reply) =>
      (await places.update(request.caller, request.params.id, request.body)) ?? reply.code(404).send(),
  )
}
