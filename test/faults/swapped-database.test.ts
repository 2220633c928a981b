import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { applyMigrations } from '../../src/migrations/apply.ts'
import { tenantMigrations } from '../support/application.ts'
import {
  createDatabase,
  createRole,
  dropAll,
  query,
  superuserUrl,
  type TestRole,
  terminateBackends,
  uniqueName,
  urlFor,
} from '../support/database.ts'
import {
  createStage,
  type Stage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'
import { moveIn, withClient } from '../support/tenant-database.ts'
import { Bystander, expectUnavailable, makePlace, PLACES, register } from './support.ts'

const SLOW = 60_000

/** A tenant, its database and its only row. */
interface Household {
  readonly tenant: TestTenant
  readonly database: string
  readonly url: string
  readonly place: string
}

let gateway: TestGateway
/** Owns all these databases, so that a wrong password cannot be what keeps them apart. */
let role: TestRole
let one: Household
let other: Household
/** A tenant elsewhere, which must notice nothing. */
let bystanding: TestTenant

beforeAll(async () => {
  // Two rounds instead of three: every test waits for them.
  gateway = await startGateway(await createStage(), { HEALTH_FAILURES_TO_INACTIVE: '2' })
  role = await createRole()
  one = await settle('One')
  other = await settle('Other')
  bystanding = (await settle('Elsewhere')).tenant
})
afterAll(async () => {
  await gateway?.close()
  await dropAll()
})

async function settle(name: string): Promise<Household> {
  const tenant = await gateway.createTenant()
  const database = await createDatabase({ owner: role.name })
  const url = urlFor({ role, database })
  await register({ caller: gateway, tenantId: tenant.id, url })
  return { tenant, database, url, place: await makePlace(gateway, tenant, name) }
}

/** A database can be renamed only while it has no session, and the gateway connects all the time. */
async function rename(from: string, to: string): Promise<void> {
  await query(superuserUrl(), `ALTER DATABASE "${from}" ALLOW_CONNECTIONS false`)
  await terminateBackends(from)
  await query(superuserUrl(), `ALTER DATABASE "${from}" RENAME TO "${to}"`)
  await query(superuserUrl(), `ALTER DATABASE "${to}" ALLOW_CONNECTIONS true`)
}

async function swap(a: string, b: string): Promise<void> {
  const aside = uniqueName()
  await rename(a, aside)
  await rename(b, a)
  await rename(aside, b)
}

/** Requests the tenant's rows, and one row by its id, again and again. */
class Reader {
  readonly said = new Set<string>()
  readonly #done: Promise<void>
  #stopping = false

  constructor({ token }: TestTenant, ids: readonly string[]) {
    this.#done = this.#read(token, [PLACES, ...ids.map((id) => `${PLACES}/${id}`)])
  }

  async stop(): Promise<string[]> {
    this.#stopping = true
    await this.#done
    return [...this.said]
  }

  async #read(token: string, paths: readonly string[]): Promise<void> {
    for (let n = 0; !this.#stopping; n += 1) {
      const { status, body } = await gateway.call('GET', paths[n % paths.length] ?? PLACES, { token })
      const names = (body.data ?? [body]).map(
        ({ name, code }: { name?: string; code?: string }) => name ?? code,
      )
      this.said.add(`${status} ${names}`)
    }
  }
}

/** Writes one place after the other, and stores the names of those that were acknowledged. */
class Writer {
  readonly #kept: string[] = []
  readonly #done: Promise<void>
  #stopping = false

  constructor({ token }: TestTenant) {
    this.#done = this.#write(token)
  }

  async stop(): Promise<string[]> {
    this.#stopping = true
    await this.#done
    return this.#kept
  }

  async #write(token: string): Promise<void> {
    for (let n = 0; !this.#stopping; n += 1) {
      const { status } = await gateway.call('POST', PLACES, { token, body: { name: `Written ${n}` } })
      if (status === 201) this.#kept.push(`Written ${n}`)
    }
  }
}

/** The number of rows in each table of a tenant database, so that every foreign write is seen. */
async function contentOf(database: string): Promise<unknown> {
  const [row] = await query(
    superuserUrl(database),
    `SELECT (SELECT count(*) FROM places) AS places, (SELECT count(*) FROM sessions) AS sessions,
            (SELECT count(*) FROM login_attempts) AS attempts, (SELECT count(*) FROM users) AS users,
            (SELECT json_agg(r) FROM residence r) AS residence`,
  )
  return row
}

/** A copy of `original` under another name, with a row by which it can be recognised. */
async function copyTo(original: string, name: string, tenantId: string): Promise<void> {
  await query(superuserUrl(), `CREATE DATABASE "${name}" OWNER "${role.name}" TEMPLATE "${original}"`)
  const mark = "INSERT INTO places (tenant_id, id, name) VALUES ($1, gen_random_uuid(), 'COPY')"
  await query(superuserUrl(name), mark, [tenantId])
}

const lookAt = async ({ tenant }: Household) => {
  const { body } = await gateway.operator('GET', `/tenants/${tenant.id}/database`)
  return { status: body.status, failures: body.consecutiveFailures, code: body.lastError?.code }
}

/** How often the log has reported a wrong database for a tenant (null: for the shared database). */
const alarms = (of: TestGateway, tenantId: string | null) =>
  of
    .log()
    .split('\n')
    .filter((line) => line.includes('"level":"error"') && line.includes('"IDENTITY_MISMATCH"'))
    .filter((line) => JSON.parse(line).tenantId === tenantId).length

const mismatches = async (of: TestGateway) => {
  const { text } = await of.call('GET', '/metrics')
  return Number(/^freehold_identity_mismatches_total (\d+)$/m.exec(text)?.[1])
}

async function expectRefused({ tenant: { token, code, admin } }: Household, id: string): Promise<void> {
  const body = { name: 'Astray' }
  const answers = [
    await gateway.call('GET', PLACES, { token }),
    await gateway.call('GET', `${PLACES}/${id}`, { token }),
    await gateway.call('POST', PLACES, { token, body }),
    await gateway.call('PATCH', `${PLACES}/${id}`, { token, body }),
    await gateway.call('DELETE', `${PLACES}/${id}`, { token }),
    await gateway.call('POST', '/api/v1/auth/login', { body: { tenantCode: code, ...admin } }),
  ]
  for (const answer of answers) expectUnavailable(answer, 'TENANT_DATABASE_UNAVAILABLE')
}

async function expectServed({ tenant: { token }, place }: Household, name: string): Promise<void> {
  const listed = async () => {
    const { status, body } = await gateway.call('GET', PLACES, { token })
    return { status, rows: body.data?.map((row: { id: string; name: string }) => [row.id, row.name]) }
  }
  await expect.poll(listed).toEqual({ status: 200, rows: [[place, name]] })
}

describe('two tenant databases that swapped their names', () => {
  test(
    'serve no request of either tenant, and serve both again when the names are right',
    async () => {
      const neighbour = new Bystander(gateway, bystanding)
      const readers = [one, other].map(({ tenant }) => new Reader(tenant, [one.place, other.place]))
      await swap(one.database, other.database)
      for (const { place } of [one, other]) {
        await expectRefused(one, place)
        await expectRefused(other, place)
      }
      await swap(one.database, other.database)
      await expectServed(one, 'One')
      await expectServed(other, 'Other')
      const [toOne, toOther] = await Promise.all(readers.map((reader) => reader.stop()))
      const passing = ['404 NOT_FOUND', '503 TENANT_DATABASE_UNAVAILABLE']
      expect(toOne?.sort()).toEqual(['200 One', ...passing])
      expect(toOther?.sort()).toEqual(['200 Other', ...passing])
      await neighbour.expectUndisturbed()
    },
    SLOW,
  )
})

describe('a copy that replaces the original', () => {
  test(
    'is neither read nor written and is logged once, and the tenant is served again when the original is back',
    async () => {
      const house = await settle('Kept')
      const neighbour = new Bystander(gateway, bystanding)
      const [reader, writer] = [new Reader(house.tenant, [house.place]), new Writer(house.tenant)]
      await expect.poll(() => reader.said.size).toBeGreaterThan(0)
      const aside = uniqueName()
      await rename(house.database, aside)
      await copyTo(aside, house.database, house.tenant.id)
      const before = await contentOf(house.database)
      await expectRefused(house, house.place)
      await expect.poll(() => lookAt(house)).toMatchObject({ code: 'IDENTITY_MISMATCH' })
      await expect.poll(async () => (await lookAt(house)).status).toBe('inactive')
      const { failures } = await lookAt(house)
      await expect.poll(async () => (await lookAt(house)).failures).toBeGreaterThan(failures)
      await expectRefused(house, house.place)
      expect(await contentOf(house.database)).toEqual(before)
      // One line of the pool and one of the health rounds. The metric counts how often they tried.
      expect(alarms(gateway, house.tenant.id)).toBeGreaterThan(0)
      expect(alarms(gateway, house.tenant.id)).toBeLessThanOrEqual(2)
      expect(await mismatches(gateway)).toBeGreaterThan(1)
      await query(superuserUrl(), `DROP DATABASE "${house.database}" WITH (FORCE)`)
      await rename(aside, house.database)
      await expect.poll(() => lookAt(house)).toMatchObject({ status: 'active' })
      const kept = await writer.stop()
      const said = await reader.stop()
      expect(said.filter((answer) => !/^(?:200 |503 TENANT_DATABASE_UNAVAILABLE$)/.test(answer))).toEqual([])
      expect(said.join()).not.toContain('COPY')
      const rows = await query(superuserUrl(house.database), 'SELECT name FROM places')
      const counts = new Map<unknown, number>()
      for (const { name } of rows) counts.set(name, (counts.get(name) ?? 0) + 1)
      expect(kept.filter((name) => counts.get(name) !== 1)).toEqual([])
      await neighbour.expectUndisturbed()
    },
    SLOW,
  )

  test(
    'becomes the tenant database once an operator validates it',
    async () => {
      const house = await settle('Kept')
      const [backup, neighbour] = [uniqueName(), new Bystander(gateway, bystanding)]
      await rename(house.database, backup)
      await copyTo(backup, house.database, house.tenant.id)
      await expectRefused(house, house.place)
      const asked = await gateway.operator('POST', `/tenants/${house.tenant.id}/database/validate`)
      expect(asked.status).toBe(202)
      const { token } = house.tenant
      const names = async () => {
        const { body } = await gateway.call('GET', PLACES, { token })
        return body.data?.map(({ name }: { name: string }) => name).toSorted()
      }
      await expect.poll(names).toEqual(['COPY', 'Kept'])
      await expect.poll(() => lookAt(house)).toEqual({ status: 'active', failures: 0, code: undefined })
      // The accepted database counts now, so the original is the wrong one.
      await query(superuserUrl(), `ALTER DATABASE "${house.database}" ALLOW_CONNECTIONS false`)
      await terminateBackends(house.database)
      await query(superuserUrl(), `DROP DATABASE "${house.database}" WITH (FORCE)`)
      await rename(backup, house.database)
      await expectRefused(house, house.place)
      await neighbour.expectUndisturbed()
    },
    SLOW,
  )
})

describe('before a health round has noticed a change', () => {
  let stage: Stage
  let third: TestGateway
  beforeAll(async () => {
    stage = await createStage()
    third = await startGateway(stage, { HEALTH_CHECK_CRON: '0 0 1 1 *' })
  })
  afterAll(() => third?.close())
  const ownUrl = async () => urlFor({ role, database: await createDatabase({ owner: role.name }) })

  test(
    'a copy of the shared database serves no tenant, while a dedicated one goes on, and the original is served again',
    async () => {
      const shared = new URL(stage.sharedUrl).pathname.slice(1)
      const [ana, ben] = [await third.createTenant(), await third.createTenant()]
      await makePlace(third, ana, 'Kept')
      await register({ caller: third, tenantId: ben.id, url: await ownUrl() })
      const neighbour = new Bystander(third, ben)
      const aside = uniqueName()
      await rename(shared, aside)
      await copyTo(aside, shared, ana.id)
      const before = await contentOf(shared)
      const list = () => third.call('GET', PLACES, { token: ana.token })
      for (let n = 0; n < 20; n += 1) {
        expectUnavailable(await list(), 'TENANT_DATABASE_UNAVAILABLE')
        const written = await third.call('POST', PLACES, { token: ana.token, body: { name: 'Astray' } })
        expectUnavailable(written, 'TENANT_DATABASE_UNAVAILABLE')
      }
      const alarmed = async () => {
        expectUnavailable(await list(), 'TENANT_DATABASE_UNAVAILABLE')
        return alarms(third, null)
      }
      await expect.poll(alarmed).toBe(1)
      expect(await contentOf(shared)).toEqual(before)
      await query(superuserUrl(), `DROP DATABASE "${shared}" WITH (FORCE)`)
      await rename(aside, shared)
      const names = async () => (await list()).body.data?.map(({ name }: { name: string }) => name)
      await expect.poll(names).toEqual(['Kept'])
      await neighbour.expectUndisturbed()
    },
    SLOW,
  )

  test(
    'no tenant is moved out of a copy, because its rows may not be those of the tenant',
    async () => {
      const tenant = await third.createTenant()
      const home = await ownUrl()
      await register({ caller: third, tenantId: tenant.id, url: home })
      const [name, aside] = [new URL(home).pathname.slice(1), uniqueName()]
      await rename(name, aside)
      await query(superuserUrl(), `CREATE DATABASE "${name}" OWNER "${role.name}" TEMPLATE "${aside}"`)
      const before = await contentOf(name)
      const { status, database, candidate } = await third.registerDatabase(tenant.id, await ownUrl())
      expect({ status, database }).toEqual({ status: 'active', database: name })
      expect(candidate).toMatchObject({ status: 'active', moveRequired: true, lastError: null })
      expect(await contentOf(name)).toEqual(before)
      expect(await contentOf(candidate.database)).toMatchObject({ users: '0', residence: null })
    },
    SLOW,
  )
})

const migrate = (url: string) =>
  withClient(url, async (client) =>
    applyMigrations(client, await tenantMigrations(), { lockTimeoutMs: 10_000 }),
  )

/** Replaces the tenant database by an empty database of the same owner while `fn` runs. */
async function withAnother({ database }: Household, fn: () => Promise<void>): Promise<void> {
  await query(superuserUrl(), `CREATE DATABASE "${database}" OWNER "${role.name}" TEMPLATE template0`)
  await fn()
  await query(superuserUrl(), `DROP DATABASE "${database}" WITH (FORCE)`)
}

describe('a database that was dropped and replaced by another', () => {
  const IN_ITS_PLACE: Record<string, (url: string) => Promise<unknown>> = {
    'that is empty': async () => undefined,
    'with the schema and no tenant in it': migrate,
  }

  test.each(Object.entries(IN_ITS_PLACE))(
    '%s serves nothing, and serves again when the database is right',
    async (_, prepare) => {
      const house = await settle('Kept')
      const aside = uniqueName()
      await rename(house.database, aside)
      await withAnother(house, async () => {
        await prepare(house.url)
        await expectRefused(house, house.place)
      })
      await expectRefused(house, house.place)
      await rename(aside, house.database)
      await expectServed(house, 'Kept')
      await expectServed(other, 'Other')
    },
    SLOW,
  )
})

describe('an inactive database that was replaced by another', () => {
  const IN_ITS_PLACE: Record<string, [prepare: (url: string) => Promise<unknown>, code: string]> = {
    'that is empty': [async () => undefined, 'IDENTITY_MISMATCH'],
    'with the schema and no tenant in it': [migrate, 'IDENTITY_MISMATCH'],
    'with another tenant in it': [(url) => migrate(url).then(() => moveIn(url)), 'BELONGS_TO_ANOTHER_TENANT'],
  }
  const moved = new Map<string, { house: Household; aside: string }>()
  // All at the same time, because it takes rounds until they are inactive.
  beforeAll(async () => {
    for (const name of Object.keys(IN_ITS_PLACE)) {
      const [house, aside] = [await settle('Kept'), uniqueName()]
      await rename(house.database, aside)
      moved.set(name, { house, aside })
    }
  })

  test.each(Object.entries(IN_ITS_PLACE))(
    '%s stays inactive, and serves again when the database is right',
    async (name, [prepare, code]) => {
      const { house, aside } = moved.get(name) ?? { house: one, aside: '' }
      const look = () => lookAt(house)
      await expect.poll(async () => (await look()).status).toBe('inactive')
      await withAnother(house, async () => {
        await prepare(house.url)
        await expect.poll(async () => (await look()).code).toBe(code)
        const { failures } = await look()
        await expect.poll(async () => (await look()).failures).toBeGreaterThan(failures + 1)
        await expectRefused(house, house.place)
        expect(await look()).toMatchObject({ status: 'inactive', code })
      })
      await rename(aside, house.database)
      await expectServed(house, 'Kept')
      expect(await look()).toEqual({ status: 'active', failures: 0, code: undefined })
    },
    SLOW,
  )
})
