import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { places } from '../../src/applications/property/properties/places.ts'
import { PublicError } from '../../src/errors.ts'
import { newId } from '../../src/lib/ids.ts'
import type { ClosedConnection } from '../../src/pools/alarms.ts'
import { int16, message } from '../support/backend-messages.ts'
import { dropAll, query, superuserUrl } from '../support/database.ts'
import { HostileProxy } from '../support/hostile-proxy.ts'
import { findPlace, type LaneTenant, LaneWorld, listPlaces } from '../support/lane-world.ts'
import { routeSource } from '../support/route-source.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'

afterAll(dropAll)

const codeOf = (error: unknown) => (error instanceof PublicError ? error.code : String(error))
const outcomeOf = (work: Promise<unknown>) => work.then((value) => value, codeOf)

/** Changes the database as a superuser. */
type Change = (text: string, values?: unknown[]) => Promise<unknown>

/** Opens a world with a proxy before its database, for a block of tests. */
function inWorld(options: Parameters<typeof LaneWorld.open>[0] = {}) {
  const found = {} as { world: LaneWorld; proxy: TcpProxy; a: LaneTenant; b: LaneTenant; change: Change }
  beforeAll(async () => {
    found.proxy = await TcpProxy.start({ port: Number(new URL(superuserUrl()).port) })
    found.world = await LaneWorld.open({ through: (url) => found.proxy.urlFor(url), ...options })
    ;[found.a, found.b] = found.world.tenants as [LaneTenant, LaneTenant]
    found.change = (text, values) => query(superuserUrl(found.world.database), text, values)
  })
  afterAll(async () => {
    await found.proxy?.setMode('pass')
    await found.world?.pools.close()
    await found.proxy?.close()
  })
  return found
}

describe('a unit that the database refuses', () => {
  const found = inWorld({ tenants: 6 })
  const changes: Record<string, string> = {
    'another seal': "UPDATE residence SET seal = decode(repeat('ab', 32), 'hex') WHERE tenant_id = $1",
    'another epoch': 'UPDATE residence SET epoch = epoch + 1 WHERE tenant_id = $1',
    'a fence': "UPDATE residence SET state = 'fenced' WHERE tenant_id = $1",
    'no residence': 'DELETE FROM residence WHERE tenant_id = $1',
  }

  test.each(Object.keys(changes))('gives the same error as without lanes: %s', async (name) => {
    const { world } = found
    const tenant = world.tenants[Object.keys(changes).indexOf(name)] as LaneTenant
    const last = world.tenants[5] as LaneTenant
    await world.openLane(tenant)
    await found.change(changes[name] ?? '', [tenant.id])
    const refused = world.rerunsFor('refused')
    const others = Promise.all(Array.from({ length: 20 }, (_, n) => findPlace(last, n)))
    const [laned, plain] = await Promise.all([
      outcomeOf(findPlace(tenant, 0)),
      outcomeOf(findPlace(world.plain(tenant), 0)),
    ])
    expect(laned).toBe('TENANT_DATABASE_UNAVAILABLE')
    expect(plain).toBe(laned)
    expect(world.rerunsFor('refused')).toBeGreaterThan(refused)
    for (const place of await others) expect(String(place).startsWith(last.id)).toBe(true)
  })
})

describe('what does not ride a lane', () => {
  const found = inWorld()

  test('is a unit whose tenant was suspended before it was sent', async () => {
    const { world, a, b } = found
    await world.openLane(a)
    const routes = routeSource(a.route)
    const directory = { ...routes.directory, peekById: () => present, holds: () => present === a.route }
    let present = a.route
    const session = world.sessionFor(a.route, { routes: { ...routes, directory } })
    const read = outcomeOf(findPlace({ ...a, session }, 0))
    // The unit is on a lane, and is sent at the end of this turn.
    expect(world.lanes.stats.inFlight).toBe(1)
    Object.assign(directory, { generation: 1 })
    present = { ...a.route, status: 'INACTIVE' }
    expect(await read).toBe('TENANT_NOT_FOUND')
    expect(await findPlace(b, 0)).toContain(b.id)
  })

  test("is SQL of an application, and a transaction's reads", async () => {
    const { world, a } = found
    await world.openLane(a)
    const { answered } = world.lanes.stats
    const own = { ...a, session: world.sessionFor(a.route, { ownSql: true }) }
    expect(await findPlace(own, 0)).toContain(a.id)
    const inside = await a.session.transaction((db) => places.find({ id: a.id, db }, a.places[0] ?? ''))
    expect(inside.row.name).toContain(a.id)
    expect(world.lanes.stats.answered).toBe(answered)
    expect(world.lanes.stats.open).toBeGreaterThan(0)
  })
})

describe('the opening of a lane', () => {
  const found = inWorld()

  test('delays no read: it begins when a read has ended, and no read waits for it', async () => {
    const { world, a } = found
    await findPlace(a, 0)
    const read = findPlace(a, 0)
    expect(world.lanes.stats.waiting).toBe(0)
    await read
    // The read had the only connection, which becomes the lane now.
    expect(world.pools.budget.open).toBe(1)
    const meanwhile = findPlace(a, 1)
    expect(world.lanes.stats).toMatchObject({ open: 0, waiting: 0 })
    expect(await meanwhile).toContain(a.id)
    await world.openLane(a)
    expect(world.lanes.stats.open).toBe(1)
  })
})

describe('a table that is changed under a lane', () => {
  const found = inWorld()

  test('costs no read, and the lane is replaced', async () => {
    const { world, a } = found
    await world.openLane()
    await found.change('ALTER TABLE places ALTER COLUMN name TYPE varchar(300)')
    const names = await Promise.all(Array.from({ length: 10 }, (_, n) => findPlace(a, n)))
    expect(names.every((name) => String(name).startsWith(a.id))).toBe(true)
    expect(world.rerunsFor('outdated')).toBeGreaterThan(0)
  })

  test('sends a statement the old way if its columns are no longer the declared ones', async () => {
    const { world, a } = found
    await expect.poll(() => findPlace(a, 0).then(() => world.rerunsFor('unfit'))).toBeGreaterThan(0)
    const { answered } = world.lanes.stats
    const unfit = world.rerunsFor('unfit')
    for (let n = 0; n < 5; n += 1) await findPlace(a, n)
    expect([world.lanes.stats.answered, world.rerunsFor('unfit')]).toEqual([answered, unfit])
  })
})

describe('prepared statements that a lane has lost', () => {
  const found = inWorld()

  test('cost no read', async () => {
    const { world, a } = found
    await world.openLane()
    const [{ definition } = { definition: '' }] = await query<{ definition: string }>(
      superuserUrl(world.database),
      "SELECT pg_get_functiondef('public.freehold_enter'::regproc) AS definition",
    )
    const onLanes = "IF current_setting('statement_timeout') = '20ms' THEN EXECUTE 'DEALLOCATE ALL'; END IF;"
    await found.change(definition.replace(/\bBEGIN\b/, `BEGIN ${onLanes}`))
    const names = await Promise.all(Array.from({ length: 10 }, (_, n) => findPlace(a, n)))
    expect(names.every((name) => String(name).startsWith(a.id))).toBe(true)
    expect(world.rerunsFor('outdated')).toBeGreaterThan(0)
    await found.change(definition)
    await world.openLane()
  })
})

describe('a slow statement', () => {
  const found = inWorld()

  test('runs again on a connection of its own, and soon does not begin on a lane', async () => {
    const { world, a, b } = found
    await found.change(`CREATE POLICY slow ON places AS RESTRICTIVE FOR SELECT
         USING (tenant_id <> '${a.id}' OR pg_catalog.pg_sleep(0.06) IS NOT NULL)`)
    await world.openLane(b)
    for (let n = 0; n < 5; n += 1) expect(String(await findPlace(a, n))).toContain(a.id)
    const limited = world.rerunsFor('limit')
    expect(limited).toBeGreaterThan(0)
    expect(limited).toBeLessThan(5)
    const { answered } = world.lanes.stats
    const slow = Promise.all(Array.from({ length: 4 }, (_, n) => findPlace(a, n)))
    for (let n = 0; n < 20; n += 1) await findPlace(b, n)
    await slow
    expect(world.rerunsFor('limit') - limited).toBeLessThan(4)
    expect(world.lanes.stats.answered).toBeGreaterThan(answered)
    await found.change('DROP POLICY slow ON places')
  })

  test('that waits for a lock waits on a connection of its own, and does not count as slow', async () => {
    const { world, b } = found
    await world.openLane(b)
    const limited = world.rerunsFor('limit')
    const locker = new Client({ connectionString: superuserUrl(world.database) })
    await locker.connect()
    await locker.query('BEGIN; LOCK TABLE places IN ACCESS EXCLUSIVE MODE')
    const reads = Promise.all(Array.from({ length: 6 }, (_, n) => findPlace(b, n)))
    await expect.poll(() => world.rerunsFor('limit')).toBeGreaterThan(limited)
    await locker.query('COMMIT')
    await locker.end()
    for (const name of await reads) expect(String(name)).toContain(b.id)
    const { answered } = world.lanes.stats
    for (let n = 0; n < 10; n += 1) await findPlace(b, n)
    expect(world.lanes.stats.answered).toBeGreaterThan(answered)
  })
})

describe('a server that is far away', () => {
  const found = inWorld()

  test('does not make a statement slow', async () => {
    const { world, proxy, a } = found
    await proxy.setMode({ delayMs: 15 })
    await world.openLane()
    const { answered } = world.lanes.stats
    for (let n = 0; n < 30; n += 1) await findPlace(a, n)
    expect(world.lanes.stats.answered - answered).toBeGreaterThan(25)
  })
})

describe('an answer that is larger than a lane reads', () => {
  const found = inWorld({ maxAnswerBytes: 65_536 })

  test('comes on a connection of its own, and costs its tenant the lane for a while', async () => {
    const { world, a, b } = found
    await found.change(
      `UPDATE places SET address = jsonb_build_object('line1', repeat('x', 100000)) WHERE id = '${a.places[0]}'`,
    )
    const readBesideLane = async () => {
      await world.openLane(b)
      expect(await findPlace(a, 0)).toContain(a.id)
      return world.rerunsFor('large')
    }
    // On a busy machine the lane's time limit may come first.
    await expect.poll(readBesideLane).toBe(1)
    for (let n = 0; n < 3; n += 1) expect(await readBesideLane()).toBe(1)
  })
})

describe('a server that fails', () => {
  const found = inWorld({ acquireTimeoutMs: 5_000 })

  test('and is silent is left within seconds, and its reads run again', async () => {
    const { world, proxy, a } = found
    await world.openLane()
    await proxy.setMode('black-hole')
    const read = findPlace(a, 0)
    await expect.poll(() => world.rerunsFor('lost')).toBeGreaterThan(0)
    expect(world.lanes.stats.open).toBe(0)
    await proxy.setMode('pass')
    expect(await outcomeOf(read)).toContain(a.id)
  })

  test('and cannot be reached is an outage for the breakers, and lanes come back with it', async () => {
    const { world, proxy, a } = found
    await world.openLane()
    await proxy.setMode('refuse')
    proxy.resetConnections()
    const outcomes = await Promise.all(Array.from({ length: 10 }, (_, n) => outcomeOf(findPlace(a, n))))
    expect(new Set(outcomes)).toEqual(new Set(['TENANT_DATABASE_UNAVAILABLE']))
    expect(world.pools.broken.server).toBe(1)
    expect(world.pools.refusalOf(a.route)).toBe('TENANT_DATABASE_UNAVAILABLE')
    await proxy.setMode('pass')
    await expect.poll(() => outcomeOf(findPlace(a, 0))).toContain(a.id)
    expect(world.pools.broken.server).toBe(0)
    await world.openLane()
  })
})

describe('a server that breaks the protocol on lanes', () => {
  test('costs no read, and lanes pause for longer each time', async () => {
    const proxy = await HostileProxy.start(superuserUrl())
    const world = await LaneWorld.open({ through: (url) => proxy.urlFor(url) })
    const [a] = world.tenants as [LaneTenant]
    try {
      await world.openLane(a)
      // Only the row of a lane's tenant check has four columns and begins with the tenant.
      const isCheck = (whole: Buffer) => whole.readInt16BE(5) === 4 && whole.includes(a.id)
      proxy.attack = (whole, type) => (type === 'D' && isCheck(whole) ? [message('D', int16(1))] : [whole])
      const violations: number[] = []
      const read = async () => {
        expect(await findPlace(a, 0)).toContain(a.id)
        if (world.rerunsFor('lost') > violations.length) violations.push(performance.now())
        return violations.length
      }
      await expect.poll(read, { interval: 10 }).toBe(3)
      const [first = 0, second = 0, third = 0] = violations
      expect(second - first).toBeGreaterThan(900)
      expect(third - second).toBeGreaterThan(1_900)
    } finally {
      await world.pools.close()
      proxy.close()
    }
  })
})

describe('our own code that throws while a lane is read', () => {
  const faults: ClosedConnection[] = []
  const violations: ClosedConnection[] = []
  const found = inWorld({
    onFault: (fault) => faults.push(fault),
    onViolation: (violation) => violations.push(violation),
  })

  test('costs the lane and no read, and the server is not blamed', async () => {
    const { world, a, b } = found
    await world.openLane(a)
    const stranger = newId()
    const { set } = world.reruns
    world.reruns.set = () => {
      world.reruns.set = set
      throw new TypeError('ours')
    }
    const route = { ...a.route, tenantId: stranger }
    const lost = outcomeOf(findPlace({ ...a, id: stranger, session: world.sessionFor(route) }, 0))
    const reads = Promise.all(Array.from({ length: 10 }, (_, n) => findPlace(b, n)))
    for (const name of await reads) expect(name).toContain(b.id)
    expect(await lost).toBe('TENANT_DATABASE_UNAVAILABLE')
    expect(faults).toMatchObject([{ error: { name: 'HandlerFault', cause: { message: 'ours' } } }])
    expect(violations).toEqual([])
  })
})

describe('the pool of a lane', () => {
  const found = inWorld({ sharedPoolSize: 2, maxPools: 2 })

  test('gets the connection back if its requests need it, as it was before', async () => {
    const { world, a } = found
    await world.openLane()
    const both = Promise.withResolvers<void>()
    let begun = 0
    const transact = () =>
      a.session.transaction(async (db) => {
        const { rows } = await db.execute<{ limit: string }>(
          sql`select current_setting('statement_timeout') as limit, count(*) as n from pg_prepared_statements`,
        )
        begun += 1
        if (begun === 2) both.resolve()
        await both.promise
        return rows[0]?.limit
      })
    expect(await Promise.all([transact(), transact()])).toEqual(['5s', '5s'])
    expect(await findPlace(a, 0)).toContain(a.id)
    await world.openLane()
  })

  test('closes with its lanes if other pools are used, and opens again', async () => {
    const { world, a, b } = found
    const [one, two] = [world.dedicated(a), world.dedicated(b)]
    await world.openLane(one)
    await findPlace(two, 0)
    await findPlace(world.dedicated(b, { version: 2 }), 0)
    expect(world.pools.size).toBe(2)
    await world.openLane(one)
    expect(await listPlaces(one)).toHaveLength(10)
  })

  test('closes for a tenant that moves, and every read ends', async () => {
    const { world, a } = found
    const one = world.dedicated(a, { version: 3 })
    await world.openLane(one)
    const reads = Array.from({ length: 50 }, (_, n) => outcomeOf(findPlace(one, n)))
    await world.pools.retireAllBut(a.id, null)
    for (const outcome of await Promise.all(reads)) expect(outcome).toContain(a.id)
    await world.pools.retireAllBut(a.id, null)
    expect(world.pools.hasPools(a.id)).toBe(false)
  })
})

describe('few connections for many pools', () => {
  const found = inWorld({ maxConnections: 2, maxConnectionsPerServer: 2, acquireTimeoutMs: 15_000 })

  test('are not kept by a lane that is always busy: another pool gets its turn, for reads and for writes', async () => {
    const { world, a, b } = found
    const other = world.dedicated(b)
    await world.openLane(a)
    let isDone = false
    const busy = Array.from({ length: 8 }, async (_, n) => {
      const outcomes = new Set<string>()
      for (; !isDone; n += 1) outcomes.add(String(await outcomeOf(findPlace(a, n))).slice(0, 36))
      return outcomes
    })
    for (let n = 0; n < 5; n += 1) {
      expect(await outcomeOf(findPlace(other, n))).toContain(b.id)
      const write = other.session.transaction((db) => db.execute(sql`select 1`).then(() => 'written'))
      expect(await outcomeOf(write)).toBe('written')
      await sleep(20)
    }
    // The busy tenant writes as well, although its only connection may be a lane.
    const own = a.session.transaction((db) => db.execute(sql`select 1`).then(() => 'written'))
    expect(await outcomeOf(own)).toBe('written')
    isDone = true
    expect(new Set((await Promise.all(busy)).flatMap((outcomes) => [...outcomes]))).toEqual(new Set([a.id]))
    expect(world.pools.budget.isKept).toBe(true)
  })
})

describe('few connections for more pools', () => {
  const limits = { maxConnections: 2, maxConnectionsPerServer: 2, acquireTimeoutMs: 15_000 }
  const found = inWorld({ ...limits, tenants: 3 })

  test('are taken from a lane that is never idle, if another pool has none', async () => {
    const { world, proxy, a, b } = found
    const [, , c] = world.tenants as [LaneTenant, LaneTenant, LaneTenant]
    await proxy.setMode({ delayMs: 20 })
    await world.openLane(a)
    let isDone = false
    // One after the other, so that the lane always has a unit.
    const busy = Array.from({ length: 10 }, async (_, n) => {
      await sleep(n * 5)
      while (!isDone) await outcomeOf(findPlace(a, n))
    })
    await expect.poll(() => world.lanes.stats.inFlight, { interval: 5 }).toBeGreaterThan(5)
    let isHeld = true
    const held = world
      .dedicated(b)
      .session.transaction((db) => db.execute(sql`select pg_catalog.pg_sleep(4)`))
      .finally(() => {
        isHeld = false
      })
    const outcome = await outcomeOf(findPlace(world.dedicated(c), 0))
    const wasHeld = isHeld
    isDone = true
    await Promise.all([held, ...busy])
    await proxy.setMode('pass')
    expect(outcome).toContain(c.id)
    expect(wasHeld).toBe(true)
  })
})

describe('one connection', () => {
  const found = inWorld({ maxConnections: 1, maxConnectionsPerServer: 1 })

  test('is never a lane', async () => {
    const { world, a, b } = found
    const names = await Promise.all([a, b, a, b].map((tenant, n) => findPlace(tenant, n)))
    expect(names.map((name) => String(name).slice(0, 36))).toEqual([a.id, b.id, a.id, b.id])
    expect(world.lanes.stats).toMatchObject({ open: 0, answered: 0 })
  })
})

test.each([8, 300])('pools close at once with busy lanes, and each of %s reads ends', async (count) => {
  const world = await LaneWorld.open()
  await world.openLane()
  const [a] = world.tenants as [LaneTenant]
  const reads = Array.from({ length: count }, (_, n) => outcomeOf(findPlace(a, n)))
  expect(world.lanes.stats.inFlight).toBeGreaterThan(0)
  const begun = performance.now()
  await world.pools.close()
  expect(performance.now() - begun).toBeLessThan(10_000)
  expect(world.pools.budget.open).toBe(0)
  for (const outcome of await Promise.all(reads))
    expect(String(outcome)).toMatch(/^[0-9a-f-]{36} |^SHUTTING_DOWN$/)
})
