import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { applyMigrations } from '../../src/migrations/apply.ts'
import { migrationsFolder, readMigrations } from '../../src/migrations/files.ts'
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
import { createStage, startGateway, type TestGateway, type TestTenant } from '../support/gateway.ts'
import { moveIn, withClient } from '../support/tenant-database.ts'
import { expectUnavailable, makePlace, PLACES, register } from './support.ts'

const SLOW = 60_000

/** A tenant, its database and its only row. */
interface Household {
  readonly tenant: TestTenant
  readonly database: string
  readonly url: string
  readonly place: string
}

let gateway: TestGateway
/** Owns all of these databases: what keeps them apart must not be the password. */
let role: TestRole
let one: Household
let other: Household

beforeAll(async () => {
  gateway = await startGateway(await createStage())
  role = await createRole()
  one = await settle('One')
  other = await settle('Other')
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

/** A database is renamed only while nobody is in it, and the gateway knocks all the time. */
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

/** Asks for the tenant's rows, and for one by its id, over and over. */
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
  await expect.poll(listed, { timeout: 20_000 }).toEqual({ status: 200, rows: [[place, name]] })
}

describe("two tenants' databases that changed their names", () => {
  test(
    'serve nobody, whatever is asked for, and both again when they are put right',
    async () => {
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
    },
    SLOW,
  )
})

const migrate = (url: string) =>
  withClient(url, async (client) =>
    applyMigrations(client, await readMigrations(migrationsFolder('tenant')), { lockTimeoutMs: 10_000 }),
  )

/** Has an empty database of the same owner stand in the place of the tenant's for the time of `fn`. */
async function withAnother({ database }: Household, fn: () => Promise<void>): Promise<void> {
  await query(superuserUrl(), `CREATE DATABASE "${database}" OWNER "${role.name}" TEMPLATE template0`)
  await fn()
  await query(superuserUrl(), `DROP DATABASE "${database}" WITH (FORCE)`)
}

describe('a database that was dropped, with another in its place', () => {
  const IN_ITS_PLACE: Record<string, (url: string) => Promise<unknown>> = {
    'that is empty': async () => undefined,
    'with the schema and nobody in it': migrate,
  }

  test.each(Object.entries(IN_ITS_PLACE))(
    '%s serves nothing, and heals when it is put right',
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

describe('an inactive database, with another in its place', () => {
  const IN_ITS_PLACE: Record<string, [prepare: (url: string) => Promise<unknown>, code: string]> = {
    'that is empty': [async () => undefined, 'SCHEMA_OUT_OF_DATE'],
    'with the schema and nobody in it': [migrate, 'UNKNOWN'],
    'with somebody else in it': [(url) => migrate(url).then(() => moveIn(url)), 'BELONGS_TO_ANOTHER_TENANT'],
  }
  const moved = new Map<string, { house: Household; aside: string }>()
  // All at once: it takes rounds until they are inactive.
  beforeAll(async () => {
    for (const name of Object.keys(IN_ITS_PLACE)) {
      const [house, aside] = [await settle('Kept'), uniqueName()]
      await rename(house.database, aside)
      moved.set(name, { house, aside })
    }
  })

  const lookAt = async ({ tenant }: Household) => {
    const { body } = await gateway.operator('GET', `/tenants/${tenant.id}/database`)
    return { status: body.status, failures: body.consecutiveFailures, code: body.lastError?.code }
  }

  test.each(Object.entries(IN_ITS_PLACE))(
    '%s stays inactive, and heals when it is put right',
    async (name, [prepare, code]) => {
      const { house, aside } = moved.get(name) ?? { house: one, aside: '' }
      const look = () => lookAt(house)
      await expect.poll(async () => (await look()).status, { timeout: 20_000 }).toBe('inactive')
      await withAnother(house, async () => {
        await prepare(house.url)
        await expect.poll(async () => (await look()).code, { timeout: 20_000 }).toBe(code)
        const { failures } = await look()
        await expect
          .poll(async () => (await look()).failures, { timeout: 20_000 })
          .toBeGreaterThan(failures + 1)
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
