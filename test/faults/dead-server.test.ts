import { Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { applyMigrations } from '../../src/migrations/apply.ts'
import { tenantMigrations } from '../support/application.ts'
import { dropAll, query, uniqueName } from '../support/database.ts'
import {
  createStage,
  type Stage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'
import { type OwnServer, startOwnServer } from '../support/second-server.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { withClient } from '../support/tenant-database.ts'
import { Bystander, createOwnerOn, makePlace, PLACES, register } from './support.ts'

const DATABASES = 12
/** The shortest silence that counts against the server. */
const CONNECT_TIMEOUT_SECONDS = 3
/** No health rounds: only attempts of requests are counted here. Few pools, so that most of them are closed again and again. */
const SETTINGS = { HEALTH_CHECK_CRON: '0 0 0 1 1 *', MAX_POOLS: '3' }
/** The server writes its log where SQL can read it. */
const LOGGED = { logging_collector: 'on', log_directory: 'log', log_filename: 'own.log' }
const UNAVAILABLE = ['503 NO_CONNECTION_AVAILABLE', '503 TENANT_DATABASE_UNAVAILABLE']

let stage: Stage
let server: OwnServer
let proxy: TcpProxy
let gateway: TestGateway
let neighbour: TestTenant
let tenants: TestTenant[]
/** When and to which port this process has tried to connect. */
const attempts: { readonly port: number; readonly at: number }[] = []

beforeAll(async () => {
  watchAttempts()
  ;[stage, server] = await Promise.all([createStage(), startOwnServer({ settings: LOGGED })])
  proxy = await TcpProxy.start(server)
  gateway = await startGateway(stage, SETTINGS)
  neighbour = await gateway.createTenant()
  tenants = await Promise.all(Array.from({ length: DATABASES }, () => gateway.createTenant()))
  const urls = await createHomes()
  const moveIn = async ({ id }: TestTenant, n: number) =>
    register(
      { caller: gateway, tenantId: id, url: urls[n] ?? '' },
      { connectionTimeoutSeconds: CONNECT_TIMEOUT_SECONDS },
    )
  await Promise.all(tenants.map(moveIn))
})
afterAll(async () => {
  vi.restoreAllMocks()
  await gateway?.close()
  await proxy?.close()
  await server?.dispose()
  await dropAll()
})

/** Databases behind the proxy. They are copied from one that has the schema, which is faster than migrating each. */
async function createHomes(): Promise<string[]> {
  const owner = await createOwnerOn(server)
  const blueprint = await owner.createDatabase()
  const migrations = await tenantMigrations()
  await withClient(blueprint.url, (client) => applyMigrations(client, migrations, { lockTimeoutMs: 10_000 }))
  const urls: string[] = []
  for (let n = 0; n < DATABASES; n += 1) {
    const url = new URL(proxy.urlFor(blueprint.url))
    const name = uniqueName()
    await query(
      server.superuserUrl,
      `CREATE DATABASE "${name}" OWNER "${url.username}" TEMPLATE "${blueprint.database}"`,
    )
    urls.push(Object.assign(url, { pathname: `/${name}` }).href)
  }
  return urls
}

/** If no process listens on an address, only the caller can know that it tried to connect. */
function watchAttempts(): void {
  const connect = Socket.prototype.connect
  vi.spyOn(Socket.prototype, 'connect').mockImplementation(function (this: Socket, ...args: unknown[]) {
    const [target] = args as [{ port?: number } | undefined]
    if (typeof target?.port === 'number') attempts.push({ port: target.port, at: performance.now() })
    return Reflect.apply(connect, this, args)
  } as typeof connect)
}

const attemptsSince = (since: number, port = proxy.port) =>
  attempts.filter((attempt) => attempt.port === port && attempt.at >= since).map(({ at }) => at)

/** The largest number of attempts within one second. */
const busiestSecond = (times: readonly number[]) =>
  Math.max(0, ...times.map((from) => times.filter((at) => at >= from && at < from + 1_000).length))

const read = async ({ token }: TestTenant, from: TestGateway = gateway) => {
  const { status, body } = await from.call('GET', PLACES, { token })
  return status === 200 ? '200' : `${status} ${body.code}`
}

/** Several callers per tenant send requests for this long, as fast as they are answered. Returns the kinds of answers. */
async function press(pressed: readonly TestTenant[], forMs: number, callers = 2): Promise<string[]> {
  const until = performance.now() + forMs
  const seen = new Set<string>()
  const caller = async (tenant: TestTenant) => {
    while (performance.now() < until) {
      seen.add(await read(tenant))
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  await Promise.all(pressed.flatMap((tenant) => Array.from({ length: callers }, () => caller(tenant))))
  return [...seen].toSorted()
}

/** How many wrong passwords were sent, according to the server's log. */
async function countFailedLogins(user: string): Promise<number> {
  const [row] = await query<{ log: string }>(server.superuserUrl, "SELECT pg_read_file('log/own.log') AS log")
  return row?.log.split(`FATAL:  password authentication failed for user "${user}"`).slice(1).length ?? 0
}

const brokenServers = async (of: TestGateway) =>
  /^freehold_breakers_open\{kind="server"\} (\d+)$/m.exec((await of.call('GET', '/metrics')).text)?.[1]

describe.each([
  { mode: 'refuse', outageMs: 2_500 },
  { mode: 'black-hole', outageMs: CONNECT_TIMEOUT_SECONDS * 1_000 + 1_500 },
] as const)(`a server of ${DATABASES} databases that is dead ($mode)`, ({ mode, outageMs }) => {
  let bystander: Bystander
  let died: number
  let seen: string[]

  beforeAll(async () => {
    await Promise.all(tenants.map((tenant) => expect(read(tenant)).resolves.toBe('200')))
    bystander = new Bystander(gateway, neighbour)
    await proxy.setMode(mode)
    proxy.resetConnections()
    died = performance.now()
    seen = await press(tenants, outageMs)
  })

  test('is tried twice a second at most, even while its pools come and go', () => {
    const times = attemptsSince(died + 1_000)
    expect(times.length, 'it is tried again at all').toBeGreaterThan(0)
    expect(busiestSecond(times)).toBeLessThanOrEqual(2)
  })

  test('has one breaker, and its tenants are told when to retry', async () => {
    expect(seen.filter((answer) => answer !== '200' && !UNAVAILABLE.includes(answer))).toEqual([])
    expect(seen).toContain('503 TENANT_DATABASE_UNAVAILABLE')
    expect(await brokenServers(gateway)).toBe('1')
    expect(gateway.log()).toContain('database server unreachable')
  })

  test('serves all its tenants again when it is back', async () => {
    await proxy.setMode('pass')
    for (const tenant of tenants) await expect.poll(() => read(tenant)).toBe('200')
    expect(await brokenServers(gateway)).toBe('0')
    expect(gateway.log()).toContain('database server reachable again')
  })

  test('never disturbed another server’s tenant', async () => {
    await bystander.expectUndisturbed()
  })
})

test('a gateway that starts while the server is silent tries it twice a second at most, for all requests together', async () => {
  await proxy.setMode('black-hole')
  const cold = await startGateway(stage, { ...SETTINGS, ACQUIRE_TIMEOUT_MS: '2000' })
  const since = performance.now()
  const crowd = tenants.flatMap((tenant) => Array.from({ length: 5 }, () => read(tenant, cold)))
  expect([...new Set(await Promise.all(crowd))].filter((answer) => !UNAVAILABLE.includes(answer))).toEqual([])
  expect(attemptsSince(since).length).toBeGreaterThan(0)
  expect(busiestSecond(attemptsSince(since))).toBeLessThanOrEqual(2)
  await proxy.setMode('pass')
  await cold.close()
})

test('a password that was changed only in PostgreSQL is tried three times; a PUT of the new one repairs it at once', async () => {
  const owner = await createOwnerOn(server)
  const { url, database } = await owner.createDatabase()
  const { username } = new URL(url)
  const tenant = await gateway.createTenant()
  await register({ caller: gateway, tenantId: tenant.id, url })
  await makePlace(gateway, tenant, 'Locked')
  const load = press([tenant], 5_000, 10)
  await query(server.superuserUrl, `ALTER ROLE "${username}" PASSWORD 'changed'`)
  const kill = 'SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity WHERE datname = $1'
  await query(server.superuserUrl, kill, [database])
  expect(await load).toContain('503 TENANT_DATABASE_UNAVAILABLE')
  expect(await countFailedLogins(username)).toBe(3)
  const renewed = Object.assign(new URL(url), { password: 'changed' })
  await register({ caller: gateway, tenantId: tenant.id, url: renewed.href })
  await expect.poll(() => read(tenant)).toBe('200')
  expect(await countFailedLogins(username)).toBe(3)
})
