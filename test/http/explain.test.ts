import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll, query, superuserUrl, terminateBackends } from '../support/database.ts'
import {
  createStage,
  type Stage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'
import { createTenantDatabase } from '../support/tenant-database.ts'
import { API, expectProblem, moveToOwnDatabase, UNKNOWN_ID } from './support.ts'

const databaseName = (url: string) => new URL(url).pathname.slice(1)
/** No health round changes what a test has set. */
const NO_ROUNDS = { HEALTH_CHECK_CRON: '0 0 0 1 1 *' }
let stage: Stage
let gateway: TestGateway

beforeAll(async () => {
  stage = await createStage()
  gateway = await startGateway(stage, NO_ROUNDS)
})
afterAll(async () => {
  await gateway?.close()
  await dropAll()
})

const explain = async ({ id }: Pick<TestTenant, 'id'>) => {
  const { status, body, text } = await gateway.operator('GET', `/tenants/${id}/explain`)
  expect(status, text).toBe(200)
  return body
}
const READ = { method: 'GET', path: `${API}/places` } as const
const WRITE = { method: 'POST', path: `${API}/places`, body: { name: 'Harbour House' } } as const

/** What a real request gets. */
async function outcome(
  { token }: TestTenant,
  { method, path, body }: { method: string; path: string; body?: object },
) {
  const answer = await gateway.call(method, path, { token, ...(body && { body }) })
  return answer.status < 300 ? 'ok' : answer.body.code
}
async function realOutcomes(tenant: TestTenant) {
  return { read: await outcome(tenant, READ), write: await outcome(tenant, WRITE) }
}

async function dedicatedTenant() {
  const tenant = await gateway.createTenant()
  const url = await moveToOwnDatabase(gateway, tenant.id)
  // The validation writes into the entry until its job has ended.
  const statuses = async () => {
    const { body } = await gateway.operator('GET', `/jobs?tenantId=${tenant.id}`)
    return [...new Set(body.data.map(({ status }: { status: string }) => status))]
  }
  await expect.poll(statuses).toEqual(['succeeded'])
  return { tenant, url }
}

/** Changes the entry in the catalog as a check would, and lets this gateway read it again. */
async function setEntry({ id }: TestTenant, assignments: string): Promise<void> {
  await query(stage.catalogUrl, `UPDATE tenant_databases SET ${assignments} WHERE tenant_id = '${id}'`)
  expect((await gateway.operator('PATCH', `/tenants/${id}`, { name: 'Read again' })).status).toBe(200)
}

const UNAVAILABLE = { read: 'TENANT_DATABASE_UNAVAILABLE', write: 'TENANT_DATABASE_UNAVAILABLE' }
const PENDING = { read: 'TENANT_DATABASE_PENDING', write: 'TENANT_DATABASE_PENDING' }
const FINE = { read: 'ok', write: 'ok' }

describe('`would` is what a real request gets', () => {
  test('of an active tenant in the shared database', async () => {
    const tenant = await gateway.createTenant()
    expect(await explain(tenant)).toMatchObject({
      ...{ tenantId: tenant.id, code: tenant.code, status: 'ACTIVE', placement: 'shared', epoch: 1 },
      ...{ database: null, breaker: 'closed', schema: 'current', would: FINE },
      pool: { open: expect.any(Number), idle: expect.any(Number), waiting: 0, lanes: expect.any(Number) },
    })
    expect(await realOutcomes(tenant)).toEqual(FINE)
  })

  test('of an active tenant in its own database, with its connections', async () => {
    const { tenant, url } = await dedicatedTenant()
    expect(await realOutcomes(tenant)).toEqual(FINE)
    const explanation = await explain(tenant)
    expect(explanation).toMatchObject({ placement: 'dedicated', breaker: 'closed', would: FINE })
    expect(explanation.server).toBe(new URL(url).host)
    expect(explanation.pool.open).toBeGreaterThan(0)
    expect(explanation.database).toMatchObject({ status: 'active', database: databaseName(url) })
    expect(JSON.stringify(explanation)).not.toContain(new URL(url).password)
  })

  test('of a suspended tenant', async () => {
    const tenant = await gateway.createTenant()
    await gateway.operator('PATCH', `/tenants/${tenant.id}`, { status: 'INACTIVE' })
    const { would, because } = await explain(tenant)
    expect(would).toEqual({ read: 'TENANT_NOT_FOUND', write: 'TENANT_NOT_FOUND' })
    expect(await realOutcomes(tenant)).toEqual(would)
    expect(because.join(' ')).toContain(`freehold tenants activate ${tenant.code}`)
  })

  test.each([
    ['pending_validation', PENDING],
    ['failed', UNAVAILABLE],
    ['inactive', UNAVAILABLE],
  ])('of a tenant whose database is %s', async (status, expected) => {
    const { tenant } = await dedicatedTenant()
    await setEntry(tenant, `status = '${status}'`)
    const { would, because } = await explain(tenant)
    expect(would).toEqual(expected)
    expect(await realOutcomes(tenant)).toEqual(would)
    expect(because.join(' ')).toContain(`is ${status}`)
  })

  test('of a tenant whose first database still waits for its validation: its rows are elsewhere', async () => {
    const tenant = await gateway.createTenant()
    const { url } = await createTenantDatabase(gateway.application)
    const unknown = new URL(url)
    unknown.password = 'wrong'
    await gateway.registerDatabase(tenant.id, unknown.href)
    expect(await explain(tenant)).toMatchObject({
      ...{ placement: 'shared', would: FINE },
      database: { status: 'failed', lastError: { code: 'AUTHENTICATION_FAILED' } },
    })
    expect(await realOutcomes(tenant)).toEqual(FINE)
  })

  test('while the breaker is open', async () => {
    const { tenant, url } = await dedicatedTenant()
    const name = databaseName(url)
    await query(superuserUrl(), `ALTER DATABASE "${name}" ALLOW_CONNECTIONS false`)
    await terminateBackends(name)
    // The breaker stays open for longer after each attempt that fails.
    await expect
      .poll(async () => {
        expect(await realOutcomes(tenant)).toEqual(UNAVAILABLE)
        return (await explain(tenant)).breaker
      })
      .toBe('open')
    const { would, breaker, because } = await explain(tenant)
    expect({ would, breaker }).toEqual({ would: UNAVAILABLE, breaker: 'open' })
    expect(await realOutcomes(tenant)).toEqual(would)
    expect(because.join(' ')).toMatch(/breaker is open\. The next attempt is in \d+ s/)
  })

  test('of a database that is read-only', async () => {
    const { tenant, url } = await dedicatedTenant()
    const name = databaseName(url)
    await query(superuserUrl(), `ALTER DATABASE "${name}" SET default_transaction_read_only = on`)
    await terminateBackends(name)
    expect((await gateway.operator('POST', `/tenants/${tenant.id}/database/validate`, {})).status).toBe(202)
    const expected = { read: 'ok', write: 'TENANT_DATABASE_UNAVAILABLE' }
    await expect.poll(async () => (await explain(tenant)).would).toEqual(expected)
    expect(await realOutcomes(tenant)).toEqual(expected)
  })

  test('of a database whose schema is behind: only what it lacks is refused', async () => {
    const { tenant, url } = await dedicatedTenant()
    await setEntry(tenant, `schema_version = jsonb_set(schema_version, '{application}', '"0000_before"')`)
    const { would, schema, because } = await explain(tenant)
    expect({ would, schema }).toEqual({ would: FINE, schema: 'behind' })
    expect(await realOutcomes(tenant)).toEqual(would)
    await query(url, 'ALTER TABLE places RENAME TO places_of_later')
    expect(await outcome(tenant, READ)).toBe('TENANT_SCHEMA_OUT_OF_DATE')
    expect(because.join(' ')).toContain('TENANT_SCHEMA_OUT_OF_DATE')
  })
})

test('explaining opens no connection to the tenant and no pool', async () => {
  const { tenant, url } = await dedicatedTenant()
  const other = await startGateway(stage, NO_ROUNDS)
  try {
    const connections = `SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = '${databaseName(url)}'`
    await terminateBackends(databaseName(url))
    await expect.poll(() => query(superuserUrl(), connections)).toEqual([{ n: 0 }])
    const { body } = await other.operator('GET', `/tenants/${tenant.id}/explain`)
    expect(body).toMatchObject({ would: FINE, pool: { open: 0, idle: 0, waiting: 0, lanes: 0 } })
    expect(await query(superuserUrl(), connections)).toEqual([{ n: 0 }])
  } finally {
    await other.close()
  }
})

test('viewers may read it, tenants may not, and an unknown tenant is not found', async () => {
  const { body: viewer } = await gateway.operator('POST', '/operators', { name: 'Viewer', role: 'viewer' })
  const tenant = await gateway.createTenant()
  const path = `${API}/tenants/${tenant.id}/explain`
  expect((await gateway.call('GET', path, { token: viewer.token })).status).toBe(200)
  expectProblem(await gateway.call('GET', path, { token: tenant.token }), {
    status: 403,
    code: 'OPERATOR_REQUIRED',
  })
  expectProblem(await gateway.operator('GET', `/tenants/${UNKNOWN_ID}/explain`), {
    ...{ status: 404, code: 'TENANT_NOT_FOUND' },
  })
})
