import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { dropAll, query, superuserUrl } from '../support/database.ts'
import { Caller, createStage, environmentOf, type Stage, type TestTenant } from '../support/gateway.ts'
import { GatewayProcess } from '../support/gateway-process.ts'
import { createTenantDatabase } from '../support/tenant-database.ts'

/** Processes start and end in each test, and the machine may be busy. */
const TIME_LIMIT = { timeout: 60_000 }
const FROZEN = { timeout: 60_000, interval: 20 }

let stage: Stage
const running: GatewayProcess[] = []

beforeAll(async () => {
  stage = await createStage()
})
afterAll(async () => {
  for (const { child } of running) child.kill('SIGKILL')
  await Promise.all(running.map(({ ended }) => ended))
  await dropAll()
})

interface Running {
  readonly process: GatewayProcess
  readonly caller: Caller
}

async function launch(): Promise<Running> {
  const process = new GatewayProcess({ env: environmentOf(stage, { ACQUIRE_TIMEOUT_MS: '2000' }) })
  running.push(process)
  return { process, caller: new Caller(await process.url(), stage.operatorToken) }
}

let last: Running | null = null

/** The running gateway, or a new one. The gateway that took over from a killed one is the next to be killed. */
async function theGateway(): Promise<Running> {
  const lives =
    last !== null && last.process.child.exitCode === null && last.process.child.signalCode === null
  if (last === null || !lives) last = await launch()
  return last
}

const databaseOf = (url: string) => new URL(url).pathname.slice(1)
const catalog = () => superuserUrl(databaseOf(stage.catalogUrl))
const shared = () => superuserUrl(databaseOf(stage.sharedUrl))

/** A lock of the test in some database that blocks exactly one statement of a gateway. */
class Obstacle {
  readonly #client: Client

  private constructor(client: Client) {
    this.#client = client
  }

  static async put(url: string, sql: string): Promise<Obstacle> {
    const client = new Client({ connectionString: url })
    client.on('error', () => {})
    await client.connect()
    const obstacle = new Obstacle(client)
    onTestFinished(() => obstacle.lift())
    await client.query('BEGIN')
    await client.query(sql)
    return obstacle
  }

  /** Waits until the lock blocks a statement, and returns the pid of its backend. */
  async reached(): Promise<number> {
    const pid = Reflect.get(this.#client, 'processID')
    const held = 'SELECT pid FROM pg_stat_activity WHERE $1::int = ANY (pg_blocking_pids(pid))'
    const stopped = () => query<{ pid: number }>(superuserUrl(), held, [pid])
    await expect.poll(stopped, FROZEN).not.toEqual([])
    return (await stopped())[0]?.pid ?? 0
  }

  async lift(): Promise<void> {
    await this.#client.end()
  }
}

interface Person {
  readonly tenant: TestTenant
  readonly refreshToken: string
}

/** A tenant whose administrator is signed in. The administrator's tokens must stay valid in every case. */
async function createPerson(caller: Caller): Promise<Person> {
  const tenant = await caller.createTenant()
  const { email, password } = tenant.admin
  const { body } = await caller.call('POST', '/api/v1/auth/login', {
    body: { tenantCode: tenant.code, email, password },
  })
  return { tenant, refreshToken: body.refreshToken }
}

async function register(caller: Caller, { id }: TestTenant, connectionString: string): Promise<void> {
  const { status, text } = await caller.operator('PUT', `/tenants/${id}/database`, { connectionString })
  expect(status, text).toBe(202)
}

const claimOf = `SELECT placement, j.status
  FROM tenants t JOIN jobs j ON j.tenant_id = t.id AND j.kind = 'validation' WHERE t.id = $1`

/** Replaces waiting: leases that would lapse within a minute lapse now. */
async function lapseClaims(): Promise<void> {
  await query(
    catalog(),
    "UPDATE jobs SET leased_until = now() - interval '1 second' WHERE status = 'running'",
  )
}

async function homeOf(url: string, { id }: TestTenant) {
  const [row] = await query(
    url,
    `SELECT (SELECT json_agg(json_build_array(epoch, state)) FROM residence WHERE tenant_id = '${id}') AS residence,
            (SELECT count(*)::int FROM users WHERE tenant_id = '${id}') AS people,
            (SELECT count(*)::int FROM sessions WHERE tenant_id = '${id}') AS sessions`,
  )
  return row
}

/** The validation is over, and the remains of the move are gone. */
async function expectSettled(caller: Caller, tenant: TestTenant): Promise<void> {
  const state = async () => (await caller.operator('GET', `/tenants/${tenant.id}/database`)).body
  const expected = { status: 'active', placement: 'dedicated', moveRequired: false, lastError: null }
  await expect.poll(state).toMatchObject({ ...expected, candidate: null })
  await expect.poll(async () => (await homeOf(shared(), tenant))?.residence).toBeNull()
}

/** The tenant is served, its users are all there, and it lives in one database only, at the epoch of the catalog. */
async function expectAtHome(caller: Caller, { tenant, refreshToken }: Person, home: string, other: string) {
  const refreshed = await caller.call('POST', '/api/v1/auth/refresh', { body: { refreshToken } })
  expect(refreshed.status, refreshed.text).toBe(200)
  const token = await caller.login(tenant.code, tenant.admin)
  for (const each of [tenant.token, refreshed.body.accessToken as string, token]) {
    const made = await caller.call('POST', '/api/v1/places', { token: each, body: { name: 'Here' } })
    expect(made.status, made.text).toBe(201)
  }
  const listed = await caller.call('GET', '/api/v1/places', { token })
  expect(listed.body.data).toHaveLength(3)
  const [row] = await query<{ epoch: number }>(
    catalog(),
    `SELECT epoch::int FROM tenants WHERE id = '${tenant.id}'`,
  )
  expect(await homeOf(home, tenant)).toMatchObject({ residence: [[row?.epoch, 'open']], people: 1 })
  expect(await homeOf(other, tenant)).toEqual({ residence: null, people: 0, sessions: 0 })
}

interface Moment {
  /** Blocks the next step of the gateway after the previous lock was released. */
  readonly obstacles: readonly ((tenant: TestTenant, own: string) => Promise<Obstacle>)[]
  /** The expected state of the catalog and the shared database at that moment. */
  readonly placement: string
  readonly door: string
}

/** A validation first reads the stamp. The first statement after the fence writes the roles. */
const atTheStamp: Moment['obstacles'][number] = (_tenant, own) =>
  Obstacle.put(own, 'LOCK TABLE residence IN ACCESS EXCLUSIVE MODE')
const atTheCopy: Moment['obstacles'][number] = (_tenant, own) =>
  Obstacle.put(own, 'LOCK TABLE roles IN SHARE MODE')

const atTheSharedCopy = () => Obstacle.put(shared(), 'LOCK TABLE roles IN SHARE MODE')
const atTheCatalog: Moment['obstacles'][number] = ({ id }) =>
  Obstacle.put(catalog(), `SELECT FROM tenants WHERE id = '${id}' FOR UPDATE`)

const MOMENTS: Record<string, Moment> = {
  'before it knows whose database it is': { obstacles: [atTheStamp], placement: 'shared', door: 'open' },
  'with the old home fenced and nothing copied': {
    obstacles: [atTheCopy],
    placement: 'shared',
    door: 'fenced',
  },
  'with everything copied and the catalog not told': {
    obstacles: [atTheCopy, atTheCatalog],
    placement: 'shared',
    door: 'fenced',
  },
  'with the catalog told and the old home not cleared': {
    obstacles: [
      atTheCopy,
      ({ id }) => Obstacle.put(shared(), `SELECT FROM residence WHERE tenant_id = '${id}' FOR UPDATE`),
    ],
    placement: 'dedicated',
    door: 'fenced',
  },
}

/** Lets `begin` run until the last lock blocks it. */
async function freeze(obstacles: readonly (() => Promise<Obstacle>)[], begin: () => Promise<unknown>) {
  let before: Obstacle | null = null
  for (const put of obstacles) {
    const obstacle = await put()
    await (before === null ? begin() : before.lift())
    await obstacle.reached()
    before = obstacle
  }
  if (before === null) throw new Error('nothing to stand before')
  return before
}

describe('a gateway killed while it validates', TIME_LIMIT, () => {
  test.each(Object.entries(MOMENTS))(
    '%s loses nothing: another gateway takes over',
    async (_when, moment) => {
      const victim = await theGateway()
      const person = await createPerson(victim.caller)
      const { tenant } = person
      const { url, database } = await createTenantDatabase()
      const own = superuserUrl(database)
      const obstacles = moment.obstacles.map((put) => () => put(tenant, own))
      const obstacle = await freeze(obstacles, () => register(victim.caller, tenant, url))
      expect(await victim.process.end('SIGKILL')).toBe('SIGKILL')
      await obstacle.lift()

      expect(await query(catalog(), claimOf, [tenant.id])).toEqual([
        { placement: moment.placement, status: 'running' },
      ])
      expect(await homeOf(shared(), tenant)).toMatchObject({ residence: [[1, moment.door]], people: 1 })

      const { caller } = await theGateway()
      await lapseClaims()
      await expectSettled(caller, tenant)
      await expectAtHome(caller, person, own, shared())
    },
  )
})

describe('a gateway killed while it brings a tenant back to the shared database', TIME_LIMIT, () => {
  /** A tenant in a dedicated database, and a gateway that was killed while it removed that database. */
  async function killWhileLeaving(...more: ((tenant: TestTenant, own: string) => Promise<Obstacle>)[]) {
    const victim = await theGateway()
    const person = await createPerson(victim.caller)
    const { tenant } = person
    const { url, database } = await createTenantDatabase()
    const own = superuserUrl(database)
    await register(victim.caller, tenant, url)
    await expectSettled(victim.caller, tenant)
    // After a move has read the catalog at its beginning, and before it reads it again at its end.
    const obstacles = [atTheSharedCopy, atTheCatalog, ...more].map((put) => () => put(tenant, own))
    const obstacle = await freeze(obstacles, async () => {
      void victim.caller.operator('DELETE', `/tenants/${tenant.id}/database`).catch(() => {})
    })
    await victim.process.end('SIGKILL')
    await obstacle.lift()
    const { caller } = await theGateway()
    return { person, tenant, url, own, caller }
  }

  test('before the catalog is told loses nothing: the first waiting request has the fence lifted', async () => {
    const { person, tenant, own, caller } = await killWhileLeaving()
    expect(await homeOf(own, tenant)).toMatchObject({ residence: [[2, 'fenced']], people: 1 })
    const status = async () => (await caller.call('GET', '/api/v1/places', { token: tenant.token })).status
    await expect.poll(status).toBe(200)
    expect((await caller.operator('GET', `/tenants/${tenant.id}`)).body.placement).toBe('dedicated')
    expect((await caller.operator('DELETE', `/tenants/${tenant.id}/database`)).status).toBe(204)
    await expectAtHome(caller, person, shared(), own)
  })

  test('before the old database is cleared loses nothing, and the same database can be registered again', async () => {
    const { person, tenant, url, own, caller } = await killWhileLeaving((_tenant, at) =>
      Obstacle.put(at, `SELECT FROM residence FOR UPDATE`),
    )
    expect((await caller.operator('GET', `/tenants/${tenant.id}`)).body.placement).toBe('shared')
    expect(await caller.login(tenant.code, tenant.admin)).toMatch(/^ey/)
    await register(caller, tenant, url)
    await expectSettled(caller, tenant)
    await expectAtHome(caller, person, own, shared())
  })
})

describe('a gateway that was only slow', TIME_LIMIT, () => {
  test('does not write after another gateway took over and finished', async () => {
    const slow = await theGateway()
    const person = await createPerson(slow.caller)
    const { tenant } = person
    const { url, database } = await createTenantDatabase()
    const own = superuserUrl(database)
    // The last check of the old tenant database. The next step clears the new one, so that a repetition begins again.
    const obstacle = await Obstacle.put(shared(), 'LOCK TABLE places IN ACCESS EXCLUSIVE MODE')
    await register(slow.caller, tenant, url)
    const backend = await obstacle.reached()
    slow.process.child.kill('SIGSTOP')
    await obstacle.lift()
    const other = await launch()
    await lapseClaims()
    const placement = async () => (await other.caller.operator('GET', `/tenants/${tenant.id}`)).body.placement
    // The other gateway must wait for the slow one. Without the wait it would have finished by then.
    await expect
      .poll(placement, { timeout: 2_000 })
      .toBe('dedicated')
      .catch(() => undefined)
    slow.process.child.kill('SIGCONT')
    const alive = () => query(superuserUrl(), 'SELECT FROM pg_stat_activity WHERE pid = $1', [backend])
    await expect.poll(alive).toEqual([])
    const decided = async () =>
      (await placement()) === 'dedicated' || other.process.stdout.includes('job interrupted')
    await expect.poll(decided).toBe(true)
    await lapseClaims()
    await expectSettled(other.caller, tenant)
    await expectAtHome(slow.caller, person, own, shared())
  })
})
