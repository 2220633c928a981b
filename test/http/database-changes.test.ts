import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDatabase, createRole, dropAll, query, superuserUrl, urlFor } from '../support/database.ts'
import { createStage, startGateway, type TestGateway } from '../support/gateway.ts'
import { databaseCalls, freshUrl, NOWHERE, untried } from './database-calls.ts'
import { expectProblem, moveToOwnDatabase } from './support.ts'

let gateway: TestGateway
beforeAll(async () => {
  // These tests are about actions of operators. No health round may change anything in between.
  gateway = await startGateway(await createStage(), { HEALTH_FAILURES_TO_INACTIVE: '1000' })
})
afterAll(async () => {
  await gateway?.close()
  await dropAll()
})

const { put, get, validate, remove, tenantOf, places, addPlace } = databaseCalls(() => gateway)
const INVALID = { status: 400, code: 'VALIDATION_FAILED' }
const NONE = { status: 404, code: 'NOT_FOUND' }
const IN_USE = { status: 409, code: 'DATABASE_IN_USE' }

describe('a registration while a database serves', () => {
  test('of another database makes a candidate: the first serves until the candidate is valid, or for good', async () => {
    const tenant = await gateway.createTenant()
    const url = await moveToOwnDatabase(gateway, tenant.id)
    await addPlace(tenant)
    const home = new URL(url).pathname.slice(1)
    const { status, body } = await put(tenant.id, { connectionString: NOWHERE, poolSize: 3 })
    expect(status).toBe(202)
    expect(body).toMatchObject({ status: 'active', placement: 'dedicated', database: home, poolSize: 10 })
    expect(body.candidate).toEqual({ ...untried(tenant.id), placement: 'dedicated', poolSize: 3 })
    const settled = await gateway.waitForDatabase(tenant.id)
    expect(settled).toMatchObject({
      ...{ status: 'active', database: home, lastError: null },
      candidate: { status: 'failed', lastError: { code: 'DNS_FAILED' } },
    })
    expect((await places(tenant)).body.data).toHaveLength(1)
    expect((await tenantOf(tenant.id)).database).toMatchObject({ status: 'active', database: home })
  })

  test('replaces the last candidate', async () => {
    const tenant = await gateway.createTenant()
    await moveToOwnDatabase(gateway, tenant.id)
    await gateway.registerDatabase(tenant.id, NOWHERE)
    const { body } = await put(tenant.id, { connectionString: NOWHERE.replace('6543', '6544') })
    expect(body).toMatchObject({ status: 'active', candidate: { port: 6544, lastError: null } })
  })

  test('of the same database with other settings takes over without losing a row', async () => {
    const tenant = await gateway.createTenant()
    const url = await moveToOwnDatabase(gateway, tenant.id)
    await addPlace(tenant)
    const body = await gateway.registerDatabase(tenant.id, url, { poolSize: 2 })
    expect(body).toMatchObject({ status: 'active', placement: 'dedicated', poolSize: 2, candidate: null })
    expect((await places(tenant)).body.data).toHaveLength(1)
  })

  test('of a new password takes over without refusing a request', async () => {
    const tenant = await gateway.createTenant()
    const url = new URL(await moveToOwnDatabase(gateway, tenant.id))
    expect((await places(tenant)).status).toBe(200)
    // From here on the registered password opens no connection. Open connections stay.
    await query(superuserUrl(), `ALTER ROLE "${url.username}" PASSWORD 'rotated'`)
    url.password = 'rotated'
    const statuses = new Set<number>()
    let rotated = false
    const visits = (async () => {
      while (!rotated) statuses.add((await places(tenant)).status)
      statuses.add((await places(tenant)).status)
    })()
    const body = await gateway.registerDatabase(tenant.id, url.href)
    rotated = true
    await visits
    expect(body).toMatchObject({ status: 'active', lastError: null, candidate: null })
    expect([...statuses]).toEqual([200])
  })

  test('of an empty database takes over from one without rows, users included', async () => {
    const tenant = await gateway.createTenant()
    await moveToOwnDatabase(gateway, tenant.id)
    const second = await freshUrl()
    const body = await gateway.registerDatabase(tenant.id, second)
    const database = new URL(second).pathname.slice(1)
    expect(body).toMatchObject({ status: 'active', placement: 'dedicated', database, candidate: null })
    expect((await places(tenant)).status).toBe(200)
    expect(await gateway.login(tenant.code, tenant.admin)).toMatch(/^ey/)
  })
})

describe('POST /tenants/{id}/database/validate', () => {
  test('202: a failed database is pending again, and active once its fault is repaired', async () => {
    const tenant = await gateway.createTenant()
    const role = await createRole()
    const database = await createDatabase({ owner: role.name })
    const wrong = urlFor({ role: { ...role, password: 'later' }, database })
    const failed = await gateway.registerDatabase(tenant.id, wrong)
    expect(failed.lastError.code).toBe('AUTHENTICATION_FAILED')
    await query(superuserUrl(), `ALTER ROLE "${role.name}" PASSWORD 'later'`)
    const { status, body } = await validate(tenant.id)
    expect([status, body.tenantId]).toEqual([202, tenant.id])
    expect(['pending_validation', 'active']).toContain(body.status)
    expect(await gateway.waitForDatabase(tenant.id)).toMatchObject({
      status: 'active',
      placement: 'dedicated',
    })
  })

  test('202: an active database still serves, and is validated again', async () => {
    const tenant = await gateway.createTenant()
    await moveToOwnDatabase(gateway, tenant.id)
    const { body: before } = await get(tenant.id)
    const { status, body } = await validate(tenant.id)
    expect([status, body.status]).toEqual([202, 'active'])
    expect((await places(tenant)).status).toBe(200)
    const validatedAt = async () => (await get(tenant.id)).body.validatedAt
    await expect.poll(validatedAt).not.toBe(before.validatedAt)
    expect((await get(tenant.id)).body.status).toBe('active')
  })

  test('400: with a body', async () => {
    const path = `/tenants/${(await gateway.createTenant()).id}/database/validate`
    expectProblem(await gateway.operator('POST', path, { force: true }), INVALID)
  })
})

describe('DELETE /tenants/{id}/database', () => {
  test('204: removes a database in which no tenant lives, with its candidate', async () => {
    const { id } = await gateway.createTenant()
    await gateway.registerDatabase(id, NOWHERE)
    expect((await remove(id)).status).toBe(204)
    expectProblem(await get(id), NONE)
    expect((await tenantOf(id)).database).toBeNull()
  })

  test('204: moves the tenant and its users out of a database without rows, and frees it for another tenant', async () => {
    const tenant = await gateway.createTenant()
    const url = await moveToOwnDatabase(gateway, tenant.id)
    const removed = await remove(tenant.id)
    expect([removed.status, removed.text]).toEqual([204, ''])
    expect(await tenantOf(tenant.id)).toMatchObject({ placement: 'shared', database: null })
    expect((await places(tenant)).status).toBe(200)
    expect(await gateway.login(tenant.code, tenant.admin)).toMatch(/^ey/)
    const next = await gateway.createTenant()
    expect(await gateway.registerDatabase(next.id, url)).toMatchObject({ status: 'active' })
  })

  test('204: where a move is required, the data stays where it is', async () => {
    const tenant = await gateway.createTenant()
    await addPlace(tenant)
    expect(await gateway.registerDatabase(tenant.id, await freshUrl())).toMatchObject({ moveRequired: true })
    expect((await remove(tenant.id)).status).toBe(204)
    expect((await places(tenant)).body.data).toHaveLength(1)
  })

  test("409: while the database holds the tenant's data, and changes nothing", async () => {
    const tenant = await gateway.createTenant()
    await moveToOwnDatabase(gateway, tenant.id)
    await addPlace(tenant)
    expectProblem(await remove(tenant.id), IN_USE)
    expect(await tenantOf(tenant.id)).toMatchObject({
      placement: 'dedicated',
      database: { status: 'active' },
    })
    // Not even the fence has stayed.
    await addPlace(tenant)
    expect((await places(tenant)).body.data).toHaveLength(2)
  })
})
