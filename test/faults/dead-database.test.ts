import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll } from '../support/database.ts'
import { type Caller, createStage, type TestTenant } from '../support/gateway.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import { type OwnServer, startOwnServer } from '../support/second-server.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import {
  Bystander,
  createOwnerOn,
  expectUnavailable,
  makePlace,
  PLACES,
  register,
  startProcess,
} from './support.ts'

const ROUNDS = 3
const UNAVAILABLE = 'TENANT_DATABASE_UNAVAILABLE'
/** For changes that happen by themselves, in rounds and after pauses. */
const SLOW = 60_000

let server: OwnServer
let owner: Awaited<ReturnType<typeof createOwnerOn>>
let process: GatewayProcess
let caller: Caller
/** This tenant lives in the shared database, on another server. */
let neighbour: TestTenant

beforeAll(async () => {
  server = await startOwnServer()
  owner = await createOwnerOn(server)
  // A request that waits for a silent server waits longer than any other request may.
  const settings = { STATEMENT_TIMEOUT_MS: '4000', HEALTH_FAILURES_TO_INACTIVE: String(ROUNDS) }
  ;({ process, caller } = await startProcess(await createStage(), settings))
  neighbour = await caller.createTenant()
})
afterAll(async () => {
  await process?.end('SIGKILL')
  await server?.dispose()
  await dropAll()
})

const databaseOf = async ({ id }: TestTenant) =>
  (await caller.operator('GET', `/tenants/${id}/database`)).body
const statusOf = async (tenant: TestTenant) => (await databaseOf(tenant)).status as string
const read = ({ token }: TestTenant, path = PLACES) => caller.call('GET', path, { token })
const signIn = ({ code, admin }: TestTenant) =>
  caller.call('POST', '/api/v1/auth/login', { body: { tenantCode: code, ...admin } })
const degraded = async ({ token }: TestTenant) => {
  const { status, headers, body } = await caller.call('GET', '/api/v1/tenant', { token })
  return { status, degraded: headers.get('freehold-degraded'), code: body.code }
}

async function tenantIn(url: string, more: object = {}): Promise<TestTenant> {
  const tenant = await caller.createTenant()
  await register({ caller, tenantId: tenant.id, url }, more)
  return tenant
}

/** Every kind of request for rows. */
async function expectRefused(tenant: TestTenant, id: string): Promise<void> {
  const { token } = tenant
  const one = `${PLACES}/${id}`
  const body = { name: 'Changed' }
  const answers = await Promise.all([
    read(tenant),
    read(tenant, one),
    caller.call('POST', PLACES, { token, body }),
    caller.call('PATCH', one, { token, body }),
    caller.call('DELETE', one, { token }),
    signIn(tenant),
  ])
  for (const answer of answers) expectUnavailable(answer, UNAVAILABLE)
}

/** Watches a database until it is inactive, through requests of its operator and its tenant. */
async function watchUntilInactive(tenant: TestTenant) {
  const rounds: { status: string; failures: number; lastError: { code: string } | null }[] = []
  const answers = new Set<string>()
  const deadline = performance.now() + 45_000
  do {
    const [database, answer] = await Promise.all([databaseOf(tenant), read(tenant)])
    const { status, consecutiveFailures: failures, lastError } = database
    rounds.push({ status, failures, lastError })
    answers.add(`${answer.status} ${answer.body.code}`)
    await new Promise((resolve) => setTimeout(resolve, 30))
  } while (rounds.at(-1)?.status !== 'inactive' && performance.now() < deadline)
  return { rounds, answers: [...answers] }
}

function expectInactiveAfterThreeRounds({ rounds }: Awaited<ReturnType<typeof watchUntilInactive>>): void {
  const early = rounds.filter(({ status, failures }) => (status === 'active') !== failures < ROUNDS)
  expect(early).toEqual([])
  expect(rounds.at(-1)).toMatchObject({ status: 'inactive', failures: ROUNDS })
}

describe('a database whose server is stopped', () => {
  let tenant: TestTenant
  let place: string
  let before: unknown
  let bystander: Bystander
  let watched: Awaited<ReturnType<typeof watchUntilInactive>>

  beforeAll(async () => {
    tenant = await tenantIn((await owner.createDatabase()).url)
    place = await makePlace(caller, tenant, 'Survives')
    before = (await read(tenant, `${PLACES}/${place}`)).body
    bystander = new Bystander(caller, neighbour)
    await server.stop()
    watched = await watchUntilInactive(tenant)
  })

  test('becomes inactive after three failed rounds, not earlier', () => {
    expectInactiveAfterThreeRounds(watched)
    expect(watched.rounds.at(-1)?.lastError?.code).toBe('CONNECTION_REFUSED')
  })

  test('is answered with 503 and with no other status', () => {
    expect(watched.answers).toEqual([`503 ${UNAVAILABLE}`])
  })

  test('makes rows and users unavailable, and the answer says when to retry', async () => {
    await expectRefused(tenant, place)
  })

  test('leaves available what the catalog holds of the tenant', async () => {
    expect(await degraded(tenant)).toEqual({ status: 200, degraded: 'tenant-database', code: tenant.code })
    expect((await degraded(neighbour)).degraded).toBeNull()
  })

  test('is counted by /health, which still answers 200', async () => {
    const health = async () => {
      const { status, body } = await caller.call('GET', '/health')
      return { status, said: body.status, inactive: body.databases.inactive, shared: body.shared.status }
    }
    const expected = { status: 200, said: 'degraded', inactive: 1, shared: 'ok' }
    await expect.poll(health).toEqual(expected)
  })

  test(
    'becomes active by itself with all its rows when the server is back',
    async () => {
      await server.start()
      await expect.poll(() => statusOf(tenant)).toBe('active')
      await expect.poll(async () => (await read(tenant)).status).toBe(200)
      expect((await read(tenant, `${PLACES}/${place}`)).body).toEqual(before)
      await makePlace(caller, tenant, 'New')
      expect((await signIn(tenant)).status).toBe(200)
      expect(await degraded(tenant)).toMatchObject({ status: 200, degraded: null })
      expect(await databaseOf(tenant)).toMatchObject({ consecutiveFailures: 0, lastError: null })
    },
    SLOW,
  )

  test('never disturbed another tenant and did not end the process', async () => {
    await bystander.expectUndisturbed()
    expect(process.child.exitCode).toBeNull()
  })
})

describe('a database whose server swallows all packets', () => {
  let proxy: TcpProxy
  let tenant: TestTenant
  let place: string
  let bystander: Bystander
  let watched: Awaited<ReturnType<typeof watchUntilInactive>>
  let crowd: Promise<{ status: number; body: { code?: string } }[]>

  beforeAll(async () => {
    proxy = await TcpProxy.start(server)
    const { url } = await owner.createDatabase()
    tenant = await tenantIn(proxy.urlFor(url), { connectionTimeoutSeconds: 1 })
    place = await makePlace(caller, tenant, 'Out of sight')
    bystander = new Bystander(caller, neighbour)
    await proxy.setMode('black-hole')
    // More requests than the tenant's pool has connections.
    crowd = Promise.all(Array.from({ length: 40 }, () => read(tenant)))
    watched = await watchUntilInactive(tenant)
  })
  afterAll(() => proxy?.close())

  test('becomes inactive after three failed rounds, not earlier', () => {
    expectInactiveAfterThreeRounds(watched)
    expect(watched.rounds.at(-1)?.lastError?.code).toBe('CONNECTION_TIMEOUT')
  })

  test('keeps no request waiting for ever', async () => {
    const codes = new Set((await crowd).map(({ status, body }) => `${status} ${body.code}`))
    const known = [`503 ${UNAVAILABLE}`, '503 NO_CONNECTION_AVAILABLE']
    expect([...codes].filter((code) => !known.includes(code))).toEqual([])
    await expectRefused(tenant, place)
    expect(await degraded(tenant)).toMatchObject({ status: 200, degraded: 'tenant-database' })
  })

  test('delays no other tenant', async () => {
    await bystander.expectUndisturbed()
  })

  test(
    'becomes active by itself when the server is back',
    async () => {
      await proxy.setMode('pass')
      await expect.poll(() => statusOf(tenant)).toBe('active')
      const names = async () => (await read(tenant)).body.data?.map(({ name }: { name: string }) => name)
      await expect.poll(names).toEqual(['Out of sight'])
    },
    SLOW,
  )

  test('does not keep the gateway from an orderly shutdown within the grace period', async () => {
    await proxy.setMode('black-hole')
    const waiting = read(tenant).catch(() => null)
    expect(await process.end('SIGTERM')).toBe(0)
    await waiting
  })
})
