import type pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Route } from '../../src/catalog/directory.ts'
import { PoolManager } from '../../src/pools/pool-manager.ts'
import { dropAll } from '../support/database.ts'
import { addressOf, createTenantDatabase } from '../support/tenant-database.ts'

/** Longer than anything here should wait for its turn, shorter than what it must not have to wait for. */
const DEADLINE_MS = 5_000

let home: Awaited<ReturnType<typeof createTenantDatabase>>
let pools: PoolManager
const releases: (() => Promise<void>)[] = []

beforeAll(async () => {
  home = await createTenantDatabase()
})
afterEach(async () => {
  await Promise.all(releases.splice(0).map((release) => release()))
  await pools.close()
})
afterAll(dropAll)

function start(maxConnections: number): void {
  const address = addressOf(home.url)
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

/** To a pool of its own; all of them lead to one database. */
function routeTo(id: string, version = 1): Route {
  const { host, port } = addressOf(home.url)
  const database = { id, version, status: 'active', host, port, poolSize: 10 }
  const limits = { idleTimeoutMs: 60_000, connectTimeoutMs: 5_000, databaseOid: 1, systemIdentifier: '1' }
  return { tenantId: id, placement: 'dedicated', database: { ...database, ...limits } } as unknown as Route
}

const run = (id: string, fn: (client: pg.PoolClient) => Promise<unknown>, version = 1) =>
  pools.run(routeTo(id, version), fn, () => true)
const use = (id: string, version?: number) => run(id, (client) => client.query('SELECT 1'), version)

/** Holds a connection until it is let go. */
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

describe('a tenant that others leave no connection', () => {
  test('gets one of those that are never without work', async () => {
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

  test('gets one from a pool that only ends what it has begun', async () => {
    start(3)
    const [first, second, last] = [await hold('a'), await hold('a'), await hold('a')]
    releases.push(second, last)
    await first()
    const retired = pools.retireAllBut(routeTo('a').tenantId, null)
    await use('a', 2)
    // Nor does it keep what comes to rest later.
    await second()
    await expect.poll(() => pools.budget.open, { timeout: 10_000 }).toBe(2)
    await last()
    await retired
  })

  test('gets one that rests, also where another one was lost while it was waited for', async () => {
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
