import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDatabase, createRole, dropAll, query, superuserUrl, urlFor } from '../support/database.ts'
import { type Caller, createStage, type TestTenant } from '../support/gateway.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import { makePlace, PLACES, register, startProcess } from './support.ts'

const MAX_CONNECTIONS = 12
const WORKERS = 12
const KILLINGS = 15
const PAUSE_MS = 150
const HARMLESS = ['TENANT_DATABASE_UNAVAILABLE', 'NO_CONNECTION_AVAILABLE']
/** The backend was killed before the answer, perhaps after the commit. */
const OF_WRITES = [...HARMLESS, 'OUTCOME_UNKNOWN']

let process: GatewayProcess
let caller: Caller
let admin: Client
/** By placement: the tenant, the name of its database, and the outcomes of its requests. */
const homes = new Map<string, { tenant: TestTenant; database: string }>()
const load = new Map<string, Load>()
let killed = 0
const sessions: number[] = []

beforeAll(async () => {
  const stage = await createStage()
  const settings = {
    MAX_CONNECTIONS: String(MAX_CONNECTIONS),
    // No health rounds: every session that is counted or killed here serves a request.
    HEALTH_CHECK_CRON: '0 0 1 1 *',
  }
  ;({ process, caller } = await startProcess(stage, settings))
  admin = new Client({ connectionString: superuserUrl() })
  await admin.connect()
  homes.set('shared', {
    tenant: await caller.createTenant(),
    database: new URL(stage.sharedUrl).pathname.slice(1),
  })
  homes.set('dedicated', await ownHome())
  await killUnderLoad()
})
afterAll(async () => {
  await process?.end('SIGKILL')
  await admin?.end()
  await dropAll()
})

async function ownHome() {
  const [tenant, role] = [await caller.createTenant(), await createRole()]
  const database = await createDatabase({ owner: role.name })
  await register({ caller, tenantId: tenant.id, url: urlFor({ role, database }) })
  return { tenant, database }
}

const databases = () => [...homes.values()].map(({ database }) => database)

async function countSessions(): Promise<number> {
  const { rows } = await admin.query(
    'SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = ANY($1)',
    [databases()],
  )
  return rows[0].n
}

/** Sends many concurrent reads and writes of one tenant until it is stopped. */
class Load {
  readonly acknowledged: string[] = []
  readonly failures: { status: number; code: string; isWrite: boolean }[] = []
  readonly #done: Promise<unknown>
  requests = 0
  #stopping = false

  constructor(token: string, place: string) {
    const workers = Array.from({ length: WORKERS }, (_, worker) =>
      worker % 2 === 0 ? this.#write(token, worker) : this.#read(token, place),
    )
    this.#done = Promise.all(workers)
  }

  stop(): Promise<unknown> {
    this.#stopping = true
    return this.#done
  }

  async #write(token: string, worker: number): Promise<void> {
    for (let n = 0; !this.#stopping; n += 1) {
      const name = `${worker}-${n}`
      const { status, body } = await caller.call('POST', PLACES, { token, body: { name } })
      if (status === 201) this.acknowledged.push(name)
      this.#note(status, 201, body.code)
    }
  }

  async #read(token: string, place: string): Promise<void> {
    for (let n = 0; !this.#stopping; n += 1) {
      const path = n % 2 === 0 ? `${PLACES}?limit=5` : `${PLACES}/${place}`
      const { status, body } = await caller.call('GET', path, { token })
      this.#note(status, 200, body.code)
    }
  }

  #note(status: number, expected: 200 | 201, code: string): void {
    this.requests += 1
    if (status !== expected) this.failures.push({ status, code, isWrite: expected === 201 })
  }
}

async function killUnderLoad(): Promise<void> {
  for (const [home, { tenant }] of homes) {
    load.set(home, new Load(tenant.token, await makePlace(caller, tenant, 'Read again and again')))
  }
  for (let n = 0; n < KILLINGS; n += 1) {
    for (const until = performance.now() + PAUSE_MS; performance.now() < until; await sleep(5)) {
      sessions.push(await countSessions())
    }
    const { rowCount } = await admin.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ANY($1)',
      [databases()],
    )
    killed += rowCount ?? 0
  }
  await Promise.all([...load.values()].map((each) => each.stop()))
}

describe('while every serving backend is killed, again and again, under load', () => {
  test('the process survives, and backends were killed and requests were answered', () => {
    expect(process.child.exitCode).toBeNull()
    expect(killed).toBeGreaterThan(KILLINGS)
    for (const { requests } of load.values()) expect(requests).toBeGreaterThan(KILLINGS * 3)
  })

  test('each failed request says why, and each failed write says that it may have been made', () => {
    const failures = [...load.values()].flatMap((each) => each.failures)
    const others = failures.filter(
      ({ status, code, isWrite }) => status !== 503 || !(isWrite ? OF_WRITES : HARMLESS).includes(code),
    )
    expect(others).toEqual([])
    expect(failures.filter(({ code }) => code === 'OUTCOME_UNKNOWN')).not.toEqual([])
  })

  test('some requests fail, but no more than the backends that were killed', () => {
    const failures = [...load.values()].flatMap((each) => each.failures)
    expect(failures.length).toBeGreaterThan(0)
    expect(failures.length).toBeLessThanOrEqual(killed)
  })

  test('the server never sees more sessions than the gateway may hold', () => {
    expect(Math.max(...sessions)).toBeLessThanOrEqual(MAX_CONNECTIONS)
    expect(Math.max(...sessions)).toBeGreaterThan(MAX_CONNECTIONS / 2)
  })

  test.each(['shared', 'dedicated'])(
    '%s: every acknowledged row exists, and no row exists twice',
    async (home) => {
      const { tenant, database } = homes.get(home) ?? { tenant: { id: '' }, database: '' }
      const rows = await query<{ name: string; n: number }>(
        superuserUrl(database),
        'SELECT name, count(*)::int AS n FROM places WHERE tenant_id = $1 GROUP BY name',
        [tenant.id],
      )
      const found = new Set(rows.map(({ name }) => name))
      const acknowledged = load.get(home)?.acknowledged ?? []
      expect(acknowledged.length).toBeGreaterThan(20)
      expect(acknowledged.filter((name) => !found.has(name))).toEqual([])
      expect(rows.filter(({ n }) => n > 1)).toEqual([])
    },
  )
})

describe('afterwards', () => {
  test('every tenant is served at once', async () => {
    for (const { tenant } of homes.values()) {
      const { token } = tenant
      const reads = Array.from({ length: 3 * MAX_CONNECTIONS }, () => caller.call('GET', PLACES, { token }))
      expect((await Promise.all(reads)).filter(({ status }) => status !== 200)).toEqual([])
    }
  })

  test('the gateway counts the connections that exist, and no request waits', async () => {
    const counted = async () => {
      const { text } = await caller.call('GET', '/metrics')
      const gauge = (name: string) => Number(new RegExp(`^freehold_${name} (\\d+)$`, 'm').exec(text)?.[1])
      return {
        missing: (await countSessions()) - gauge('connections_open'),
        waiters: gauge('connection_waiters'),
      }
    }
    await expect.poll(counted).toEqual({ missing: 0, waiters: 0 })
  })
})
