import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { expectProblem } from '../http/support.ts'
import { createDatabase, createRole, dropAll, query, superuserUrl, urlFor } from '../support/database.ts'
import {
  createStage,
  type Stage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { makePlace, PLACES, register } from './support.ts'

const SOON_MS = 3_000
const AT_MOST_MS = 5_000

let stage: Stage
let one: TestGateway
let other: TestGateway

beforeAll(async () => {
  stage = await createStage()
  // No health rounds: every connection to a tenant database is for a validation or a request.
  const settings = { HEALTH_CHECK_CRON: '0 0 1 1 *' }
  ;[one, other] = await Promise.all([startGateway(stage, settings), startGateway(stage, settings)])
})
afterAll(async () => {
  await one?.close()
  await other?.close()
  await dropAll()
})

const list = (gateway: TestGateway, { token }: TestTenant) => gateway.call('GET', PLACES, { token })
const setStatus = (gateway: TestGateway, { id }: TestTenant, status: string) =>
  gateway.operator('PATCH', `/tenants/${id}`, { status })

/** A tenant that both gateways have served. */
async function knownToBoth(): Promise<TestTenant> {
  const tenant = await one.createTenant()
  await expectServedByBoth(tenant)
  return tenant
}

async function expectServedByBoth(tenant: TestTenant): Promise<void> {
  for (const gateway of [one, other]) expect((await list(gateway, tenant)).status).toBe(200)
}

async function expectGoneFromBoth(tenant: TestTenant): Promise<void> {
  const answers = await Promise.all([list(one, tenant), list(other, tenant)])
  for (const answer of answers) expectProblem(answer, { status: 404, code: 'TENANT_NOT_FOUND' })
}

async function killListeners(): Promise<number> {
  const killed = await query(
    superuserUrl(),
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND query ILIKE 'listen %'",
    [new URL(stage.catalogUrl).pathname.slice(1)],
  )
  return killed.length
}

describe('a change of status made through one replica', () => {
  test('is in force on the other replica when the answer arrives', async () => {
    const tenant = await knownToBoth()
    for (const [from, status] of [
      [one, 'INACTIVE'],
      [other, 'ACTIVE'],
      [other, 'INACTIVE'],
      [one, 'ACTIVE'],
    ] as const) {
      const { status: code, body } = await setStatus(from, tenant, status)
      if (status === 'INACTIVE') await expectGoneFromBoth(tenant)
      else await expectServedByBoth(tenant)
      expect(code).toBe(200)
      expect(body).toMatchObject({ status, effective: { replicas: 2, confirmed: 2 } })
    }
  })

  test('arrives also while no connection is left for notifications', async () => {
    const tenant = await knownToBoth()
    let killing = true
    let killed = 0
    const killer = (async () => {
      while (killing) killed += await killListeners()
    })()
    const begun = performance.now()
    const { body } = await setStatus(one, tenant, 'INACTIVE')
    const tookMs = performance.now() - begun
    await expectGoneFromBoth(tenant)
    killing = false
    await killer
    expect(body.effective).toEqual({ replicas: 2, confirmed: 2 })
    expect(tookMs).toBeLessThan(AT_MOST_MS)
    expect(killed).toBeGreaterThanOrEqual(2)
  })

  test('reaches replicas whose listeners have reconnected', async () => {
    const tenant = await knownToBoth()
    const { body } = await setStatus(other, tenant, 'INACTIVE')
    await expectGoneFromBoth(tenant)
    expect(body.effective).toEqual({ replicas: 2, confirmed: 2 })
  })
})

describe('a client key', () => {
  test('that is revoked on one replica is refused by the other a moment later', async () => {
    const tenant = await knownToBoth()
    const path = `/tenants/${tenant.id}/client-keys`
    const { body } = await one.operator('POST', path, { name: 'Program', permissions: ['properties:read'] })
    const headers = { 'x-client-key': body.key, 'x-tenant-code': tenant.code }
    const ask = (gateway: TestGateway) => gateway.call('GET', PLACES, { headers })
    for (const gateway of [one, other]) expect((await ask(gateway)).status).toBe(200)
    expect((await one.operator('DELETE', `${path}/${body.id}`)).status).toBe(204)
    await expect.poll(async () => (await ask(other)).status, { timeout: SOON_MS, interval: 20 }).toBe(401)
    for (const gateway of [one, other]) {
      await expect.poll(async () => (await ask(gateway)).status, { timeout: SOON_MS }).toBe(401)
      expectProblem(await ask(gateway), { status: 401, code: 'INVALID_CREDENTIALS' })
    }
  })
})

describe('databases registered through one replica', () => {
  let proxy: TcpProxy
  let tenants: TestTenant[]
  let databases: string[]
  let connections: number

  beforeAll(async () => {
    proxy = await TcpProxy.start({ port: Number(new URL(superuserUrl()).port) })
    tenants = [await knownToBoth(), await knownToBoth(), await knownToBoth()]
    const role = await createRole()
    databases = await Promise.all(tenants.map(() => createDatabase({ owner: role.name })))
    for (const [at, { id }] of tenants.entries()) {
      const url = proxy.urlFor(urlFor({ role, database: databases[at] ?? '' }))
      await register({ caller: one, tenantId: id, url })
    }
    connections = proxy.accepted
  })
  afterAll(() => proxy?.close())

  test('are validated once each, although both replicas look for work', async () => {
    // A new database is validated, migrated by another job, and validated again.
    expect(connections).toBe(3 * tenants.length)
    const validations = async (gateway: TestGateway) => {
      const { text } = await gateway.call('GET', '/metrics')
      const counts = [...text.matchAll(/^freehold_database_validations_total\{.*\} (\d+)$/gm)]
      return counts.reduce((sum, [, count]) => sum + Number(count), 0)
    }
    const both = async () => (await validations(one)) + (await validations(other))
    await expect.poll(both).toBe(tenants.length)
  })

  test('serve through both replicas', async () => {
    for (const [at, tenant] of tenants.entries()) {
      await makePlace(one, tenant, 'Through one')
      await makePlace(other, tenant, 'Through the other')
      const rows = await query(superuserUrl(databases[at]), 'SELECT name FROM places ORDER BY created_at')
      expect(rows).toEqual([{ name: 'Through one' }, { name: 'Through the other' }])
      for (const gateway of [one, other]) expect((await list(gateway, tenant)).body.data).toHaveLength(2)
    }
  })
})

describe('a replica that has left', () => {
  test('is not waited for', async () => {
    const tenant = await knownToBoth()
    await other.close()
    const { body } = await setStatus(one, tenant, 'INACTIVE')
    expect(body.effective).toEqual({ replicas: 1, confirmed: 1 })
  })
})
