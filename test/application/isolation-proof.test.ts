import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { asc, eq, sql } from 'drizzle-orm'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { afterEach, describe, expect, test } from 'vitest'
import type { ApplicationDb } from '../../src/index.ts'
import { defineApplication, defineResource, integer, problem, text, uuid } from '../../src/index.ts'
import {
  type Examples,
  IsolationError,
  type IsolationProof,
  proveIsolation,
  type TestGateway,
  testGateway,
} from '../../src/testing/index.ts'
import { superuserUrl } from '../support/database.ts'
import * as tables from './bookings/tables.ts'
import { bookings, rooms } from './bookings/tables.ts'

// Each application has one route more than the clean one, in which one tenant can reach another: the proof has to find it,
// and to name that route and no other.

const resources = [
  defineResource({
    ...{ name: 'rooms', title: 'Room', permission: 'rooms', table: rooms },
    fields: { name: text(100), seats: Type.Optional(integer(1, 500)) },
    filters: ['name'],
  }),
  defineResource({
    ...{ name: 'bookings', title: 'Booking', permission: 'bookings', table: bookings },
    fields: { roomId: uuid(), slot: text(20), note: Type.Optional(text(200)) },
  }),
]

interface Route {
  readonly method?: 'GET' | 'POST'
  readonly path: string
  readonly schema?: object
  readonly handler: (request: FastifyRequest, t: TestGateway, reply: FastifyReply) => Promise<unknown>
}

let t: TestGateway | null = null
afterEach(async () => {
  await t?.close()
  t = null
})

/** The application with some routes more, and a gateway that serves it. */
async function serve(...routes: Route[]): Promise<TestGateway> {
  let opened: TestGateway | undefined
  const application = defineApplication({
    name: 'bookings',
    tables,
    resources,
    migrations: new URL('./bookings/migrations', import.meta.url),
    routes: ({ tenant }) => {
      for (const { method = 'GET', path, schema = {}, handler } of routes) {
        const answer = (request: FastifyRequest, reply: FastifyReply) =>
          handler(request, opened as TestGateway, reply)
        const verb = method === 'GET' ? tenant.get : tenant.post
        verb(path, { access: 'rooms:read', schema }, answer)
      }
    },
  })
  opened = await testGateway(application, { databaseUrl: superuserUrl() })
  t = opened
  return opened
}

const dbOf = (request: FastifyRequest) => request.tenant.db

/** What the proof says of the application with this route. */
async function proofOf(
  route: Route,
  options: { examples?: Examples } = {},
): Promise<IsolationProof | IsolationError> {
  const gateway = await serve(route)
  return proveIsolation(gateway, options).catch((error: unknown) => {
    if (error instanceof IsolationError) return error
    throw error
  })
}

async function leaksOf(route: Route): Promise<string[]> {
  const proof = await proofOf(route)
  if (!(proof instanceof IsolationError)) return []
  expect([proof.unproven, proof.violations]).toEqual([[], []])
  return proof.leaks.map((leak) => `${leak.route}: ${leak.how}`)
}

/** A connection of the application's own, past Freehold and its policies. */
const pastPolicies = async (gateway: TestGateway, id: string): Promise<unknown> => {
  const { sharedUrl } = gateway.databases
  const { rows } = await gateway.databases.asSuperuser(sharedUrl, (client) =>
    client.query('SELECT id, name FROM rooms WHERE id = $1', [id]),
  )
  return rows[0]
}

const byId = { params: Type.Object({ id: uuid() }) }
const firstRoom = (db: ApplicationDb) => db.select().from(rooms).orderBy(asc(rooms.createdAt)).limit(1)

test('an application that keeps its tenants apart is proven, with every route that it has', async () => {
  const gateway = await serve(
    { path: '/rooms/first', handler: async (request) => ({ data: await firstRoom(dbOf(request)) }) },
    {
      path: '/rooms/:id/name',
      schema: byId,
      handler: async (request) => {
        const { id } = request.params as { id: string }
        const [room] = await dbOf(request).select().from(rooms).where(eq(rooms.id, id))
        if (room === undefined) return problem('NOT_FOUND')
        return { name: room.name }
      },
    },
    {
      method: 'POST',
      path: '/rooms/spare',
      handler: async (request, _gateway, reply) => {
        const [room] = await dbOf(request).insert(rooms).values({ name: randomUUID() }).returning()
        // Its own answer, also where it is kept for an Idempotency-Key.
        return reply.code(201).send({ id: room?.id })
      },
    },
  )
  const { routes, attempts } = await proveIsolation(gateway)
  const verbs = ['GET', 'GET :id', 'POST', 'PATCH :id', 'DELETE :id']
  const ofResources = ['rooms', 'bookings'].flatMap((name) =>
    verbs.map((verb) =>
      verb.replace(/^(\w+) ?(:id)?$/, (_, method, id) => `${method} /${name}${id ? '/:id' : ''}`),
    ),
  )
  expect([...routes].sort()).toEqual(
    [...ofResources, 'GET /rooms/first', 'GET /rooms/:id/name', 'POST /rooms/spare'].sort(),
  )
  expect(attempts).toBeGreaterThan(150)
})

describe('a leak is found', () => {
  test('by a header that chooses the tenant', async () => {
    const leaks = await leaksOf({
      path: '/rooms/first',
      handler: async (request, { gateway }) => {
        const chosen = request.headers['x-clinic']
        const list = async (db: ApplicationDb) => ({ data: await firstRoom(db) })
        if (typeof chosen !== 'string') return list(dbOf(request))
        return gateway.tenants.run(chosen, ({ db }) => list(db), { actor: 'header' })
      },
    })
    expect(leaks).toEqual([
      expect.stringMatching(/^GET \/rooms\/first: by the header x-clinic .* was shown /),
    ])
  })

  test('by a header that chooses into whose rows is written', async () => {
    const leaks = await leaksOf({
      method: 'POST',
      path: '/rooms/spare',
      handler: async (request, { gateway }) => {
        const add = (db: ApplicationDb) => db.insert(rooms).values({ name: randomUUID() })
        const chosen = request.headers['x-organization-id']
        if (typeof chosen === 'string')
          await gateway.tenants.run(chosen, ({ db }) => add(db), { actor: 'header' })
        else await add(dbOf(request))
        return {}
      },
    })
    expect(leaks).toEqual([
      expect.stringMatching(/^POST \/rooms\/spare: by the header x-organization-id .* changed rows/),
    ])
  })

  test('by an id, on a connection past the policies', async () => {
    const leaks = await leaksOf({
      path: '/rooms/:id/card',
      schema: byId,
      handler: async (request, gateway) => {
        const { id } = request.params as { id: string }
        // Of a tenant in its own database the row is not there.
        const [own] = await dbOf(request).select().from(rooms).where(eq(rooms.id, id))
        const room = own ?? (await pastPolicies(gateway, id))
        if (room === undefined) return problem('NOT_FOUND')
        return room
      },
    })
    expect(leaks).toEqual([expect.stringMatching(/^GET \/rooms\/:id\/card: by .* was shown the text /)])
  })

  test('by an answer that says no more than that another tenant has the id', async () => {
    const leaks = await leaksOf({
      path: '/rooms/:id/state',
      schema: byId,
      handler: async (request, gateway) => {
        const { id } = request.params as { id: string }
        const [own] = await dbOf(request).select().from(rooms).where(eq(rooms.id, id))
        if (own !== undefined) return { state: 'free' }
        const isTheirs = (await pastPolicies(gateway, id)) !== undefined
        return problem(isTheirs ? 'PERMISSION_DENIED' : 'NOT_FOUND')
      },
    })
    expect(leaks).toEqual([
      expect.stringMatching(/^GET \/rooms\/:id\/state: by the id :id it is told whether/),
    ])
  })

  test('in a cache of the handler’s module, which answers all tenants alike', async () => {
    let cached: unknown
    const leaks = await leaksOf({
      path: '/rooms/first',
      handler: async (request) => {
        cached ??= { data: await firstRoom(dbOf(request)) }
        return cached
      },
    })
    expect(leaks).toEqual([expect.stringMatching(/^GET \/rooms\/first: by its own request .* was shown /)])
  })

  test('in a cache by an id, which does not ask whose row it is', async () => {
    const cache = new Map<string, unknown>()
    const leaks = await leaksOf({
      path: '/rooms/:id/card',
      schema: byId,
      handler: async (request) => {
        const { id } = request.params as { id: string }
        const room = cache.get(id) ?? (await dbOf(request).select().from(rooms).where(eq(rooms.id, id)))[0]
        if (room === undefined) return problem('NOT_FOUND')
        cache.set(id, room)
        return room
      },
    })
    expect(leaks).toEqual([expect.stringMatching(/^GET \/rooms\/:id\/card: by .* was shown /)])
  })

  test('in what a handler keeps outside of its call while others are answered', async () => {
    let current: ApplicationDb
    const leaks = await leaksOf({
      path: '/rooms/first',
      handler: async (request) => {
        current = dbOf(request)
        await delay(20)
        return { data: await firstRoom(current) }
      },
    })
    expect(leaks).toEqual([
      expect.stringMatching(/^GET \/rooms\/first: .* at the same time as others .* was shown /),
    ])
  })
})

/** SQL of the handler's own, which says that it is another tenant. */
const bySetting: Route = {
  path: '/rooms/of',
  schema: { querystring: Type.Object({ tenantId: uuid() }) },
  handler: async (request) => {
    const { tenantId } = request.query as { tenantId: string }
    const data = await request.tenant.transaction(async (db) => {
      await db.execute(sql`SELECT set_config('app.tenant_id', ${tenantId}, true)`)
      return (await db.execute(sql`SELECT id, name FROM rooms`)).rows
    })
    return { data }
  },
}

describe('the databases are asked as well', () => {
  const weaken = (gateway: TestGateway, change: string) =>
    gateway.databases.asSuperuser(gateway.databases.sharedUrl, (client) => client.query(change))

  test('SQL that names another tenant in a setting reaches nothing', async () => {
    expect(await leaksOf(bySetting)).toEqual([])
  })

  test('where policies believe a setting, that SQL is found', async () => {
    const gateway = await serve(bySetting)
    const believing = `tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid`
    await weaken(
      gateway,
      `ALTER POLICY tenant_isolation ON rooms USING (${believing}) WITH CHECK (${believing})`,
    )
    const error = await proveIsolation(gateway).catch((caught: unknown) => caught as IsolationError)
    expect(error).toBeInstanceOf(IsolationError)
    const { leaks, violations } = error as IsolationError
    expect(leaks.map(({ route }) => route)).toEqual(['GET /rooms/of'])
    expect(violations).toContainEqual(expect.stringMatching(/^shared: policy-.* at rooms/))
  })

  test.each([
    ['DROP POLICY tenant_isolation ON rooms', /policy-missing at rooms/],
    ['ALTER TABLE rooms DISABLE ROW LEVEL SECURITY', /rls-disabled at rooms/],
  ])('%s fails the proof, and is named', async (change, named) => {
    const gateway = await serve()
    await weaken(gateway, change)
    const error = await proveIsolation(gateway).catch((caught: unknown) => caught as IsolationError)
    expect(error).toBeInstanceOf(IsolationError)
    expect((error as IsolationError).violations).toContainEqual(expect.stringMatching(named))
    expect((error as IsolationError).message).toMatch(named)
  })
})

describe('a route that has proven nothing', () => {
  const picky: Route = {
    method: 'POST',
    path: '/rooms/import',
    schema: { body: Type.Object({ code: Type.String() }) },
    handler: async (request) =>
      (request.body as { code: string }).code === 'open sesame' ? {} : problem('CONFLICT'),
  }

  test('fails, with the answer that it gave', async () => {
    const proof = (await proofOf(picky)) as IsolationError
    expect(proof.unproven).toEqual([{ route: 'POST /rooms/import', reason: expect.stringMatching(/^409 /) }])
    expect(proof.message).toContain('POST /rooms/import is unproven, give an example')
  })

  test('is proven by an example, or by what makes one', async () => {
    const payload = { code: 'open sesame' }
    for (const example of [{ payload }, async () => ({ payload })])
      expect(await proofOf(picky, { examples: { 'POST /rooms/import': example } })).toHaveProperty('attempts')
  })

  test('an example for a route that is not there is refused', async () => {
    await expect(proofOf(picky, { examples: { 'POST /room/import': {} } })).rejects.toThrow(
      'POST /room/import',
    )
  })
})
