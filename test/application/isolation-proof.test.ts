import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { asc, eq, sql } from 'drizzle-orm'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ApplicationDb } from '../../src/index.ts'
import { defineApplication, defineResource, integer, problem, text, uuid } from '../../src/index.ts'
import {
  IsolationError,
  type IsolationOptions,
  proveIsolation,
  type TestGateway,
  testGateway,
} from '../../src/testing/index.ts'
import { superuserUrl } from '../support/database.ts'
import * as tables from './bookings/tables.ts'
import { bookings, rooms } from './bookings/tables.ts'

// The same application, first as it is, then with routes through which one tenant can reach another, then on weakened databases.
// The proof must find and name each of these faults, and nothing else.

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

const opened: TestGateway[] = []
afterAll(async () => {
  for (const each of opened) await each.close()
})

/** A gateway that serves the application with additional routes. */
async function serve(...routes: Route[]): Promise<TestGateway> {
  let served: TestGateway | undefined
  const application = defineApplication({
    name: 'bookings',
    tables,
    resources,
    migrations: new URL('./bookings/migrations', import.meta.url),
    routes: ({ tenant }) => {
      for (const { method = 'GET', path, schema = {}, handler } of routes) {
        const answer = (request: FastifyRequest, reply: FastifyReply) =>
          handler(request, served as TestGateway, reply)
        const verb = method === 'GET' ? tenant.get : tenant.post
        verb(path, { access: 'rooms:read', schema }, answer)
      }
    },
  })
  served = await testGateway(application, { databaseUrl: superuserUrl() })
  opened.push(served)
  return served
}

async function failureOf(
  t: TestGateway,
  options: IsolationOptions = { sql: false },
): Promise<IsolationError> {
  const failure = await proveIsolation(t, options).catch((error: unknown) => error)
  if (!(failure instanceof IsolationError)) throw new Error(`no isolation error, but ${failure}`)
  return failure
}

const dbOf = (request: FastifyRequest) => request.tenant.db
const idOf = (request: FastifyRequest) => (request.params as { id: string }).id
const byId = { params: Type.Object({ id: uuid() }) }
const firstRoom = (db: ApplicationDb) => db.select().from(rooms).orderBy(asc(rooms.createdAt)).limit(1)
const ownRoom = async (request: FastifyRequest) =>
  (
    await dbOf(request)
      .select()
      .from(rooms)
      .where(eq(rooms.id, idOf(request)))
  )[0]

/** A connection that the application opens itself, without Freehold and its policies. */
async function pastPolicies(gateway: TestGateway, id: string): Promise<unknown> {
  const { sharedUrl } = gateway.databases
  const { rows } = await gateway.databases.asSuperuser(sharedUrl, (client) =>
    client.query('SELECT id, name FROM rooms WHERE id = $1', [id]),
  )
  return rows[0]
}

const CLEAN: readonly Route[] = [
  { path: '/rooms/first', handler: async (request) => ({ data: await firstRoom(dbOf(request)) }) },
  {
    path: '/rooms/:id/name',
    schema: byId,
    handler: async (request) => ({ name: ((await ownRoom(request)) ?? problem('NOT_FOUND')).name }),
  },
  {
    method: 'POST',
    path: '/rooms/spare',
    handler: async (request, _gateway, reply) => {
      const [room] = await dbOf(request).insert(rooms).values({ name: randomUUID() }).returning()
      // Sends its own answer, also if the answer is stored for an Idempotency-Key.
      return reply.code(201).send({ id: room?.id })
    },
  },
]

/** SQL of the handler that claims to be another tenant. */
const BY_SETTING: Route = {
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

test('an application that keeps its tenants apart passes the proof, with every route', async () => {
  const { routes, attempts } = await proveIsolation(await serve(...CLEAN, BY_SETTING))
  const verbs = ['GET', 'GET :id', 'POST', 'PATCH :id', 'DELETE :id']
  const ofResources = ['rooms', 'bookings'].flatMap((name) =>
    verbs.map((verb) => {
      const [method, id] = verb.split(' ')
      return `${method} /${name}${id === undefined ? '' : '/:id'}`
    }),
  )
  const own = [...CLEAN, BY_SETTING].map(({ method = 'GET', path }) => `${method} ${path}`)
  expect([...routes].sort()).toEqual([...ofResources, ...own].sort())
  expect(attempts).toBeGreaterThan(200)
})

let cached: unknown
let current: ApplicationDb
const byIdCache = new Map<string, unknown>()

const LEAKING: readonly [name: string, route: Route, how: RegExp][] = [
  [
    'by a header that chooses the tenant',
    {
      path: '/rooms/by-header',
      handler: async (request, { gateway }) => {
        const chosen = request.headers['x-clinic']
        const list = async (db: ApplicationDb) => ({ data: await firstRoom(db) })
        if (typeof chosen !== 'string') return list(dbOf(request))
        return gateway.tenants.run(chosen, ({ db }) => list(db), { actor: 'header' })
      },
    },
    /^by the header x-clinic .* was shown /,
  ],
  [
    'by a header that chooses into whose rows is written',
    {
      method: 'POST',
      path: '/rooms/written',
      handler: async (request, { gateway }) => {
        const add = (db: ApplicationDb) => db.insert(rooms).values({ name: randomUUID() })
        const chosen = request.headers['x-organization-id']
        if (typeof chosen === 'string')
          await gateway.tenants.run(chosen, ({ db }) => add(db), { actor: 'header' })
        else await add(dbOf(request))
        return {}
      },
    },
    /^by the header x-organization-id .* changed rows/,
  ],
  [
    'by an id, on a connection past the policies',
    {
      path: '/rooms/:id/card',
      schema: byId,
      handler: async (request, gateway) =>
        // The rows of a tenant with a dedicated database are not in the shared one.
        (await ownRoom(request)) ?? (await pastPolicies(gateway, idOf(request))) ?? problem('NOT_FOUND'),
    },
    /^by .* was shown the text /,
  ],
  [
    'by an answer that says no more than that another tenant has the id',
    {
      path: '/rooms/:id/state',
      schema: byId,
      handler: async (request, gateway) => {
        if ((await ownRoom(request)) !== undefined) return { state: 'free' }
        const isTheirs = (await pastPolicies(gateway, idOf(request))) !== undefined
        return problem(isTheirs ? 'PERMISSION_DENIED' : 'NOT_FOUND')
      },
    },
    /^by the id :id it is told whether/,
  ],
  [
    'in a cache of the handler’s module, which answers all tenants alike',
    {
      path: '/rooms/cached',
      handler: async (request) => {
        cached ??= { data: await firstRoom(dbOf(request)) }
        return cached
      },
    },
    /^by its own request .* was shown /,
  ],
  [
    'in a cache by an id, which does not ask whose row it is',
    {
      path: '/rooms/:id/cached',
      schema: byId,
      handler: async (request) => {
        const room = byIdCache.get(idOf(request)) ?? (await ownRoom(request)) ?? problem('NOT_FOUND')
        byIdCache.set(idOf(request), room)
        return room
      },
    },
    /^by .* was shown /,
  ],
  [
    'in what a handler keeps outside of its call while others are answered',
    {
      path: '/rooms/current',
      handler: async (request) => {
        current = dbOf(request)
        await delay(20)
        return { data: await firstRoom(current) }
      },
    },
    /at the same time as others .* was shown /,
  ],
]

describe('a leak is found', () => {
  let failure: IsolationError
  beforeAll(async () => {
    failure = await failureOf(await serve(...CLEAN, ...LEAKING.map(([, route]) => route)))
  })

  test.each(LEAKING)('%s', (_name, { method = 'GET', path }, how) => {
    const found = failure.leaks.filter(({ route }) => route === `${method} ${path}`)
    expect(found).toEqual([{ route: `${method} ${path}`, how: expect.stringMatching(how) }])
    expect(failure.message).toContain(`${method} ${path}: `)
  })

  test('and no other route is reported', () => {
    expect(failure.leaks).toHaveLength(LEAKING.length)
    expect([failure.unproven, failure.violations]).toEqual([[], []])
  })
})

describe('the proof checks the databases as well', () => {
  const weaken = (gateway: TestGateway, change: string) =>
    gateway.databases.asSuperuser(gateway.databases.sharedUrl, (client) => client.query(change))

  test('if policies trust a setting, SQL that sets it is reported', async () => {
    const gateway = await serve(BY_SETTING)
    const believing = `tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid`
    for (const table of ['rooms', 'roles']) {
      const policy = `tenant_isolation ON ${table}`
      await weaken(gateway, `ALTER POLICY ${policy} USING (${believing}) WITH CHECK (${believing})`)
    }
    const { leaks, violations } = await failureOf(gateway, {})
    const [own, ...injected] = leaks
    expect(own?.route).toBe('GET /rooms/of')
    expect(new Set(injected.map(({ route }) => route))).toEqual(new Set(['SQL of a tenant']))
    expect(injected.map(({ how }) => how)).toContain('rooms: rows of another are within reach')
    // Without its policy, nearly every known attack on the rows of the core's own table succeeds in part.
    expect(injected.length).toBeGreaterThan(50)
    expect(violations).toContainEqual(expect.stringMatching(/^shared: policy-.* at rooms/))
  })

  test('a dropped policy and a table without row-level security fail the proof, and are named', async () => {
    const gateway = await serve()
    await weaken(gateway, 'DROP POLICY tenant_isolation ON rooms')
    await weaken(gateway, 'ALTER TABLE bookings DISABLE ROW LEVEL SECURITY')
    const { violations, message } = await failureOf(gateway)
    for (const named of [/shared: policy-missing at rooms/, /shared: rls-disabled at bookings/]) {
      expect(violations).toContainEqual(expect.stringMatching(named))
      expect(message).toMatch(named)
    }
  })
})

describe('a route that proves nothing', () => {
  const payload = { code: 'open sesame' }
  let gateway: TestGateway
  beforeAll(async () => {
    gateway = await serve({
      method: 'POST',
      path: '/rooms/import',
      schema: { body: Type.Object({ code: Type.String() }) },
      handler: async ({ body }) =>
        (body as typeof payload).code === payload.code ? {} : problem('CONFLICT'),
    })
  })

  test('fails the proof, and the error has its answer', async () => {
    const { unproven, message } = await failureOf(gateway)
    expect(unproven).toEqual([{ route: 'POST /rooms/import', reason: expect.stringMatching(/^409 /) }])
    expect(message).toContain('POST /rooms/import is unproven, give an example')
  })

  test.each([
    ['an example', { payload }],
    ['what makes one', async () => ({ payload })],
  ])('is proven by %s', async (_, example) => {
    const examples = { 'POST /rooms/import': example }
    expect((await proveIsolation(gateway, { examples, sql: false })).routes).toContain('POST /rooms/import')
  })

  test('an example for a missing route is refused', async () => {
    const examples = { 'POST /room/import': {} }
    await expect(proveIsolation(gateway, { examples })).rejects.toThrow('POST /room/import')
  })
})
