import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDatabase, createRole, dropAll, query, superuserUrl, urlFor } from '../support/database.ts'
import {
  type Call,
  createStage,
  environmentOf,
  type Stage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'
import { GatewayProcess } from '../support/gateway-process.ts'
import { findPoolers, Pooler, type PoolerBinary, type PoolerOptions } from '../support/pgbouncer.ts'
import { Wiretap } from '../support/wiretap.ts'
import { register } from './support.ts'

const API = '/api/v1'
const NO_ROUNDS = '0 0 0 1 1 *'
const REFUSED = 78
const binaries = findPoolers()
const keeping = binaries.find(({ keepsStatements }) => keepsStatements)
const forgetful = binaries.find(({ keepsStatements }) => !keepsStatements)
const any = keeping ?? forgetful

interface Setup extends Omit<PoolerOptions, 'urls'> {
  readonly name: string
  readonly binary: PoolerBinary | undefined
}

/** Without such a binary the test is skipped under this name, and counted. */
const SETUPS: readonly Setup[] = [
  { name: 'PgBouncer before 1.21 in session mode', binary: forgetful, mode: 'session', poolSize: 20 },
  { name: 'PgBouncer from 1.21 on in session mode', binary: keeping, mode: 'session', poolSize: 20 },
  { name: 'PgBouncer before 1.21 in transaction mode', binary: forgetful, mode: 'transaction', poolSize: 2 },
  {
    name: 'PgBouncer from 1.21 on in transaction mode',
    ...{ binary: keeping, mode: 'transaction', poolSize: 2, settings: { max_prepared_statements: 200 } },
  },
]
/** Settings that a role may have. Freehold must not rely on any of them. */
const STRANGE = [
  'extra_float_digits = -10',
  'quote_all_identifiers = on',
  'row_security = off',
  "TimeZone = 'Asia/Tokyo'",
  "DateStyle = 'SQL, DMY'",
  "bytea_output = 'escape'",
  "search_path = 'nowhere'",
]

const poolers: Pooler[] = []
const processes: GatewayProcess[] = []
afterAll(async () => {
  await Promise.all(processes.map((process) => process.end('SIGKILL')))
  await Promise.all(poolers.map((pooler) => pooler.stop()))
  await dropAll()
})

async function startPooler(binary: PoolerBinary, options: PoolerOptions): Promise<Pooler> {
  const pooler = await Pooler.start(binary, options)
  poolers.push(pooler)
  return pooler
}

/** An empty database of a role with unusual settings. */
async function strangeUrl(settings: readonly string[] = STRANGE): Promise<string> {
  const role = await createRole()
  await makeStrange(role.name, settings)
  return urlFor({ role, database: await createDatabase({ owner: role.name }) })
}

async function makeStrange(role: string, settings: readonly string[] = STRANGE): Promise<void> {
  for (const setting of settings) await query(superuserUrl(), `ALTER ROLE "${role}" SET ${setting}`)
}

interface World {
  readonly gateways: readonly [TestGateway, TestGateway]
  readonly tenants: Readonly<Record<'shared' | 'own' | 'neighbour', TestTenant>>
  /** Without the pooler. */
  readonly urls: Readonly<Record<'shared' | 'own', string>>
  readonly tap: Wiretap
}

const open: { close(): unknown }[] = []
afterAll(() => Promise.all(open.map((each) => each.close())))

/** Two gateways. Their shared database and one tenant's database are behind a pooler with two sessions for each. */
async function openWorld({ binary, name: _, ...options }: Setup): Promise<World> {
  const stage = await createStage()
  const own = await strangeUrl()
  await makeStrange(new URL(stage.sharedUrl).username)
  const pooler = await startPooler(binary as PoolerBinary, { ...options, urls: [own, stage.sharedUrl] })
  const tap = await Wiretap.start(pooler.through(own))
  const pooled = { ...stage, sharedUrl: pooler.through(stage.sharedUrl) }
  const settings = { HEALTH_CHECK_CRON: NO_ROUNDS, ACQUIRE_TIMEOUT_MS: '20000' }
  const [one, other] = [await startGateway(pooled, settings), await startGateway(pooled, settings)]
  open.push(one, other, tap)
  const tenants = {
    ...{ shared: await one.createTenant(), own: await one.createTenant() },
    neighbour: await one.createTenant(),
  }
  await register({ caller: one, tenantId: tenants.own.id, url: tap.url })
  return { gateways: [one, other], tenants, urls: { shared: stage.sharedUrl, own }, tap }
}

describe.each(SETUPS)('behind $name', (setup) => {
  const isThere = setup.binary !== undefined
  let world: World
  beforeAll(async () => {
    if (isThere) world = await openWorld(setup)
  }, 120_000)

  describe.each(['shared', 'own'] as const)('the %s database', (home) => {
    const call = (gateway: 0 | 1, method: string, path: string, more: Call = {}) =>
      world.gateways[gateway].call(method, `${API}${path}`, { token: world.tenants[home].token, ...more })

    test.skipIf(!isThere)('stores rows and returns them unchanged', async () => {
      const place = { name: randomUUID(), latitude: 52.123456789, longitude: 13.5 }
      const made = await call(0, 'POST', '/places', { body: place })
      expect(made.status, made.text).toBe(201)
      expect(made.body).toMatchObject(place)
      expect(Math.abs(Date.parse(made.body.createdAt as string) - Date.now())).toBeLessThan(60_000)
      const path = `/places/${made.body.id}`
      expect((await call(1, 'GET', path)).body).toEqual(made.body)
      expect((await call(1, 'GET', `/places?name=${place.name}`)).body.data).toEqual([made.body])
      const headers = { 'if-match': String(made.headers.get('etag')) }
      const changed = await call(1, 'PATCH', path, { body: { kind: 'land' }, headers })
      expect([changed.status, changed.body.kind]).toEqual([200, 'land'])
      expect((await call(0, 'DELETE', path)).status).toBe(204)
      expect((await call(1, 'GET', path)).status).toBe(404)
    })

    test.skipIf(!isThere)('runs SQL of an application for its tenant only', async () => {
      const { gateway } = world.gateways[0]
      const { id, code } = world.tenants[home]
      const route = await gateway.routeOf(code)
      if (route === null) throw new Error('no such tenant')
      const session = gateway.sessionOf(route, { ownSql: true })
      const name = randomUUID()
      await session.transaction(async (db) => {
        await db.execute(
          sql`INSERT INTO places (tenant_id, id, name) VALUES (${id}, ${randomUUID()}, ${name})`,
        )
        await db.execute(sql`SELECT set_config('app.tenant_id', ${world.tenants.neighbour.id}, true)`)
        expect((await db.execute(sql`SELECT FROM places`)).rows).toEqual([])
      })
      const found = await session.db.execute(sql`SELECT name FROM places WHERE name = ${name}`)
      expect(found.rows).toEqual([{ name }])
      expect((await call(0, 'GET', `/places?name=${name}`)).body.data).toHaveLength(1)
    })

    test.skipIf(!isThere)('does a POST with a key once, in one transaction', async () => {
      const headers = { 'idempotency-key': randomUUID() }
      const place = { name: randomUUID() }
      const first = await call(0, 'POST', '/places', { body: place, headers })
      const second = await call(1, 'POST', '/places', { body: place, headers })
      expect([second.status, second.body]).toEqual([201, first.body])
      expect((await call(0, 'GET', `/places?name=${place.name}`)).body.data).toHaveLength(1)
    })

    test.skipIf(!isThere)('keeps a ledger that never goes below zero under concurrent requests', async () => {
      const buy = (amount: number) =>
        call(amount % 2 === 0 ? 0 : 1, 'POST', '/credits', {
          body: { amount, paymentReference: randomUUID() },
        })
      expect((await Promise.all([buy(1), buy(2), buy(3)])).map(({ status }) => status)).toEqual([
        201, 201, 201,
      ])
      expect((await call(1, 'GET', '/credits/balance')).body).toEqual({ balance: 6 })
    })

    test.skipIf(!isThere)('keeps a file of several chunks', async () => {
      const content = randomBytes(700_000)
      const form = new FormData()
      form.append('file', new Blob([content]), 'plan.bin')
      const [one, other] = world.gateways
      const headers = { authorization: `Bearer ${world.tenants[home].token}` }
      const sent = await fetch(`${one.url}${API}/media`, { method: 'POST', headers, body: form })
      expect(sent.status).toBe(201)
      const { id } = (await sent.json()) as { id: string }
      const got = await fetch(`${other.url}${API}/media/${id}/content`, { headers })
      const hash = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
      expect(hash(Buffer.from(await got.arrayBuffer()))).toBe(hash(content))
    })
  })

  test.skipIf(!isThere)('two gateways that share sessions never show one tenant another’s rows', async () => {
    const { gateways, tenants } = world
    const all = [tenants.shared, tenants.neighbour, tenants.own]
    for (const { code, token } of all) {
      const body = { kind: 'person', name: `of ${code}` }
      expect((await gateways[0].call('POST', `${API}/owners`, { token, body })).status).toBe(201)
    }
    const answers = await Promise.all(
      Array.from({ length: 240 }, async (_, i) => {
        const { code, token } = all[i % 3] as TestTenant
        const { status, body } = await (gateways[i % 2] as TestGateway).call('GET', `${API}/owners`, {
          token,
        })
        return { status, isOwn: body.data?.length === 1 && body.data[0].name === `of ${code}` }
      }),
    )
    expect(answers.filter(({ status, isOwn }) => status !== 200 || !isOwn)).toEqual([])
  })

  test.skipIf(!isThere)('leaves no settings and no locks in the sessions', async () => {
    for (const url of Object.values(world.urls)) {
      const locks = `SELECT count(*)::int AS n FROM pg_locks WHERE locktype = 'advisory'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`
      await expect.poll(() => query(superuserUrl(new URL(url).pathname.slice(1)), locks)).toEqual([{ n: 0 }])
    }
    if (setup.mode !== 'transaction') return
    const pooled = new URL(world.tap.url)
    for (let n = 0; n < 4; n += 1) {
      const [row] = await query(pooled.href, 'SHOW search_path')
      expect(row).toEqual({ search_path: 'nowhere' })
    }
  })

  test.skipIf(!isThere)('a warm read is one round trip', async () => {
    const { gateways, tenants, tap } = world
    const { token } = tenants.own
    const read = () => gateways[0].call('GET', `${API}/places`, { token })
    for (let n = 0; n < 10; n += 1) await read()
    const before = tap.roundTrips
    for (let n = 0; n < 10; n += 1) expect((await read()).status).toBe(200)
    expect(tap.roundTrips - before).toBe(10)
  })
})

/** The answer for a new tenant whose database is behind a pooler with these settings. */
async function verdictOn(options: Omit<PoolerOptions, 'urls'>, settings: readonly string[] = []) {
  const stage = await createStage()
  const gateway = await startGateway(stage, { HEALTH_CHECK_CRON: NO_ROUNDS })
  open.push(gateway)
  const url = await strangeUrl(settings)
  const pooler = await startPooler(any as PoolerBinary, { ...options, urls: [url] })
  const tenant = await gateway.createTenant()
  const { status, lastError } = await gateway.registerDatabase(tenant.id, pooler.through(url))
  return { status, code: lastError?.code, message: lastError?.message as string }
}

describe.skipIf(any === undefined)('a pooler that cannot be used is refused, with advice', () => {
  test('in statement mode', async () => {
    const { message, ...verdict } = await verdictOn({ mode: 'statement' })
    expect(verdict).toEqual({ status: 'failed', code: 'POOLER_UNSUPPORTED' })
    expect(message).toContain('pool_mode = transaction')
  })

  test('with a single session', async () => {
    const { message, ...verdict } = await verdictOn({ mode: 'transaction', poolSize: 1 })
    expect(verdict).toEqual({ status: 'failed', code: 'POOLER_UNSUPPORTED' })
    expect(message).toContain('default_pool_size = 2')
  })

  test('for a role whose transactions are at another level', async () => {
    const level = "default_transaction_isolation = 'serializable'"
    const { message, ...verdict } = await verdictOn({ mode: 'transaction' }, [level])
    expect(verdict).toEqual({ status: 'failed', code: 'POOLER_UNSUPPORTED' })
    expect(message).toContain('default_transaction_isolation')
  })
})

describe.skipIf(any === undefined)('the catalog', () => {
  async function startBehind(mode: 'session' | 'transaction') {
    const stage: Stage = await createStage()
    const pooler = await startPooler(any as PoolerBinary, { mode, urls: [stage.catalogUrl], poolSize: 30 })
    const process = new GatewayProcess({
      env: environmentOf({ ...stage, catalogUrl: pooler.through(stage.catalogUrl) }),
    })
    processes.push(process)
    return { process, stage }
  }

  test('behind a pooler in transaction mode ends the start, with advice', async () => {
    const { process } = await startBehind('transaction')
    expect(await process.ended).toBe(REFUSED)
    expect(process.stderr).toMatch(/^CATALOG_DATABASE_URL: .*pool_mode = session.*\(POOLER_UNSUPPORTED\)$/m)
  })

  test('behind a pooler in session mode serves, and notifications of changes arrive', async () => {
    const { process } = await startBehind('session')
    await process.until(/"msg":"ready"/)
    expect(process.stdout).not.toContain('not ready yet')
    expect(await process.end()).toBe(0)
  })
})

test('settings of a role change nothing without a pooler either', async () => {
  const stage = await createStage()
  const gateway = await startGateway(stage)
  open.push(gateway)
  const tenant = await gateway.createTenant()
  await register({ caller: gateway, tenantId: tenant.id, url: await strangeUrl() })
  const place = { name: 'Hall', latitude: 52.123456789, longitude: 13.5 }
  const made = await gateway.call('POST', `${API}/places`, { token: tenant.token, body: place })
  expect([made.status, made.body.latitude]).toEqual([201, place.latitude])
})

test.skipIf(any === undefined)(
  'a database that replaces the validated one behind a pooler is not used',
  async () => {
    const gateway = await startGateway(await createStage(), { HEALTH_CHECK_CRON: NO_ROUNDS })
    open.push(gateway)
    const url = await strangeUrl([])
    const name = new URL(url).pathname.slice(1)
    const pooler = await startPooler(any as PoolerBinary, { mode: 'transaction', urls: [url] })
    const tenant = await gateway.createTenant()
    await register({ caller: gateway, tenantId: tenant.id, url: pooler.through(url) })
    const list = () => gateway.call('GET', `${API}/places`, { token: tenant.token })
    expect((await list()).status).toBe(200)
    // The gateway keeps its connections to the pooler. The pooler opens new ones to the database that has this name now.
    const copy = await createDatabase()
    await query(superuserUrl(), `ALTER DATABASE "${name}" ALLOW_CONNECTIONS false`)
    await query(
      superuserUrl(),
      `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '${name}'`,
    )
    await query(superuserUrl(), `DROP DATABASE "${copy}"`)
    await query(superuserUrl(), `CREATE DATABASE "${copy}" TEMPLATE "${name}"`)
    await query(superuserUrl(), `ALTER DATABASE "${name}" RENAME TO "${copy}-was"`)
    await query(superuserUrl(), `ALTER DATABASE "${copy}" RENAME TO "${name}"`)
    await expect.poll(async () => (await list()).status).toBe(503)
    for (let n = 0; n < 5; n += 1) expect((await list()).status).toBe(503)
    await query(superuserUrl(), `DROP DATABASE "${copy}-was" WITH (FORCE)`)
  },
)
