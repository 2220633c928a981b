import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PoolManager } from '../../src/pools/pool-manager.ts'
import { RoutedSession } from '../../src/sql/tenant-session.ts'
import type { TracedUnit } from '../../src/sql/trace.ts'
import { dropAll } from '../support/database.ts'
import { routeSource } from '../support/route-source.ts'
import { addressOf, createTenantDatabase, moveIn, routeOf } from '../support/tenant-database.ts'

const units: TracedUnit[] = []
let pools: PoolManager
let tenantId: string
let session: (ownSql: boolean) => RoutedSession

beforeAll(async () => {
  const home = await createTenantDatabase()
  pools = new PoolManager({
    ...{ maxPools: 10, maxConnections: 1, maxConnectionsPerServer: 1, sharedPoolSize: 1 },
    ...{ acquireTimeoutMs: 20_000, statementTimeoutMs: 5_000, shared: addressOf(home.url) },
    addressOf: () => {
      throw new Error('no dedicated database in this test')
    },
  })
  const route = routeOf(await moveIn(home.url))
  tenantId = route.tenantId
  const trace = (unit: TracedUnit) => void units.push(unit)
  session = (ownSql) =>
    new RoutedSession(route, {
      ...{ pools, routes: routeSource(route), ownSql, trace, fenceTimeoutMs: 300 },
      onStuck: () => undefined,
    })
})
afterAll(async () => {
  await pools?.close()
  await dropAll()
})

test('a traced unit is printed with tenant, name, first word and time, and without any value', async () => {
  units.length = 0
  const core = session(false)
  await core.db.execute(sql`/* secret */ SELECT ${'secret'}::text`)
  await core.db.execute(sql`SELECT ${'secret'}::text`)
  await core.transaction(async (db) => {
    await db.execute(sql`SELECT 'secret'`)
  })
  await core.db.execute(sql`SELECT 1 / 0`).catch(() => undefined)
  expect(units.map(({ command }) => command)).toEqual([null, 'select', 'select', 'select'])
  for (const unit of units) {
    const statement = expect.stringMatching(/^fh_[\w-]{43}$/)
    expect(unit).toMatchObject({ tenantId, statement, durationMs: expect.any(Number) })
  }
  expect(JSON.stringify(units)).not.toContain('secret')
})

test('SQL of an application has no name', async () => {
  units.length = 0
  await session(true).db.execute(sql`SELECT 1`)
  expect(units).toEqual([{ tenantId, statement: null, command: 'select', durationMs: expect.any(Number) }])
})
