import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { databaseCalls, NOWHERE } from '../http/database-calls.ts'
import { moveToOwnDatabase } from '../http/support.ts'
import { dropAll, query, superuserUrl } from '../support/database.ts'
import { createStage, type Stage, startGateway, type TestGateway } from '../support/gateway.ts'
import { createTenantDatabase } from '../support/tenant-database.ts'

/** Shorter than a statement may take, and shorter than a mover waits for another. A blocked request must continue by itself. */
const SOON = { timeout: 4_000, interval: 10 }
/** Often enough to see a state that lasts for seconds. */
const LATER = { timeout: 60_000, interval: 20 }
const CONFLICT = { status: 409, body: { code: 'CONFLICT' } }

let stage: Stage
let gateway: TestGateway
beforeAll(async () => {
  stage = await createStage()
  // These tests are about actions of operators. No health round may change anything in between.
  gateway = await startGateway(stage, { HEALTH_FAILURES_TO_INACTIVE: '1000', ACQUIRE_TIMEOUT_MS: '2000' })
})
afterAll(async () => {
  await gateway?.close()
  await dropAll()
})

const { put, get, validate, remove, tenantOf, places } = databaseCalls(() => gateway)
const databaseOf = (url: string) => new URL(url).pathname.slice(1)
const catalog = () => superuserUrl(databaseOf(stage.catalogUrl))

/** A transaction of the test that blocks the gateway until the returned function is called. */
async function obstruct(url: string, ...statements: string[]): Promise<() => Promise<void>> {
  const client = new Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  const lift = () => client.end()
  onTestFinished(lift)
  for (const sql of ['BEGIN', ...statements]) await client.query(sql)
  return async () => {
    await client.query('COMMIT')
    await lift()
  }
}

const relocationLock = (tenantId: string) =>
  `SELECT pg_advisory_xact_lock(hashtextextended('freehold:relocate:${tenantId}', 0))`

/** Waits until this many connections to these databases wait for a lock. */
async function expectWaiting(count: number, ...databases: string[]): Promise<void> {
  const waiting = `SELECT FROM pg_stat_activity WHERE datname = ANY ($1)
    AND (query LIKE 'SELECT %pg_try_advisory_lock%' OR wait_event_type = 'Lock')`
  const seen = async () => (await query(superuserUrl(), waiting, [databases])).length
  await expect.poll(seen, SOON).toBe(count)
}

async function peopleIn(database: string, tenantId: string): Promise<number> {
  const count = `SELECT count(*)::int AS people FROM users WHERE tenant_id = '${tenantId}'`
  const [row] = await query<{ people: number }>(superuserUrl(database), count)
  return row?.people ?? 0
}

describe('two moves of one tenant at the same time', () => {
  test('lose no user when both go to the shared database: one succeeds and the other is refused', async () => {
    const tenant = await gateway.createTenant()
    const own = databaseOf(await moveToOwnDatabase(gateway, tenant.id))
    const lift = await obstruct(superuserUrl(own), relocationLock(tenant.id))
    const removals = [remove(tenant.id), remove(tenant.id)]
    await expectWaiting(2, own)
    await lift()
    const answers = (await Promise.all(removals)).sort((a, b) => a.status - b.status)
    expect(answers).toMatchObject([{ status: 204 }, CONFLICT])
    expect(await tenantOf(tenant.id)).toMatchObject({ placement: 'shared', database: null })
    expect(await peopleIn(databaseOf(stage.sharedUrl), tenant.id)).toBe(1)
    expect(await gateway.login(tenant.code, tenant.admin)).toMatch(/^ey/)
  })

  test('lose no user when both go to the same database, as when validation is requested again', async () => {
    const tenant = await gateway.createTenant()
    const { url, database } = await createTenantDatabase()
    const shared = databaseOf(stage.sharedUrl)
    const lift = await obstruct(superuserUrl(shared), relocationLock(tenant.id))
    expect((await put(tenant.id, { connectionString: url })).status).toBe(202)
    await expectWaiting(1, shared)
    expect((await validate(tenant.id)).status).toBe(202)
    await expectWaiting(2, shared, database)
    await lift()
    const idle = () => query(catalog(), `SELECT FROM jobs WHERE status = 'running'`)
    await expect.poll(idle).toEqual([])
    // The slower request has closed its connection as well.
    const waiting = `SELECT FROM pg_stat_activity WHERE datname = $1 AND query LIKE '%advisory%'`
    await expect.poll(() => query(superuserUrl(), waiting, [database])).toEqual([])
    expect((await get(tenant.id)).body).toMatchObject({ status: 'active', placement: 'dedicated' })
    expect(await peopleIn(database, tenant.id)).toBe(1)
    expect(await gateway.login(tenant.code, tenant.admin)).toMatch(/^ey/)
  })

  test('do not remove a database entry that has become the tenant database meanwhile', async () => {
    const { id } = await gateway.createTenant()
    // The cleanup after a failed validation must not be mistaken for the removal.
    await obstruct(superuserUrl(databaseOf(stage.sharedUrl)), relocationLock(id))
    await gateway.registerDatabase(id, NOWHERE)
    // The statement with which a validation commits.
    const commit = await obstruct(
      catalog(),
      `UPDATE tenants SET placement = 'dedicated', epoch = epoch + 1 WHERE id = '${id}'`,
      `UPDATE tenant_databases SET status = 'active' WHERE tenant_id = '${id}'`,
    )
    const removal = remove(id)
    await expectWaiting(1, databaseOf(stage.catalogUrl))
    await commit()
    expect(await removal).toMatchObject(CONFLICT)
    expect((await get(id)).body).toMatchObject({ status: 'active', placement: 'dedicated' })
  })
})

test('one database that is given to two tenants at once serves one of them', async () => {
  const tenants = [await gateway.createTenant(), await gateway.createTenant()]
  const { url, database } = await createTenantDatabase()
  // Blocks the validation that has found the database empty and begins to move the tenant there.
  const lift = await obstruct(superuserUrl(database), 'LOCK TABLE roles IN SHARE MODE')
  await Promise.all(tenants.map(({ id }) => put(id, { connectionString: url })))
  await expectWaiting(2, database)
  await lift()
  const settled = await Promise.all(tenants.map(({ id }) => gateway.waitForDatabase(id)))
  expect(settled.sort((a, b) => a.status.localeCompare(b.status))).toMatchObject([
    { status: 'active', placement: 'dedicated' },
    { status: 'failed', placement: 'shared', lastError: { code: 'BELONGS_TO_ANOTHER_TENANT' } },
  ])
  for (const { code, admin } of tenants) expect(await gateway.login(code, admin)).toMatch(/^ey/)
  const residents = await query(superuserUrl(database), 'SELECT FROM residence')
  expect(residents).toHaveLength(1)
})

test('a hanging tenant database holds no lock in the catalog while its fence is lifted', async () => {
  const tenant = await gateway.createTenant()
  const own = databaseOf(await moveToOwnDatabase(gateway, tenant.id))
  await query(superuserUrl(own), "UPDATE residence SET state = 'fenced'")
  const lift = await obstruct(superuserUrl(own), 'SELECT FROM residence FOR UPDATE')
  const visit = places(tenant)
  const opening = `SELECT FROM pg_stat_activity
    WHERE datname = $1 AND wait_event_type = 'Lock' AND query LIKE 'UPDATE public.residence%'`
  await expect.poll(async () => (await query(superuserUrl(), opening, [own])).length, LATER).toBe(1)
  const free = `SELECT id FROM tenants WHERE id = '${tenant.id}' FOR UPDATE NOWAIT`
  expect(await query(catalog(), free)).toEqual([{ id: tenant.id }])
  await lift()
  await visit
  await expect.poll(async () => (await places(tenant)).status).toBe(200)
})
