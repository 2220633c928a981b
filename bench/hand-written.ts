/**
 * What a careful developer would write by hand for one of the collections, and nothing more: Fastify with response
 * schemas, a pg pool with named statements and `WHERE tenant_id = $1`, jose with a cache of verified tokens. No
 * row-level security, no entity tags, no metrics, no security headers, one database only. Everything the gateway does
 * beyond this counts against the gateway. With REQUEST_LOG=on it also writes a log, as the gateway does.
 */
import type { AddressInfo } from 'node:net'
import { fastify } from 'fastify'
import { jwtVerify } from 'jose'
import { LRUCache } from 'lru-cache'
import pg from 'pg'

const { DATABASE_URL = '', TOKEN_SECRET = '', POOL_SIZE = '10', REQUEST_LOG } = process.env
const FIELDS =
  'id, name, kind, address, latitude, longitude, created_at AS "createdAt", updated_at AS "updatedAt"'
const FIND = `SELECT ${FIELDS} FROM places WHERE tenant_id = $1 AND id = $2`
const FIRST_PAGE = `SELECT ${FIELDS} FROM places WHERE tenant_id = $1 ORDER BY created_at, id LIMIT $2`

const text = { type: 'string' }
const place = {
  type: 'object',
  properties: {
    ...{ id: text, name: text, kind: { type: ['string', 'null'] } },
    address: {
      type: ['object', 'null'],
      properties: { line1: text, line2: text, postalCode: text, city: text, country: text },
    },
    ...{ latitude: { type: ['number', 'null'] }, longitude: { type: ['number', 'null'] } },
    createdAt: { type: 'string', format: 'date-time' },
    updatedAt: { type: 'string', format: 'date-time' },
  },
}
const page = {
  type: 'object',
  properties: { data: { type: 'array', items: place }, nextCursor: { type: ['string', 'null'] } },
}

interface Verified {
  readonly tenantId: string
  readonly permissions: readonly string[]
  readonly exp: number
}

const hmac = { name: 'HMAC', hash: 'SHA-256' }
const secretBytes = Buffer.from(TOKEN_SECRET, 'base64url')
const secret = await crypto.subtle.importKey('raw', secretBytes, hmac, false, ['verify'])
const verified = new LRUCache<string, Verified>({ max: 10_000 })

async function verify(token: string): Promise<Verified> {
  const known = verified.get(token)
  if (known !== undefined && known.exp * 1_000 > Date.now()) return known
  const { payload } = await jwtVerify<Verified>(token, secret, { algorithms: ['HS256'], audience: 'bench' })
  verified.set(token, payload)
  return payload
}

declare module 'fastify' {
  interface FastifyRequest {
    caller: string
  }
}

const pool = new pg.Pool({ connectionString: DATABASE_URL, max: Number(POOL_SIZE) })
pool.on('error', () => undefined)
const server = fastify({ logger: REQUEST_LOG === 'on' })
server.decorateRequest('caller', '')

server.addHook('onRequest', async (request, reply) => {
  const { authorization = '' } = request.headers
  if (!authorization.startsWith('Bearer ')) return reply.code(401).send()
  const { tenantId, permissions } = await verify(authorization.slice(7))
  if (!permissions.includes('properties:read')) return reply.code(403).send()
  request.caller = tenantId
})

server.get<{ Params: { id: string } }>(
  '/api/v1/places/:id',
  {
    schema: {
      params: { type: 'object', properties: { id: { type: 'string', format: 'uuid' } } },
      response: { 200: place },
    },
  },
  async (request, reply) => {
    const { rows } = await pool.query({
      ...{ name: 'find', text: FIND },
      values: [request.caller, request.params.id],
    })
    return rows[0] ?? reply.code(404).send()
  },
)

server.get<{ Querystring: { limit: number } }>(
  '/api/v1/places',
  {
    schema: {
      querystring: { type: 'object', properties: { limit: { type: 'integer', minimum: 1, maximum: 200 } } },
      response: { 200: page },
    },
  },
  async (request) => {
    const { limit } = request.query
    const { rows } = await pool.query({
      ...{ name: 'list', text: FIRST_PAGE },
      values: [request.caller, limit + 1],
    })
    if (rows.length <= limit) return { data: rows, nextCursor: null }
    rows.pop()
    const last = rows[rows.length - 1]
    return { data: rows, nextCursor: btoa(JSON.stringify([last.createdAt, last.id])) }
  },
)

await server.listen({ port: 0, host: '127.0.0.1' })
process.send?.({ port: (server.server.address() as AddressInfo).port })
process.on('SIGTERM', () => process.exit(0))
