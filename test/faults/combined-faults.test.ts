import { afterAll, beforeAll, expect, test } from 'vitest'
import { databaseCalls, freshUrl } from '../http/database-calls.ts'
import { expectProblem } from '../http/support.ts'
import { dropAll, query, superuserUrl, terminateBackends } from '../support/database.ts'
import { createStage, type Stage, startGateway, type TestGateway } from '../support/gateway.ts'
import { makePlace, register } from './support.ts'

const API = '/api/v1'
const PASSWORD = 'a-long-enough-password'
const TIME_LIMIT = { timeout: 60_000 }

let stage: Stage
let gateway: TestGateway
beforeAll(async () => {
  stage = await createStage()
  gateway = await startGateway(stage, { HEALTH_FAILURES_TO_INACTIVE: '2' })
})
afterAll(async () => {
  await gateway?.close()
  await dropAll()
})

const { get, giveUp, places } = databaseCalls(() => gateway)
const nameOf = (url: string) => new URL(url).pathname.slice(1)
const catalog = () => superuserUrl(nameOf(stage.catalogUrl))

/** A data key that no master key opens, as after disk damage or a wrong restore. */
function spoilDataKey(tenantId: string): Promise<unknown> {
  const spoilt = 'set_byte(sealed_key, 40, (get_byte(sealed_key, 40) + 1) % 256)'
  return query(catalog(), `UPDATE data_keys SET sealed_key = ${spoilt} WHERE tenant_id = $1`, [tenantId])
}

test('a database that refuses the password is not gone, and is not given up', TIME_LIMIT, async () => {
  const [tenant, url] = [await gateway.createTenant(), await freshUrl()]
  await register({ caller: gateway, tenantId: tenant.id, url })
  await makePlace(gateway, tenant, 'Kept')
  await query(superuserUrl(), `ALTER ROLE "${new URL(url).username}" PASSWORD 'another'`)
  const answer = await giveUp(tenant.id, `force=true&confirm=${tenant.code}`)
  expectProblem(answer, { status: 409, code: 'DATABASE_IN_USE' })
  expect((await get(tenant.id)).body.placement).toBe('dedicated')
})

test(
  'a tenant that deletes a user with a foreign id erases no user of another tenant',
  TIME_LIMIT,
  async () => {
    const [victim, hostile, url] = [
      await gateway.createTenant(),
      await gateway.createTenant(),
      await freshUrl(),
    ]
    await register({ caller: gateway, tenantId: hostile.id, url })
    const body = { email: 'quentin@example.org', name: 'Quasimodo', password: PASSWORD }
    const { id } = (await gateway.call('POST', `${API}/users`, { token: victim.token, body })).body
    await query(
      superuserUrl(nameOf(url)),
      `INSERT INTO users (tenant_id, id, email, password_hash) VALUES ($1, $2, 'x@example.com', 'x')`,
      [hostile.id, id],
    )
    expect((await gateway.call('DELETE', `${API}/users/${id}`, { token: hostile.token })).status).toBe(204)
    const path = `/audit-log?tenantId=${victim.id}&action=user.create`
    expect((await gateway.operator('GET', path)).body.data[0].after).toMatchObject({ name: 'Quasimodo' })
  },
)

test('an account can sign in again after the catalog has lost its last changes', TIME_LIMIT, async () => {
  const tenant = await gateway.createTenant()
  const account = { email: 'acc@example.org', password: PASSWORD }
  const memberships = [{ tenantId: tenant.id, roles: ['admin'] }]
  const made = await gateway.operator('POST', '/accounts', { ...account, memberships })
  const [last] = await query<{ seq: string }>(catalog(), 'SELECT max(seq) AS seq FROM catalog_changes')
  const password = 'another-long-password'
  expect((await gateway.operator('PATCH', `/accounts/${made.body.id}`, { password })).status).toBe(200)
  // As on a standby that had not received the row.
  await query(catalog(), 'ALTER TABLE catalog_changes DISABLE TRIGGER append_only')
  await query(catalog(), 'DELETE FROM catalog_changes WHERE seq > $1', [last?.seq])
  await query(catalog(), 'ALTER TABLE catalog_changes ENABLE ALWAYS TRIGGER append_only')
  await query(catalog(), 'UPDATE accounts SET generation = generation - 1 WHERE id = $1', [made.body.id])
  const use = async () => {
    const body = { email: account.email, password }
    const { accessToken } = (await gateway.call('POST', `${API}/auth/accounts/login`, { body })).body
    return (await gateway.call('GET', `${API}/places`, { token: accessToken })).status
  }
  await expect.poll(use).toBe(200)
})

test('an invalid database does not become active by being read-only', TIME_LIMIT, async () => {
  const [tenant, other, url] = [await gateway.createTenant(), await gateway.createTenant(), await freshUrl()]
  const strict = new URL(url)
  strict.searchParams.set('target_session_attrs', 'read-write')
  await register({ caller: gateway, tenantId: tenant.id, url: strict.href })
  await query(superuserUrl(nameOf(url)), 'UPDATE residence SET tenant_id = $1', [other.id])
  const state = async () => {
    const { status, lastError } = (await get(tenant.id)).body
    return `${status} ${lastError?.code}`
  }
  await expect.poll(state).toMatch(/^inactive/)
  await query(superuserUrl(), `ALTER DATABASE "${nameOf(url)}" SET default_transaction_read_only = on`)
  await terminateBackends(nameOf(url))
  await expect.poll(state).toBe('inactive READ_ONLY')
  expectProblem(await places(tenant), { status: 503, code: 'TENANT_DATABASE_UNAVAILABLE' })
})

test(
  'a data key that does not open prevents neither a revocation nor the start of a gateway',
  TIME_LIMIT,
  async () => {
    const tenant = await gateway.createTenant()
    const { email, password } = { email: 'q@example.org', password: PASSWORD }
    const body = { email, name: 'Q', password, roles: ['admin'] }
    const made = await gateway.call('POST', `${API}/users`, { token: tenant.token, body })
    const login = { tenantCode: tenant.code, email, password }
    const { accessToken } = (await gateway.call('POST', `${API}/auth/login`, { body: login })).body
    await spoilDataKey(tenant.id)
    const unsealed = `INSERT INTO audit_persons_unsealed VALUES (gen_random_uuid(), 'p', $1, '\\x00', '{}')`
    await query(catalog(), unsealed, [tenant.id])
    const second = await startGateway(stage)
    try {
      const path = `${API}/users/${made.body.id}`
      const off = await second.call('PATCH', path, { token: tenant.token, body: { status: 'INACTIVE' } })
      expect(off.status, off.text).toBe(200)
      for (const each of [gateway, second]) {
        expect((await each.call('GET', `${API}/places`, { token: accessToken })).status).toBe(401)
      }
    } finally {
      await second.close()
      await query(catalog(), 'DELETE FROM audit_persons_unsealed')
    }
  },
)
