import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { databaseCalls, freshUrl } from '../http/database-calls.ts'
import { moveToOwnDatabase } from '../http/support.ts'
import { dropAll, query, superuserUrl, terminateBackends } from '../support/database.ts'
import {
  createStage,
  type Stage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'
import { type OwnServer, startOwnServer } from '../support/second-server.ts'
import { createOwnerOn, expectUnavailable, makePlace, PLACES, register } from './support.ts'

let stage: Stage
let gateway: TestGateway
let server: OwnServer
beforeAll(async () => {
  stage = await createStage()
  server = await startOwnServer()
  gateway = await startGateway(stage, { HEALTH_FAILURES_TO_INACTIVE: '2' })
})
afterAll(async () => {
  await gateway?.close()
  await server?.dispose()
  await dropAll()
})

const { get, validate } = databaseCalls(() => gateway)
const TIME_LIMIT = { timeout: 60_000, interval: 100 }
const nameOf = (url: string) => new URL(url).pathname.slice(1)

/** As a provider does when the disk is full. Open sessions keep their settings. */
async function setReadOnly(url: string): Promise<void> {
  await query(superuserUrl(), `ALTER DATABASE "${nameOf(url)}" SET default_transaction_read_only = on`)
  await terminateBackends(nameOf(url))
}

/** Ends it. Sessions that were opened meanwhile stay read-only. */
function setWritable(url: string) {
  return query(superuserUrl(), `ALTER DATABASE "${nameOf(url)}" RESET default_transaction_read_only`)
}

const read = ({ token }: TestTenant) => gateway.call('GET', PLACES, { token })
const write = ({ token }: TestTenant) =>
  gateway.call('POST', PLACES, {
    token,
    body: { name: 'Written' },
    headers: { 'idempotency-key': crypto.randomUUID() },
  })
const writePlainly = ({ token }: TestTenant) =>
  gateway.call('POST', PLACES, { token, body: { name: 'Written' } })
const signIn = ({ code, admin }: TestTenant) =>
  gateway.call('POST', '/api/v1/auth/login', { body: { tenantCode: code, ...admin } })
const refreshTokenOf = async (tenant: TestTenant) => (await signIn(tenant)).body.refreshToken as string
const refresh = (refreshToken: string) =>
  gateway.call('POST', '/api/v1/auth/refresh', { body: { refreshToken } })

async function expectReadOnly(tenant: TestTenant, refreshToken: string): Promise<void> {
  expect((await read(tenant)).status).toBe(200)
  const refused = [
    await write(tenant),
    await writePlainly(tenant),
    await signIn(tenant),
    await refresh(refreshToken),
  ]
  for (const answer of refused) {
    expectUnavailable(answer, 'TENANT_DATABASE_UNAVAILABLE')
    expect(answer.body.detail).toMatch(/is read-only now/)
  }
}

const stateOf = async ({ id }: TestTenant) => {
  const { status, lastError, consecutiveFailures } = (await get(id)).body
  return { status, code: lastError?.code ?? null, consecutiveFailures }
}
const READ_ONLY = { status: 'active', code: 'READ_ONLY', consecutiveFailures: 0 }
const WELL = { status: 'active', code: null, consecutiveFailures: 0 }

async function livingOnOwnServer() {
  const tenant = await gateway.createTenant()
  const { url } = await (await createOwnerOn(server)).createDatabase()
  await register({ caller: gateway, tenantId: tenant.id, url })
  await makePlace(gateway, tenant, 'Kept')
  return { tenant, url, refreshToken: await refreshTokenOf(tenant) }
}

describe('a standby that replaces the server', () => {
  test('serves reads, refuses writes as read-only, and accepts them once it is promoted', async () => {
    const { tenant, refreshToken } = await livingOnOwnServer()
    await server.stop()
    await server.startAsStandby()
    await expect.poll(() => stateOf(tenant), TIME_LIMIT).toEqual(READ_ONLY)
    await expect.poll(async () => (await read(tenant)).status, TIME_LIMIT).toBe(200)
    await expectReadOnly(tenant, refreshToken)
    expect((await validate(tenant.id)).status).toBe(202)
    await expect.poll(async () => (await get(tenant.id)).body.lastError?.code, TIME_LIMIT).toBe('READ_ONLY')
    await query(server.superuserUrl, 'SELECT pg_promote()')
    await expect.poll(() => stateOf(tenant), TIME_LIMIT).toEqual(WELL)
    expect((await write(tenant)).status).toBe(201)
    expect((await refresh(refreshToken)).status).toBe(200)
  })

  test('makes an inactive database available for reads', async () => {
    const { tenant, refreshToken } = await livingOnOwnServer()
    await server.stop()
    await expect.poll(async () => (await stateOf(tenant)).status, TIME_LIMIT).toBe('inactive')
    await server.startAsStandby()
    await expect.poll(() => stateOf(tenant), TIME_LIMIT).toEqual(READ_ONLY)
    await expectReadOnly(tenant, refreshToken)
    await query(server.superuserUrl, 'SELECT pg_promote()')
    await expect.poll(() => stateOf(tenant), TIME_LIMIT).toEqual(WELL)
  })
})

describe('a database that its provider made read-only', () => {
  test('serves reads, and later accepts writes on connections that were opened meanwhile', async () => {
    const tenant = await gateway.createTenant()
    const url = await moveToOwnDatabase(gateway, tenant.id)
    const refreshToken = await refreshTokenOf(tenant)
    await setReadOnly(url)
    await expect.poll(() => stateOf(tenant), TIME_LIMIT).toEqual(READ_ONLY)
    await expectReadOnly(tenant, refreshToken)
    await setWritable(url)
    await expect.poll(() => stateOf(tenant), TIME_LIMIT).toEqual(WELL)
    await expect.poll(async () => (await write(tenant)).status, TIME_LIMIT).toBe(201)
    expect(gateway.log().match(/"database is read-only"/g)?.length).toBeGreaterThan(0)
  })

  test('stays active when an operator validates it', async () => {
    const tenant = await gateway.createTenant()
    const url = await moveToOwnDatabase(gateway, tenant.id)
    await setReadOnly(url)
    const before = gateway.log().length
    expect((await validate(tenant.id)).status).toBe(202)
    await expect
      .poll(() => gateway.log().slice(before), TIME_LIMIT)
      .toMatch(/READ_ONLY.*"database not valid"/)
    await expect.poll(() => stateOf(tenant), TIME_LIMIT).toEqual(READ_ONLY)
    expect((await read(tenant)).status).toBe(200)
  })

  test('can be registered only once it accepts writes', async () => {
    const tenant = await gateway.createTenant()
    const url = await freshUrl()
    await setReadOnly(url)
    const refused = await gateway.registerDatabase(tenant.id, url)
    expect(refused).toMatchObject({ status: 'failed', lastError: { code: 'READ_ONLY' }, placement: 'shared' })
    await setWritable(url)
    await validate(tenant.id)
    expect(await gateway.waitForDatabase(tenant.id)).toMatchObject({ status: 'active', lastError: null })
  })
})

test('a read-only shared database serves reads, and /health reports it', async () => {
  const tenant = await gateway.createTenant()
  const refreshToken = await refreshTokenOf(tenant)
  const health = async () => {
    const { status, shared, catalog } = (await gateway.call('GET', '/health')).body
    return [status, shared.status, catalog.status]
  }
  await setReadOnly(stage.sharedUrl)
  await expect.poll(health, TIME_LIMIT).toEqual(['degraded', 'read-only', 'ok'])
  await expectReadOnly(tenant, refreshToken)
  // A registration is not the reason why the tenant database cannot be left now.
  const own = await freshUrl()
  expect(
    (await gateway.operator('PUT', `/tenants/${tenant.id}/database`, { connectionString: own })).status,
  ).toBe(202)
  await expect.poll(() => gateway.log(), TIME_LIMIT).toMatch(/"job interrupted"/)
  expect(await stateOf(tenant)).toMatchObject({ status: 'pending_validation', code: null })
  await setWritable(stage.sharedUrl)
  await expect.poll(health, TIME_LIMIT).toEqual(['ok', 'ok', 'ok'])
  await expect.poll(async () => (await write(tenant)).status, TIME_LIMIT).toBe(201)
})

test('a read-only catalog serves known tenants, and /health reports it', async () => {
  const tenant = await gateway.createTenant()
  const health = async () => (await gateway.call('GET', '/health')).body.catalog.status
  await setReadOnly(stage.catalogUrl)
  await expect.poll(health, TIME_LIMIT).toBe('read-only')
  expect((await read(tenant)).status).toBe(200)
  expectUnavailable(
    await gateway.operator('PATCH', `/tenants/${tenant.id}`, { name: 'New' }),
    'CATALOG_UNAVAILABLE',
  )
  await setWritable(stage.catalogUrl)
  await expect.poll(health, TIME_LIMIT).toBe('ok')
  const renamed = async () =>
    (await gateway.operator('PATCH', `/tenants/${tenant.id}`, { name: 'New' })).status
  await expect.poll(renamed, TIME_LIMIT).toBe(200)
})
