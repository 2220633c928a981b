import { connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { Route, RouteDatabase } from '../../src/catalog/directory.ts'
import { newId } from '../../src/lib/ids.ts'
import type { SslMode } from '../../src/lib/postgres/connection-string.ts'
import { PoolManager } from '../../src/pools/pool-manager.ts'
import { dropAll } from '../support/database.ts'
import { addressOf, createTenantDatabase } from '../support/tenant-database.ts'

let database: { url: string }
let proxy: { port: number; close(): void }
let pools: PoolManager

beforeAll(async () => {
  database = await createTenantDatabase()
})
afterEach(async () => {
  proxy.close()
  await pools.close()
})
afterAll(dropAll)

/** Opens a proxy before the database. Its nth connection, from 0, passes after so many milliseconds, is lost, or is closed. */
async function openProxy(
  fateOf: (n: number) => number | 'lost' | 'closed',
  sslMode: SslMode = 'disable',
): Promise<void> {
  const sockets = new Set<Socket>()
  let accepted = 0
  const keep = (socket: Socket) => sockets.add(socket.on('error', () => socket.destroy()))
  const server: Server = createServer(async (from) => {
    keep(from)
    const fate = fateOf(accepted++)
    if (fate === 'closed') from.resume().once('data', () => from.end())
    if (typeof fate !== 'number') return
    await delay(fate)
    const { host, port } = addressOf(database.url)
    const to = connect(port, host)
    keep(to)
    from.pipe(to).pipe(from)
    from.on('close', () => to.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  proxy = {
    port,
    close: () => {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
  const address = addressOf(database.url, { host: '127.0.0.1', port, sslMode })
  pools = new PoolManager({
    ...{ maxPools: 10, maxConnections: 20, maxConnectionsPerServer: 20 },
    ...{ acquireTimeoutMs: 5_000, statementTimeoutMs: 5_000, shared: address, sharedPoolSize: 4 },
    addressOf: () => address,
  })
}

/** The route of another tenant each time. All their databases are on one server. */
function routeOf({ connectTimeoutMs }: { connectTimeoutMs: number }): Route {
  const limits = { poolSize: 3, idleTimeoutMs: 30_000, connectTimeoutMs }
  const location = { host: '127.0.0.1', port: proxy.port, databaseOid: null, systemIdentifier: null }
  const entry = { id: newId(), version: 1, status: 'active', ...location, ...limits } as RouteDatabase
  return { tenantId: newId(), placement: 'dedicated', status: 'ACTIVE', database: entry } as Route
}

const ask = (route: Route) =>
  pools.run(
    route,
    (client) => client.query('SELECT 1'),
    () => true,
  )

test('a lost connection to a server does not hold up another tenant of that server', async () => {
  await openProxy((n) => (n === 0 ? 'lost' : 0))
  let isWaiting = true
  const unlucky = ask(routeOf({ connectTimeoutMs: 60_000 })).catch(() => {
    isWaiting = false
  })
  await ask(routeOf({ connectTimeoutMs: 60_000 }))
  expect(isWaiting, 'the lost one still waits').toBe(true)
  proxy.close()
  await unlucky
})

test('a tenant with a short timeout does not open the breaker of a slow server for another tenant', async () => {
  await openProxy(() => 600)
  const impatient = routeOf({ connectTimeoutMs: 200 })
  await expect(ask(impatient)).rejects.toMatchObject({ code: 'TENANT_DATABASE_UNAVAILABLE' })
  await ask(routeOf({ connectTimeoutMs: 5_000 }))
  expect(pools.broken).toEqual({ server: 0, database: 1 })
})

test.each(['disable', 'require'] as const)(
  'a server that closes connections without an answer is unreachable for all, with sslmode %s',
  async (sslMode) => {
    await openProxy(() => 'closed', sslMode)
    for (let n = 0; n < 2; n += 1) {
      await expect(ask(routeOf({ connectTimeoutMs: 5_000 }))).rejects.toMatchObject({
        code: 'TENANT_DATABASE_UNAVAILABLE',
      })
    }
    expect(pools.broken).toEqual({ server: 1, database: 0 })
  },
)
