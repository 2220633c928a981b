import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDatabase, createRole, dropAll, query, superuserUrl, urlFor } from '../support/database.ts'
import {
  createStage,
  type Stage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'

let stage: Stage
let gateway: TestGateway
let tenant: TestTenant
let neighbour: TestTenant
let own: { url: string; database: string; password: string }

beforeAll(async () => {
  stage = await createStage()
  gateway = await startGateway(stage)
  const role = await createRole()
  const database = await createDatabase({ owner: role.name })
  own = { url: urlFor({ role, database }), database, password: role.password }
  tenant = await gateway.createTenant()
  neighbour = await gateway.createTenant()
})
afterAll(async () => {
  await gateway.close()
  await dropAll()
})

const sharedDatabase = () => new URL(stage.sharedUrl).pathname.slice(1)
const namesIn = async (database: string) => {
  const rows = await query<{ name: string; tenant_id: string }>(
    superuserUrl(database),
    'SELECT name, tenant_id FROM places',
  )
  return rows.map(({ name, tenant_id }) => `${name} of ${tenant_id}`).sort()
}

describe('a tenant gets a dedicated database', () => {
  test('is validated and becomes its tenant database, users included', async () => {
    const database = await gateway.registerDatabase(tenant.id, own.url)
    expect(database).toMatchObject({
      status: 'active',
      placement: 'dedicated',
      moveRequired: false,
      lastError: null,
    })
    expect(database.schemaVersion).toEqual({
      core: expect.stringMatching(/^\d{4}_/),
      application: expect.stringMatching(/^\d{4}_/),
    })
    // The copies in the shared database are removed after the change is written to the catalog.
    const users = () =>
      query(superuserUrl(sharedDatabase()), 'SELECT id FROM users WHERE tenant_id = $1', [tenant.id])
    await expect.poll(users).toEqual([])
    expect(await gateway.login(tenant.code, tenant.admin)).toMatch(/^ey/)
  })

  test('serves it and a shared tenant by the same API, with each row in its own database only', async () => {
    for (const [who, name] of [
      [tenant, 'House'],
      [neighbour, 'Flat'],
    ] as const) {
      const made = await gateway.call('POST', '/api/v1/places', { token: who.token, body: { name } })
      expect(made.status).toBe(201)
      const listed = await gateway.call('GET', '/api/v1/places', { token: who.token })
      expect(listed.body.data.map((row: { name: string }) => row.name)).toEqual([name])
      expect(Object.keys(listed.body.data[0])).not.toContain('tenantId')
    }
    expect(await namesIn(own.database)).toEqual([`House of ${tenant.id}`])
    expect(await namesIn(sharedDatabase())).toEqual([`Flat of ${neighbour.id}`])
  })

  test('cannot lose it while it holds data, but can when it is empty', async () => {
    const refused = await gateway.operator('DELETE', `/tenants/${tenant.id}/database`)
    expect([refused.status, refused.body.code]).toEqual([409, 'DATABASE_IN_USE'])
    const { body } = await gateway.call('GET', '/api/v1/places', { token: tenant.token })
    await gateway.call('DELETE', `/api/v1/places/${body.data[0].id}`, { token: tenant.token })
    expect((await gateway.operator('DELETE', `/tenants/${tenant.id}/database`)).status).toBe(204)
    const { body: view } = await gateway.operator('GET', `/tenants/${tenant.id}`)
    expect(view).toMatchObject({ placement: 'shared', database: null })
    expect(await gateway.login(tenant.code, tenant.admin)).toMatch(/^ey/)
    const [left] = await query(
      superuserUrl(own.database),
      'SELECT (SELECT count(*) FROM users)::int + (SELECT count(*) FROM residence)::int AS n',
    )
    expect(left).toEqual({ n: 0 })
  })

  test('reveals its password in no answer, no log and no text of the catalog', async () => {
    await gateway.registerDatabase(tenant.id, own.url)
    const { text } = await gateway.operator('GET', `/tenants/${tenant.id}/database`)
    const audit = await gateway.operator('GET', '/audit-log?limit=200')
    const catalog = new URL(stage.catalogUrl).pathname.slice(1)
    const tables = await query<{ name: string }>(
      superuserUrl(catalog),
      "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'",
    )
    const dumps = await Promise.all(
      tables.map(({ name }) => query(superuserUrl(catalog), `SELECT t::text FROM public."${name}" t`)),
    )
    const hex = Buffer.from(own.password).toString('hex')
    for (const said of [text, audit.text, gateway.log(), JSON.stringify(dumps)]) {
      expect(said).not.toContain(own.password)
      expect(said).not.toContain(hex)
    }
  })
})

describe('a tenant that owns rows in the shared database', () => {
  test('stays there, and the answer says that a move is needed', async () => {
    const role = await createRole()
    const url = urlFor({ role, database: await createDatabase({ owner: role.name }) })
    const database = await gateway.registerDatabase(neighbour.id, url)
    expect(database).toMatchObject({ status: 'active', placement: 'shared', moveRequired: true })
    const listed = await gateway.call('GET', '/api/v1/places', { token: neighbour.token })
    expect(listed.body.data.map((row: { name: string }) => row.name)).toEqual(['Flat'])
  })
})

describe('a second registration', () => {
  test('with a wrong password leaves the first in service', async () => {
    const wrong = own.url.replace(own.password, 'not-the-password')
    const database = await gateway.registerDatabase(tenant.id, wrong)
    expect(database.status).toBe('active')
    expect(database.candidate).toMatchObject({
      status: 'failed',
      lastError: { code: 'AUTHENTICATION_FAILED' },
    })
    const made = await gateway.call('POST', '/api/v1/places', {
      token: tenant.token,
      body: { name: 'Still here' },
    })
    expect(made.status).toBe(201)
  })

  test('of the same database replaces the first when it is valid', async () => {
    const database = await gateway.registerDatabase(
      tenant.id,
      `${own.url}${own.url.includes('?') ? '&' : '?'}application_name=again`,
    )
    expect(database).toMatchObject({ status: 'active', placement: 'dedicated', candidate: null })
    await gateway.call('GET', '/api/v1/places', { token: tenant.token })
    const named = await query(superuserUrl(), "SELECT FROM pg_stat_activity WHERE application_name = 'again'")
    expect(named.length).toBeGreaterThan(0)
    const listed = await gateway.call('GET', '/api/v1/places', { token: tenant.token })
    expect(listed.body.data.map((row: { name: string }) => row.name)).toEqual(['Still here'])
  })

  test("of another, empty database leaves the tenant's rows in service", async () => {
    const role = await createRole()
    const url = urlFor({ role, database: await createDatabase({ owner: role.name }) })
    const database = await gateway.registerDatabase(tenant.id, url)
    expect(database.candidate).toMatchObject({ status: 'active', moveRequired: true })
    const listed = await gateway.call('GET', '/api/v1/places', { token: tenant.token })
    expect(listed.body.data).toHaveLength(1)
  })

  test("of another tenant's database is refused", async () => {
    const third = await gateway.createTenant()
    const database = await gateway.registerDatabase(third.id, own.url)
    expect(database).toMatchObject({ status: 'failed', lastError: { code: 'BELONGS_TO_ANOTHER_TENANT' } })
  })
})
