import type pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Route } from '../../src/catalog/directory.ts'
import { PoolManager } from '../../src/pools/pool-manager.ts'
import { dropAll } from '../support/database.ts'
import { addressOf, createTenantDatabase } from '../support/tenant-database.ts'

/** Longer than a turn should take, shorter than the idle timeout, which no turn may wait for. */
const DEADLINE_MS = 5_000

let tenantDatabase: Awaited<ReturnType<typeof createTenantDatabase>>
let pools: PoolManager
const releases: (() => Promise<void>)[] = []

beforeAll(async () => {
  tenantDatabase = await createTenantDatabase()
})
afterEach(async () => {
  await Promise.all(releases.splice(0).map((release) => release()))
  await pools.close()
})
afterAll(dropAll)

function start(maxConnections: number): void {
  const address = addressOf(tenantDatabase.url)
  pools = new PoolManager({
    maxPools: 10,
    maxConnections,
    maxConnectionsPerServer: maxConnections,
    acquireTimeoutMs: DEADLINE_MS,
    statementTimeoutMs: 30_000,
    shared: address,
    sharedPoolSize: 4,
    addressOf: () => address,
  })
}

/** Each leads to a pool of its own. All pools lead to one database. */
function routeTo(id: string, version = 1): Route {
  const { host, port } = addressOf(tenantDatabase.url)
  const database = { id, version, status: 'active', host, port, poolSize: 10 }
  const limits = { idleTimeoutMs: 60_000, connectTimeoutMs: 5_000, databaseOid: 1, systemIdentifier: '1' }
  return { tenantId: id, placement: 'dedicated', database: { ...database, ...limits } } as unknown as Route
}

const run = (id: string, fn: (client: pg.PoolClient) => Promise<unknown>, version = 1) =>
  pools.run(routeTo(id, version), fn, () => true)
const use = (id: string, version?: number) => run(id, (client) => client.query('SELECT 1'), version)

/** Holds a connection until the returned function is called. */
async function hold(id: string): Promise<() => Promise<void>> {
  const [held, over] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const done = run(id, async () => {
    held.resolve()
    await over.promise
  })
  await held.promise
  return async () => {
    over.resolve()
    await done
  }
}

describe('a tenant that finds all connections taken by others', () => {
  test('gets one from a pool that is always busy', async () => {
    start(2)
    let isOver = false
    const work = async () => {
      while (!isOver) await run('a', (client) => client.query('SELECT pg_sleep(0.005)'))
    }
    const workers = Array.from({ length: 6 }, work)
    try {
      await use('a')
      for (let n = 0; n < 5; n += 1) await use('b')
    } finally {
      isOver = true
      await Promise.all(workers)
    }
  })

  test('gets one from a retired pool', async () => {
    start(3)
    const [first, second, last] = [await hold('a'), await hold('a'), await hold('a')]
    releases.push(second, last)
    await first()
    const retired = pools.retireAllBut(routeTo('a').tenantId, null)
    await use('a', 2)
    // The retired pool keeps no connection that becomes idle later either.
    await second()
    await expect.poll(() => pools.budget.open).toBe(2)
    await last()
    await retired
  })

  test('gets an idle one, also after another one was lost while it waited', async () => {
    start(1)
    let waiting: Promise<unknown> | undefined
    await run('a', async (client) => {
      waiting = use('b')
      const ended = new Promise((resolve) => client.once('end', resolve))
      ;(client as unknown as { destroy(): void }).destroy()
      await ended
    })
    await waiting
    for (const id of ['a', 'b', 'a', 'b']) await use(id)
  })
})
