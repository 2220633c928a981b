import { afterAll, beforeAll, expect, test } from 'vitest'
import { expectProblem } from '../http/support.ts'
import { dropAll, query } from '../support/database.ts'
import {
  type Answer,
  createStage,
  type Stage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'
import { type OwnServer, startOwnServer } from '../support/second-server.ts'
import { type Standby, startStandby } from '../support/standby.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { createOwnerOn, makePlace, PLACES } from './support.ts'

const TIME_LIMIT = { timeout: 60_000, interval: 50 }
const LOST = 4

let primary: OwnServer
let standby: Standby
let stage: Stage
/** Each gateway has its own proxy to the catalog. */
let ways: TcpProxy[]
let here: TestGateway
let away: TestGateway

beforeAll(async () => {
  primary = await startOwnServer({ settings: { synchronous_commit: 'on' } })
  const { url } = await (await createOwnerOn(primary)).createDatabase()
  standby = await startStandby(primary)
  stage = { ...(await createStage()), catalogUrl: url }
  ways = [await TcpProxy.start(primary), await TcpProxy.start(primary)]
  const [one, other] = await Promise.all(
    ways.map((way) =>
      startGateway({ ...stage, catalogUrl: way.urlFor(url) }, { HEALTH_CHECK_CRON: '0 0 1 1 *' }),
    ),
  )
  here = one as TestGateway
  away = other as TestGateway
}, 120_000)
afterAll(async () => {
  await away?.close()
  await here?.close()
  for (const way of ways ?? []) await way.close()
  await standby?.dispose()
  await primary?.dispose()
  await dropAll()
})

interface Log {
  readonly seq: number
  readonly id: string
}
const logOf = (url: string) => {
  const catalog = new URL(url)
  catalog.pathname = new URL(stage.catalogUrl).pathname
  return catalog.href
}
const lastChange = async (server: { superuserUrl: string }) =>
  (
    await query<Log>(
      logOf(server.superuserUrl),
      'SELECT seq::int, id FROM catalog_changes ORDER BY seq DESC LIMIT 1',
    )
  )[0] as Log
/** How many replicas report that they have applied this change. */
const countAt = async (server: { superuserUrl: string }, seq: number) =>
  (await query(logOf(server.superuserUrl), 'SELECT FROM replicas WHERE applied_seq = $1', [seq])).length

/** Every kind of credential and row that a caller may have in a tenant. */
async function knownToBoth() {
  const tenant = await here.createTenant()
  const path = `/tenants/${tenant.id}/client-keys`
  const { body: key } = await here.operator('POST', path, { name: 'Program', permissions: ['*'] })
  const body = { tenantCode: tenant.code, ...tenant.admin }
  const { body: pair } = await here.call('POST', '/api/v1/auth/login', { body })
  const headers = { 'x-client-key': key.key, 'x-tenant-code': tenant.code }
  for (const gateway of [here, away]) {
    expect((await gateway.call('GET', PLACES, { headers })).status).toBe(200)
    expect((await gateway.call('GET', PLACES, { token: pair.accessToken })).status).toBe(200)
    await makePlace(gateway, tenant, 'Known')
  }
  return { tenant, key: { path: `${path}/${key.id}`, headers }, pair }
}

const rename = ({ id }: TestTenant, name: string) => here.operator('PATCH', `/tenants/${id}`, { name })

/** The primary is lost, with everything that the standby did not have. Only one gateway finds the new primary at once. */
async function failOver(): Promise<void> {
  for (const way of ways) {
    await way.setMode('refuse')
    way.resetConnections()
    way.leadTo(standby)
  }
  await primary.stop()
  await standby.promote()
  await ways[0]?.setMode('pass')
}

test('a replica confirms no change that it missed while others reused the numbers of lost changes', async () => {
  const [suspended, keyless, signedOut] = [await knownToBoth(), await knownToBoth(), await knownToBoth()]
  await standby.catchUp()
  await standby.cutOff()
  for (let n = 1; n <= LOST; n += 1) expect((await rename(suspended.tenant, `Lost ${n}`)).status).toBe(200)
  const lost = await lastChange(primary)
  await expect.poll(() => countAt(primary, lost.seq), TIME_LIMIT).toBe(2)

  await failOver()
  expect((await lastChange(standby)).seq).toBe(lost.seq - LOST)
  await expect.poll(async () => (await rename(keyless.tenant, 'Found')).status, TIME_LIMIT).toBe(200)
  expect((await here.operator('DELETE', keyless.key.path.replace('/api/v1', ''))).status).toBe(204)
  const { refreshToken } = signedOut.pair
  const out = { body: { refreshToken, everywhere: true } }
  expect((await here.call('POST', '/api/v1/auth/logout', out)).status).toBe(204)
  const suspending = here.operator('PATCH', `/tenants/${suspended.tenant.id}`, { status: 'INACTIVE' })
  await expect.poll(async () => (await lastChange(standby)).seq, TIME_LIMIT).toBe(lost.seq)
  expect((await lastChange(standby)).id).not.toBe(lost.id)

  // The gateway reconnects, and its last known change has the number that is requested.
  await ways[1]?.setMode('pass')
  let answer: Answer = await suspending
  expect(answer.body.status).toBe('INACTIVE')
  const effective = () => answer.body.effective as { replicas: number; confirmed: number }
  while (effective().confirmed < 2) {
    expect(answer.status).toBe(200)
    // A caller that repeats a change wants to know whether it is in force now.
    answer = await here.operator('PATCH', `/tenants/${suspended.tenant.id}`, { status: 'INACTIVE' })
  }
  expect(effective()).toEqual({ replicas: 2, confirmed: 2 })

  const { token } = suspended.tenant
  const [read, written, byKey, byToken] = await Promise.all([
    away.call('GET', PLACES, { token }),
    away.call('POST', PLACES, { token, body: { name: 'Too late' } }),
    away.call('GET', PLACES, { headers: keyless.key.headers }),
    away.call('GET', PLACES, { token: signedOut.pair.accessToken }),
  ])
  for (const refused of [read, written]) expectProblem(refused, { status: 404, code: 'TENANT_NOT_FOUND' })
  expectProblem(byKey, { status: 401, code: 'INVALID_CREDENTIALS' })
  expectProblem(byToken, { status: 401, code: 'TOKEN_INVALID' })
  // Both gateways serve the other tenants.
  for (const gateway of [here, away]) {
    await makePlace(gateway, keyless.tenant, 'After the failover')
    expect(gateway.log()).toContain('"msg":"catalog changes were missed"')
  }
}, 120_000)
