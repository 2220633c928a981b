import { sql } from 'drizzle-orm'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { places } from '../../src/applications/property/tables/properties.ts'
import { newId } from '../../src/lib/ids.ts'
import { PoolManager } from '../../src/pools/pool-manager.ts'
import type { TenantDb } from '../../src/sql/session.ts'
import { RoutedSession } from '../../src/sql/tenant-session.ts'
import { dropAll, query, superuserUrl } from '../support/database.ts'
import { routeSource } from '../support/route-source.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { addressOf, createTenantDatabase, moveIn, routeOf } from '../support/tenant-database.ts'

let home: Awaited<ReturnType<typeof createTenantDatabase>>
let proxy: TcpProxy
let pools: PoolManager

beforeAll(async () => {
  home = await createTenantDatabase()
  proxy = await TcpProxy.start({ port: Number(new URL(home.url).port) })
  await query(
    superuserUrl(home.database),
    'ALTER TABLE public.places ADD CONSTRAINT late UNIQUE (tenant_id, name) DEFERRABLE INITIALLY DEFERRED',
  )
  pools = new PoolManager({
    maxPools: 1,
    maxConnections: 4,
    maxConnectionsPerServer: 4,
    acquireTimeoutMs: 5_000,
    statementTimeoutMs: 500,
    shared: addressOf(proxy.urlFor(home.url)),
    sharedPoolSize: 4,
    addressOf: () => {
      throw new Error('no dedicated database in this test')
    },
  })
})
afterAll(async () => {
  await pools?.close()
  await proxy?.close()
  await dropAll()
})

async function newTenant(lender: Pick<PoolManager, 'run'> = pools) {
  const tenantId = await moveIn(home.url)
  const route = routeOf(tenantId)
  const session = new RoutedSession(route, {
    pools: lender as PoolManager,
    routes: routeSource(route),
    fenceTimeoutMs: 300,
    onStuck: () => undefined,
  })
  const insert = (name: string, db = session.db) => db.insert(places).values({ tenantId, id: newId(), name })
  const names = async () => {
    const text = 'SELECT name FROM places WHERE tenant_id = $1 ORDER BY name'
    const rows = await query<{ name: string }>(superuserUrl(home.database), text, [tenantId])
    return rows.map(({ name }) => name)
  }
  return { tenantId, session, insert, names }
}

/** Lends connections that turn out to be dead before anything is written to them, `times` times. */
function deadOnes(times: number): Pick<PoolManager, 'run'> & { lent: number } {
  return {
    lent: 0,
    async run(route, fn, keep) {
      this.lent += 1
      const isDead = this.lent <= times
      return pools.run(route, async (client) => fn(isDead ? await killed(client) : client), keep)
    },
  }
}

type Lending<T> = Parameters<typeof PoolManager.prototype.run<T>>

/** Lends connections as the pools do, and can kill the connection that it lent last; its borrower then gets the error. */
function watchedLender() {
  let lent: pg.PoolClient | null = null
  return {
    run: <T>(...[route, fn, keep]: Lending<T>) => {
      const watched = (client: pg.PoolClient) => {
        lent = client
        return fn(client)
      }
      return pools.run(route, watched, keep)
    },
    kill: async () => {
      if (lent !== null) await killed(lent)
    },
  }
}

async function killed(client: pg.PoolClient): Promise<pg.PoolClient> {
  // Not events.once, which takes the error that comes first for its own.
  const ended = new Promise((resolve) => client.once('end', resolve))
  proxy.resetConnections()
  await ended
  return client
}

describe('a connection that is dead before anything was sent', () => {
  test('does not fail a write: it is sent on another connection, and done once', async () => {
    const lender = deadOnes(2)
    const { insert, names } = await newTenant(lender)
    await insert('Hall')
    expect([lender.lent, await names()]).toEqual([3, ['Hall']])
  })

  test('does not fail a transaction: it begins again', async () => {
    const lender = deadOnes(2)
    const { session, insert, names } = await newTenant(lender)
    let calls = 0
    await session.transaction(async (db) => {
      calls += 1
      await insert('One', db)
      await insert('Two', db)
    })
    expect([calls, await names()]).toEqual([3, ['One', 'Two']])
  })

  test('like all other connections fails the request, which was not done, and the error says so', async () => {
    const { session, insert, names } = await newTenant(deadOnes(9))
    await expect(insert('Hall')).rejects.toMatchObject({ cause: { code: 'TENANT_DATABASE_UNAVAILABLE' } })
    const transaction = session.transaction((db) => insert('Hall', db))
    await expect(transaction).rejects.toMatchObject({ code: 'TENANT_DATABASE_UNAVAILABLE' })
    expect(await names()).toEqual([])
  })
})

describe('a transaction that loses its connection', () => {
  const lender = watchedLender()

  test.each([
    ['and finds out by the next', () => proxy.resetConnections()],
    ['and finds out before the next', () => lender.kill()],
  ])('between two statements, %s, does not begin again, and was certainly not done', async (_when, lose) => {
    const { session, insert, names } = await newTenant(lender)
    let calls = 0
    const lost = session.transaction(async (db) => {
      calls += 1
      await insert('One', db)
      await lose()
      await insert('Two', db)
    })
    await expect(lost).rejects.toMatchObject({ code: 'TENANT_DATABASE_UNAVAILABLE' })
    expect([calls, await names()]).toEqual([1, []])
  })

  test('before COMMIT was sent was certainly not done', async () => {
    const { session, insert, names } = await newTenant(lender)
    const lost = session.transaction(async (db) => {
      await insert('One', db)
      await lender.kill()
    })
    await expect(lost).rejects.toMatchObject({ code: 'TENANT_DATABASE_UNAVAILABLE' })
    expect(await names()).toEqual([])
  })

  test('is not reported as done even if the error was caught', async () => {
    const { session, insert, names } = await newTenant()
    const swallowing = session.transaction(async (db) => {
      await insert('One', db)
      proxy.resetConnections()
      await insert('Two', db).catch(() => undefined)
    })
    await expect(swallowing).rejects.toMatchObject({ code: 'TENANT_DATABASE_UNAVAILABLE' })
    expect(await names()).toEqual([])
  })

  test('while COMMIT is sent is reported as unknown', async () => {
    const { session, insert, names } = await newTenant()
    const cut = proxy.cutAfter((chunk) => chunk.includes('COMMIT\0'))
    const lost = session.transaction((db) => insert('One', db))
    await expect(lost).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' })
    await cut
    expect(await names()).toEqual(['One'])
  })
})

describe('a write that the database refuses at the commit', () => {
  test('was not done, and keeps its error: as a single write', async () => {
    const { insert, names } = await newTenant()
    await insert('Hall')
    await expect(insert('Hall')).rejects.toMatchObject({ cause: { code: '23505', constraint: 'late' } })
    expect(await names()).toEqual(['Hall'])
  })

  test('was not done, and keeps its error: in a transaction', async () => {
    const { session, insert, names } = await newTenant()
    const twins = session.transaction(async (db) => {
      await insert('Twin', db)
      await insert('Twin', db)
    })
    await expect(twins).rejects.toMatchObject({ code: '23505', constraint: 'late' })
    expect(await names()).toEqual([])
  })

  test('does not close the connection', async () => {
    const { session, insert } = await newTenant()
    const pidIn = async (db: TenantDb) => (await db.execute(sql`select pg_backend_pid() as pid`)).rows[0]?.pid
    const pids = new Set([await pidIn(session.db)])
    const twins = session.transaction(async (db) => {
      pids.add(await pidIn(db))
      await insert('Twin', db)
      await insert('Twin', db)
    })
    await expect(twins).rejects.toMatchObject({ code: '23505' })
    const spoilt = session.transaction((db) => db.execute(sql`select 1 / 0`).catch(() => undefined))
    await expect(spoilt).rejects.toThrow('rolled back')
    expect(pids.add(await pidIn(session.db)).size).toBe(1)
  })
})

describe('a transaction that has ended', () => {
  test('runs none of its remaining statements', async () => {
    const { session } = await newTenant()
    let ran = 0
    let behind: Promise<unknown> | undefined
    const failed = session.transaction(async (db) => {
      await db.execute(sql`select 1`)
      const goOn = async () => {
        for (; ; ran += 1) await db.execute(sql`select 1`)
      }
      behind = goOn().catch(() => undefined)
      throw new Error('changed my mind')
    })
    await expect(failed).rejects.toThrow('changed my mind')
    await behind
    // The write that was sent before.
    expect(ran).toBe(1)
  })

  test('cannot begin late, even if it has done nothing', async () => {
    const { session } = await newTenant()
    const { inner } = await session.transaction(async (db) => ({ inner: db }))
    const late = inner.execute(sql`select 1`)
    await expect(late).rejects.toMatchObject({ cause: { message: 'the transaction is over' } })
  })
})

test('a server that stops answering leaves the outcome of a write unknown', async () => {
  const { session, insert } = await newTenant()
  await session.db.execute(sql`select 1`)
  await proxy.setMode('black-hole')
  try {
    await expect(insert('Hall')).rejects.toMatchObject({ cause: { code: 'OUTCOME_UNKNOWN' } })
  } finally {
    await proxy.setMode('pass')
    proxy.resetConnections()
  }
})
