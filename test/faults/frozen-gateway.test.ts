import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { expectProblem } from '../http/support.ts'
import { createDatabase, createRole, dropAll, query, superuserUrl, urlFor } from '../support/database.ts'
import {
  type Caller,
  createStage,
  type Stage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import { makePlace, PLACES, register, startProcess } from './support.ts'

/** The lock of the change log. A transaction takes it last, when it holds all others; see catalog/changes.ts. */
const CHANGES_LOCK = 0x66686368
const TIME_LIMIT = { timeout: 60_000, interval: 20 }

let stage: Stage
let gateway: TestGateway
const processes: GatewayProcess[] = []
beforeAll(async () => {
  stage = await createStage()
  gateway = await startGateway(stage)
})
afterAll(async () => {
  await Promise.all(processes.map((process) => process.end('SIGKILL')))
  await gateway?.close()
  await dropAll()
})

test('a gateway that freezes during a change does not block changes by other gateways', async () => {
  const other = await startProcess(stage)
  const { process } = other
  processes.push(process)
  const [frozen, free] = [await gateway.createTenant(), await gateway.createTenant()]
  const catalog = superuserUrl(new URL(stage.catalogUrl).pathname.slice(1))
  const obstacle = new Client({ connectionString: catalog })
  await obstacle.connect()
  await obstacle.query('BEGIN')
  await obstacle.query('SELECT pg_advisory_xact_lock($1)', [CHANGES_LOCK])
  void other.caller.operator('PATCH', `/tenants/${frozen.id}`, { name: 'Frozen' }).catch(() => undefined)
  const waits = () => query(catalog, "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
  await expect.poll(async () => (await waits()).length, TIME_LIMIT).toBe(1)
  process.child.kill('SIGSTOP')
  await obstacle.end()
  const resting = () =>
    query(
      catalog,
      "SELECT FROM pg_stat_activity WHERE state = 'idle in transaction' AND datname = current_database()",
    )
  await expect.poll(async () => (await resting()).length, TIME_LIMIT).toBe(1)
  const rename = () => gateway.operator('PATCH', `/tenants/${free.id}`, { name: 'Free' })
  // Requests that wait at that moment are answered too.
  expect((await rename()).status).toBe(200)
  await process.end('SIGKILL')
})

/** A tenant with every kind of credential and row, which `caller` has served. */
async function servedTenant(caller: Caller) {
  const tenant = await gateway.createTenant()
  const keys = `/tenants/${tenant.id}/client-keys`
  const { body: key } = await gateway.operator('POST', keys, { name: 'Program', permissions: ['*'] })
  const headers = { 'x-client-key': key.key, 'x-tenant-code': tenant.code }
  expect((await caller.call('GET', PLACES, { token: tenant.token })).status).toBe(200)
  expect((await caller.call('GET', PLACES, { headers })).status).toBe(200)
  return { tenant, headers, keyPath: `${keys}/${key.id}` }
}

/** A request whose headers and sender the gateway knows, but whose body it has not received yet. */
class HalfSent {
  readonly #socket: Socket
  #answer = ''

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk) => {
      this.#answer += chunk
    })
  }

  static async begin(caller: Caller, headers: Record<string, string>): Promise<HalfSent> {
    const socket = connect(Number(new URL(caller.url).port), '127.0.0.1')
    await once(socket, 'connect')
    const request = new HalfSent(socket)
    const lines = Object.entries({
      ...headers,
      host: '127.0.0.1',
      'content-type': 'application/json',
      'content-length': String(BODY.length),
      expect: '100-continue',
    }).map(([name, value]) => `${name}: ${value}\r\n`)
    socket.write(`POST ${PLACES} HTTP/1.1\r\n${lines.join('')}\r\n`)
    await expect.poll(() => request.#answer, TIME_LIMIT).toContain('100 Continue')
    return request
  }

  sendRest(): void {
    this.#socket.write(BODY)
  }

  /** The status of the answer. */
  async status(): Promise<number> {
    const last = /HTTP\/1\.1 ([2-5]\d\d) /
    await expect.poll(() => this.#answer, TIME_LIMIT).toMatch(last)
    this.#socket.destroy()
    return Number(last.exec(this.#answer)?.[1])
  }
}

const BODY = JSON.stringify({ name: 'Half sent' })
const bearer = ({ token }: TestTenant) => ({ authorization: `Bearer ${token}` })

/** The tenant's dedicated database, with one connection that waits for a lock of the test. */
async function busyHome(caller: Caller, tenant: TestTenant) {
  const role = await createRole()
  const database = await createDatabase({ owner: role.name })
  const url = urlFor({ role, database })
  await register({ caller, tenantId: tenant.id, url }, { poolSize: 1 })
  await makePlace(caller, tenant, 'At home')
  const obstacle = new Client({ connectionString: superuserUrl(database) })
  await obstacle.connect()
  await obstacle.query('BEGIN; LOCK TABLE places IN ACCESS EXCLUSIVE MODE')
  const waiting = async () => {
    const { text } = await caller.call('GET', '/metrics')
    return /^freehold_connection_waiters (\d+)$/m.exec(text)?.[1]
  }
  return {
    obstacle,
    waiting,
    names: () => query(superuserUrl(database), 'SELECT name FROM places ORDER BY name'),
  }
}

test('a gateway that was paused answers nothing from what it knew before', async () => {
  const { process, caller } = await startProcess(stage, {
    HEALTH_CHECK_CRON: '0 0 1 1 *',
    ACQUIRE_TIMEOUT_MS: '60000',
  })
  processes.push(process)
  await process.until(/"msg":"ready"/)
  const [suspended, keyless, untouched, busy] = [
    await servedTenant(caller),
    await servedTenant(caller),
    await servedTenant(caller),
    await servedTenant(caller),
  ]
  const home = await busyHome(caller, busy.tenant)
  expect((await caller.call('GET', '/api/v1/auth/me', { token: suspended.tenant.token })).status).toBe(200)

  // These requests are halfway: their sender is known, and their work has not begun.
  const halves = [
    await HalfSent.begin(caller, bearer(suspended.tenant)),
    await HalfSent.begin(caller, keyless.headers),
    await HalfSent.begin(caller, bearer(untouched.tenant)),
  ]
  const sent = caller.call('POST', PLACES, { token: busy.tenant.token, body: { name: 'Sent before' } })
  const queued = caller.call('POST', PLACES, { headers: busy.headers, body: { name: 'Too late' } })
  await expect.poll(home.waiting, TIME_LIMIT).toBe('1')

  process.child.kill('SIGSTOP')
  const inSockets = [
    caller.call('GET', PLACES, { token: suspended.tenant.token }),
    caller.call('POST', PLACES, { token: suspended.tenant.token, body: { name: 'Too late' } }),
    caller.call('GET', '/api/v1/auth/me', { token: suspended.tenant.token }),
    caller.call('GET', PLACES, { headers: keyless.headers }),
    caller.call('POST', PLACES, { headers: keyless.headers, body: { name: 'Too late' } }),
    caller.call('GET', PLACES, { token: untouched.tenant.token }),
    caller.call('POST', PLACES, { token: untouched.tenant.token, body: { name: 'In time' } }),
  ]
  for (const half of halves) half.sendRest()
  for (const { keyPath } of [keyless, busy])
    expect((await gateway.operator('DELETE', keyPath)).status).toBe(204)
  const suspend = async () =>
    (await gateway.operator('PATCH', `/tenants/${suspended.tenant.id}`, { status: 'INACTIVE' })).body
      .effective
  // From here on the other gateways assume that all gateways apply the change.
  await expect.poll(suspend, TIME_LIMIT).toEqual({ replicas: 1, confirmed: 1 })
  await home.obstacle.end()
  process.child.kill('SIGCONT')

  const [read, written, me, readByKey, writtenByKey, ...untouchedAnswers] = await Promise.all(inSockets)
  for (const answer of [read, written, me])
    expectProblem(answer as NonNullable<typeof read>, { status: 404, code: 'TENANT_NOT_FOUND' })
  for (const answer of [readByKey, writtenByKey])
    expectProblem(answer as NonNullable<typeof read>, { status: 401, code: 'INVALID_CREDENTIALS' })
  expect(untouchedAnswers.map(({ status }) => status)).toEqual([200, 201])
  expect(await Promise.all(halves.map((half) => half.status()))).toEqual([404, 401, 201])
  expect((await sent).status).toBe(201)
  expectProblem(await queued, { status: 503, code: 'CATALOG_UNAVAILABLE' })
  expect(await home.names()).toEqual([{ name: 'At home' }, { name: 'Sent before' }])
  expect((await caller.call('POST', PLACES, { headers: busy.headers, body: { name: 'Again' } })).status).toBe(
    401,
  )
}, 60_000)
