import { createHash } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { places } from '../../src/applications/property/tables/properties.ts'
import type { Route } from '../../src/catalog/directory.ts'
import { newId } from '../../src/lib/ids.ts'
import { PoolManager, type PoolManagerOptions } from '../../src/pools/pool-manager.ts'
import { RoutedSession } from '../../src/sql/tenant-session.ts'
import { dropAll, query, superuserUrl, terminateBackends } from '../support/database.ts'
import { routeSource } from '../support/route-source.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { addressOf, createTenantDatabase, moveIn, routeOf } from '../support/tenant-database.ts'

let home: Awaited<ReturnType<typeof createTenantDatabase>>
let pools: PoolManager

function openPools(changes: Partial<PoolManagerOptions> = {}): PoolManager {
  return new PoolManager({
    maxPools: 10,
    maxConnections: 8,
    maxConnectionsPerServer: 8,
    // Thousands of statements at once, and the machine may be busy with other tests.
    acquireTimeoutMs: 20_000,
    statementTimeoutMs: 5_000,
    shared: addressOf(home.url),
    sharedPoolSize: 4,
    addressOf: () => {
      throw new Error('no dedicated database in this test')
    },
    ...changes,
  })
}

beforeAll(async () => {
  home = await createTenantDatabase()
  pools = openPools()
})
afterAll(async () => {
  await pools.close()
  await dropAll()
})

function sessionFor(
  route: Route,
  refresh?: (stale: Route) => Promise<Route | null>,
  routes = routeSource(route, refresh),
  from = pools,
) {
  return new RoutedSession(route, {
    pools: from,
    routes,
    fenceTimeoutMs: 300,
    onStuck: () => undefined,
  })
}

async function newTenant() {
  const tenantId = await moveIn(home.url)
  return { tenantId, session: sessionFor(routeOf(tenantId)) }
}

const placeOf = (tenantId: string, name: string) => ({ tenantId, id: newId(), name })

describe('a single statement', () => {
  test('sees the rows of its own tenant only', async () => {
    const [a, b] = [await newTenant(), await newTenant()]
    await a.session.db.insert(places).values(placeOf(a.tenantId, 'Hall'))
    await b.session.db.insert(places).values(placeOf(b.tenantId, 'Barn'))
    expect((await a.session.db.select().from(places)).map((row) => row.name)).toEqual(['Hall'])
    expect((await b.session.db.select().from(places)).map((row) => row.name)).toEqual(['Barn'])
  })

  test('returns time stamps in ISO 8601', async () => {
    const { tenantId, session } = await newTenant()
    const [row] = await session.db.insert(places).values(placeOf(tenantId, 'Hall')).returning()
    expect(row?.createdAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/)
    expect(new Date(row?.createdAt ?? '').getTime()).toBeGreaterThan(Date.now() - 60_000)
  })

  test.each(['42501', 'XX000', '53200', '25006', '55P03', '01000', 'ZZZZZ'])(
    'that the database refuses with %s is a fault of the database, not of ours',
    async (code) => {
      const { session } = await newTenant()
      const attempt = session.transaction((db) =>
        db.execute(sql.raw(`DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '${code}'; END $$`)),
      )
      await expect(attempt).rejects.toMatchObject({ code: 'TENANT_DATABASE_UNAVAILABLE' })
    },
  )

  test('cannot write a row of another tenant', async () => {
    const [a, b] = [await newTenant(), await newTenant()]
    const attempt = a.session.db.insert(places).values(placeOf(b.tenantId, 'Trojan'))
    await expect(attempt).rejects.toMatchObject({ cause: { cause: { code: '42501' } } })
  })

  test('that looks like a read cannot write', async () => {
    const { tenantId, session } = await newTenant()
    await query(
      superuserUrl(home.database),
      `CREATE OR REPLACE FUNCTION public.sneak(t uuid) RETURNS void LANGUAGE sql AS
         'INSERT INTO public.places (tenant_id, id, name) VALUES (t, gen_random_uuid(), $$x$$)'`,
    )
    const trick = session.db.execute(sql`select public.sneak(${tenantId}::uuid)`)
    await expect(trick).rejects.toMatchObject({ cause: { cause: { code: '25006' } } })
  })

  test('that writes after WITH is recognised as a write', async () => {
    const { tenantId, session } = await newTenant()
    const row = sql`insert into places (tenant_id, id, name) values (${tenantId}, ${newId()}, 'x') returning name`
    const { rows } = await session.db.execute(sql`with x as (${row}) select * from x`)
    expect(rows).toEqual([{ name: 'x' }])
  })

  test('never runs for a tenant that does not live there', async () => {
    const stranger = sessionFor(routeOf(newId()))
    await expect(stranger.db.select().from(places)).rejects.toMatchObject({
      cause: { code: 'TENANT_DATABASE_UNAVAILABLE' },
    })
  })

  test('cannot open a transaction by itself', async () => {
    const { session } = await newTenant()
    await expect(session.db.execute(sql`begin`)).rejects.toThrow()
  })

  test('follows a tenant whose epoch has changed', async () => {
    const tenantId = await moveIn(home.url, 2)
    const refreshed: number[] = []
    const session = sessionFor(routeOf(tenantId, 1), async (stale) => {
      refreshed.push(stale.epoch)
      return routeOf(tenantId, 2)
    })
    await session.db.insert(places).values(placeOf(tenantId, 'Moved'))
    expect(await session.db.select().from(places)).toHaveLength(1)
    expect(refreshed).toEqual([1])
  })

  test('waits at a fence and continues when it is lifted', async () => {
    const { tenantId, session } = await newTenant()
    await query(superuserUrl(home.database), "UPDATE residence SET state = 'fenced' WHERE tenant_id = $1", [
      tenantId,
    ])
    const pending = session.db.select().from(places)
    await query(superuserUrl(home.database), "UPDATE residence SET state = 'open' WHERE tenant_id = $1", [
      tenantId,
    ])
    expect(await pending).toEqual([])
  })

  test('gives up at a fence that stays', async () => {
    const { tenantId, session } = await newTenant()
    await query(superuserUrl(home.database), "UPDATE residence SET state = 'fenced' WHERE tenant_id = $1", [
      tenantId,
    ])
    await expect(session.db.select().from(places)).rejects.toMatchObject({
      cause: { code: 'TENANT_DATABASE_UNAVAILABLE' },
    })
  })

  test('survives errors in every phase on the same connection', async () => {
    const { tenantId, session } = await newTenant()
    for (let round = 0; round < 30; round += 1) {
      await expect(session.db.execute(sql`select ${round}::int / 0`)).rejects.toMatchObject({
        cause: { code: '22012' },
      })
      await expect(session.db.execute(sql`select 'x${sql.raw(String(round))}'::int`)).rejects.toThrow()
      await expect(sessionFor(routeOf(newId())).db.execute(sql`select ${round}::text as r`)).rejects.toThrow()
      const { rows } = await session.db.execute(sql`select ${round}::text as r`)
      expect(rows).toEqual([{ r: String(round) }])
    }
    expect(await session.db.select().from(places)).toEqual([])
    expect(tenantId).toBe(session.tenantId)
  })
})

describe('a transaction', () => {
  test('commits everything or nothing', async () => {
    const { tenantId, session } = await newTenant()
    await session.transaction(async (db) => {
      await db.insert(places).values(placeOf(tenantId, 'One'))
      await db.insert(places).values(placeOf(tenantId, 'Two'))
    })
    const failed = session.transaction(async (db) => {
      await db.insert(places).values(placeOf(tenantId, 'Three'))
      throw new Error('changed my mind')
    })
    await expect(failed).rejects.toThrow('changed my mind')
    expect((await session.db.select().from(places)).map((row) => row.name).sort()).toEqual(['One', 'Two'])
  })

  test('keeps its tenant to the end and leaves none on the connection', async () => {
    const [a, b] = [await newTenant(), await newTenant()]
    await b.session.db.insert(places).values(placeOf(b.tenantId, 'Theirs'))
    const seen = await a.session.transaction(async (db) => {
      await db.insert(places).values(placeOf(a.tenantId, 'Mine'))
      return db.select().from(places)
    })
    expect(seen.map((row) => row.name)).toEqual(['Mine'])
    expect(await sessionFor(routeOf(b.tenantId)).db.select().from(places)).toHaveLength(1)
  })

  test('is not reported as done if an error in it was caught', async () => {
    const { tenantId, session } = await newTenant()
    const swallowing = session.transaction(async (db) => {
      await db.insert(places).values(placeOf(tenantId, 'Lost'))
      await db.execute(sql`select 1 / 0`).catch(() => undefined)
    })
    await expect(swallowing).rejects.toThrow()
    expect(await session.db.select().from(places)).toEqual([])
  })

  test('begins again if the tenant moved before its first statement', async () => {
    const tenantId = await moveIn(home.url, 5)
    const session = sessionFor(routeOf(tenantId, 4), async () => routeOf(tenantId, 5))
    let calls = 0
    await session.transaction(async (db) => {
      calls += 1
      await db.insert(places).values(placeOf(tenantId, 'Once'))
    })
    expect(calls).toBe(2)
    expect(await session.db.select().from(places)).toHaveLength(1)
  })
})

/** A catalog whose only route the test changes, as an announced change would. */
function changeable(first: Route) {
  let present: Route | null = first
  const directory = {
    generation: 0,
    // A dropped route must be read. After that it is cached.
    peekById: () => undefined,
    byId: async () => {
      source.found += 1
      return present
    },
    holds: (route: Route) => route === present,
  }
  const source = { ...routeSource(first), directory, refreshed: 0, found: 0 }
  return Object.assign(source, {
    change(route: Route | null) {
      present = route
      directory.generation += 1
    },
    refresh: async () => {
      source.refreshed += 1
      return present
    },
  })
}

describe('after a pause of the process', () => {
  /** The test controls the freshness: the cache is too old until `renewed` gives the result of an attempt. */
  function paused() {
    const renewed = Promise.withResolvers<number>()
    const freshness = {
      isOver: false,
      lapses: 0,
      renewals: 0,
      renew: async () => {
        freshness.renewals += 1
        freshness.lapses = await renewed.promise
        freshness.isOver = false
      },
    }
    return { freshness, renewed }
  }

  async function pausedTenant() {
    const tenantId = await moveIn(home.url)
    const { freshness, renewed } = paused()
    const session = sessionFor(routeOf(tenantId), undefined, { ...routeSource(routeOf(tenantId)), freshness })
    const hall = async () => {
      await session.db.insert(places).values(placeOf(tenantId, 'Hall'))
    }
    const names = async () =>
      (await sessionFor(routeOf(tenantId)).db.select().from(places)).map(({ name }) => name)
    return { tenantId, session, freshness, renewed, hall, names }
  }
  const MISSED = { code: 'CATALOG_UNAVAILABLE' }

  test('a statement is sent only after the catalog was read, and if no change was missed', async () => {
    const { freshness, renewed, hall, names } = await pausedTenant()
    freshness.isOver = true
    const writing = hall()
    await expect.poll(() => freshness.renewals).toBe(1)
    expect(await names()).toEqual([])
    renewed.resolve(0)
    await writing
    expect(await names()).toEqual(['Hall'])
    expect(freshness.renewals).toBe(1)
  })

  test('no statement is sent for an earlier request if changes were missed', async () => {
    const { session, freshness, renewed, hall, names } = await pausedTenant()
    freshness.isOver = true
    renewed.resolve(1)
    await expect(hall()).rejects.toMatchObject({ cause: MISSED })
    await expect(session.db.select().from(places)).rejects.toMatchObject({ cause: MISSED })
    expect(await names()).toEqual([])
    expect(pools.budget.open).toBeGreaterThan(0)
  })

  test.each([0, 1])(
    'nothing is committed before the catalog was read; changes missed: %i',
    async (missed) => {
      const { session, tenantId, freshness, renewed, names } = await pausedTenant()
      let calls = 0
      const writing = session.transaction(async (db) => {
        calls += 1
        await db.insert(places).values(placeOf(tenantId, 'Hall'))
        freshness.isOver = true
      })
      renewed.resolve(missed)
      if (missed === 0) await writing
      else await expect(writing).rejects.toMatchObject(MISSED)
      expect(await names()).toEqual(missed === 0 ? ['Hall'] : [])
      expect(calls).toBe(1)
    },
  )
})

test('no request gets the connection of an abandoned transaction', async () => {
  const hurried = openPools({ sharedPoolSize: 1, statementTimeoutMs: 100 })
  const tenantId = await moveIn(home.url)
  const session = sessionFor(routeOf(tenantId), undefined, undefined, hurried)
  const endless = session.transaction(async (db) => {
    // Only the test's own clock counts now, and the server continues.
    await db.execute(sql`set local statement_timeout = 0`)
    await db.execute(sql`select pg_sleep(30)`)
  })
  await expect(endless).rejects.toMatchObject({ code: 'TENANT_DATABASE_UNAVAILABLE' })
  await expect.poll(() => hurried.budget.open).toBe(0)
  expect(await session.db.select().from(places)).toEqual([])
  await hurried.close()
})

describe('a route that changes', () => {
  async function movedTenant() {
    const tenantId = await moveIn(home.url, 2)
    const source = changeable(routeOf(tenantId, 1))
    const session = sessionFor(routeOf(tenantId, 1), undefined, source)
    // A query of drizzle begins when it is awaited. This one begins at once.
    const hall = async () => {
      await session.db.insert(places).values(placeOf(tenantId, 'Hall'))
    }
    const names = async () => (await session.db.select().from(places)).map(({ name }) => name)
    return { tenantId, source, session, hall, names }
  }

  test('before a statement begins applies to the statement', async () => {
    const { tenantId, source, hall, names } = await movedTenant()
    source.change(routeOf(tenantId, 2))
    await hall()
    expect(await names()).toEqual(['Hall'])
    expect(source.refreshed).toBe(0)
  })

  test('while a statement waits for its connection applies to the statement', async () => {
    const { tenantId, source, hall, names } = await movedTenant()
    const held = Promise.withResolvers<void>()
    const holders = Array.from({ length: 4 }, () =>
      pools.run(
        routeOf(tenantId),
        () => held.promise,
        () => true,
      ),
    )
    const writing = hall()
    await expect.poll(() => pools.waiting).toBe(1)
    source.change(routeOf(tenantId, 2))
    held.resolve()
    await Promise.all([writing, ...holders])
    expect(await names()).toEqual(['Hall'])
    expect(source.refreshed).toBe(0)
  })

  test('before the first statement of a transaction begins it again, even if it catches errors', async () => {
    const { tenantId, source, session, names } = await movedTenant()
    let calls = 0
    const made = await session.transaction(async (db) => {
      calls += 1
      if (calls === 1) source.change(routeOf(tenantId, 2))
      await db
        .insert(places)
        .values(placeOf(tenantId, `Call ${calls}`))
        .catch(() => undefined)
      return calls
    })
    expect(made).toBe(2)
    expect(await names()).toEqual(['Call 2'])
    expect(source.refreshed).toBe(0)
  })

  test('to nothing, or to a tenant that is INACTIVE, refuses every session', async () => {
    for (const change of [null, { status: 'INACTIVE' }]) {
      const { tenantId, source, hall } = await movedTenant()
      source.change(change && ({ ...routeOf(tenantId, 2), ...change } as Route))
      await expect(hall()).rejects.toMatchObject({ cause: { code: 'TENANT_NOT_FOUND' } })
      const [row] = await query(
        superuserUrl(home.database),
        'SELECT count(*)::int AS n FROM places WHERE tenant_id = $1',
        [tenantId],
      )
      expect(row).toEqual({ n: 0 })
    }
  })

  test('of an INACTIVE tenant does not refuse sessions that were admitted to it', async () => {
    const tenantId = await moveIn(home.url)
    const inactive = (name: string) => ({ ...routeOf(tenantId), status: 'INACTIVE', name }) as Route
    const source = changeable(inactive('Before'))
    const session = sessionFor(inactive('Before'), undefined, source)
    source.change(inactive('After'))
    expect(await session.db.select().from(places)).toEqual([])
  })
})

describe('a connection that has other prepared statements than expected', () => {
  const text = 'select name, pg_backend_pid() as pid from places'
  const name = `fh_${createHash('sha256').update(text).digest('base64url')}`
  const read = async ({ db }: Pick<RoutedSession, 'db'>) => (await db.execute(sql.raw(text))).rows[0]

  async function alone() {
    const only = openPools({ sharedPoolSize: 1 })
    const tenantId = await moveIn(home.url)
    const session = sessionFor(routeOf(tenantId), undefined, undefined, only)
    await session.db.insert(places).values(placeOf(tenantId, 'Hall'))
    const say = (words: string) => session.db.execute(sql.raw(words))
    const { rows } = await session.db.execute<{ pid: number }>(sql`select pg_backend_pid() as pid`)
    return { session, say, pid: rows[0]?.pid, close: () => only.close() }
  }

  const troubles = [
    ['another under our name', `prepare "${name}" as select 'Foreign' as name, 0 as pid`],
    ['none of ours any more', 'deallocate all'],
  ] as const

  test.each(troubles)('%s: each statement is prepared again there, and runs', async (_, trouble) => {
    const { session, say, pid, close } = await alone()
    if (trouble === 'deallocate all') await read(session)
    await say(trouble)
    expect(await read(session)).toEqual({ name: 'Hall', pid })
    await say('deallocate all')
    expect(await session.transaction(async (db) => read({ db }))).toEqual({ name: 'Hall', pid })
    await close()
  })

  test.each(troubles)('%s: a transaction in the middle of its work begins again', async (_, trouble) => {
    const { session, say, close } = await alone()
    if (trouble === 'deallocate all') await read(session)
    let calls = 0
    const found = await session.transaction(async (db) => {
      calls += 1
      await db.execute(sql`select ${calls}::int`)
      if (calls === 1) await db.execute(sql.raw(trouble))
      return (await read({ db }))?.name
    })
    expect([found, calls]).toEqual(['Hall', 2])
    await say('select 1')
    await close()
  })
})

describe('connections', () => {
  test('never show a foreign row to interleaved units of many tenants', async () => {
    const tenants = await Promise.all(Array.from({ length: 12 }, newTenant))
    await Promise.all(
      tenants.map(({ tenantId, session }) => session.db.insert(places).values(placeOf(tenantId, tenantId))),
    )
    const foreign: string[] = []
    await Promise.all(
      Array.from({ length: 2_000 }, async (_, i) => {
        const { tenantId, session } = tenants[i % tenants.length] as (typeof tenants)[number]
        if (i % 17 === 0) await session.db.execute(sql`select 1 / 0`).catch(() => undefined)
        for (const row of await session.db.select().from(places))
          if (row.name !== tenantId) foreign.push(row.name)
      }),
    )
    expect(foreign).toEqual([])
    expect(pools.budget.open).toBeLessThanOrEqual(8)
  })

  test('killed while idle: the next read works', async () => {
    const { session } = await newTenant()
    await session.db.select().from(places)
    await terminateBackends(home.database)
    expect(await session.db.select().from(places)).toEqual([])
  })

  test('reset by the network while idle: the next read does not notice', async () => {
    const tenantId = await moveIn(home.url)
    const proxy = await TcpProxy.start({ port: Number(new URL(home.url).port) })
    const proxied = openPools({ shared: addressOf(proxy.urlFor(home.url)) })
    try {
      const route = routeOf(tenantId)
      const session = sessionFor(route, undefined, routeSource(route), proxied)
      await session.db.select().from(places)
      proxy.resetConnections()
      await expect.poll(() => proxied.budget.open).toBe(0)
      expect(await session.db.select().from(places)).toEqual([])
    } finally {
      await proxied.close()
      await proxy.close()
    }
  })

  test('killed under a write: the outcome is reported as unknown, and the next statement works', async () => {
    const { tenantId, session } = await newTenant()
    const slow = session.db.execute(
      sql`insert into places (tenant_id, id, name) select ${tenantId}, ${newId()}, 'x' from pg_sleep(3)`,
    )
    const outcome = expect(slow).rejects.toMatchObject({ cause: { code: 'OUTCOME_UNKNOWN' } })
    await expect
      .poll(async () => {
        const { length } = await query(
          superuserUrl(),
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()`,
          [home.database],
        )
        return length
      })
      .toBe(1)
    await outcome
    expect(await session.db.select().from(places)).toEqual([])
  })
})
