import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDatabase, createRole, dropAll, query, superuserUrl, urlFor } from '../support/database.ts'
import {
  type Answer,
  createStage,
  type Stage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { expectUnavailable, makePlace, PLACES, register } from './support.ts'

const UNAVAILABLE = 'CATALOG_UNAVAILABLE'
const STALENESS_SECONDS = 3
const HEALTH_WITHIN_MS = 1_000
/** On a silent connection, a query to the catalog lasts as long as its statement timeout. */
const SLOW = 60_000

let proxy: TcpProxy
/** The catalog behind the proxy. */
let stage: Stage
/** This gateway keeps its routes for long. For the other one they are soon too old. */
let patient: TestGateway
let strict: TestGateway
let shared: TestTenant
let dedicated: TestTenant
let database: string
let clientKey: string

beforeAll(async () => {
  const direct = await createStage()
  proxy = await TcpProxy.start({ port: Number(new URL(direct.catalogUrl).port) })
  stage = { ...direct, catalogUrl: proxy.urlFor(direct.catalogUrl) }
  patient = await startGateway(stage)
  strict = await startGateway(stage, { CATALOG_MAX_STALENESS_SECONDS: String(STALENESS_SECONDS) })
  shared = await patient.createTenant()
  dedicated = await patient.createTenant()
  const role = await createRole()
  database = await createDatabase({ owner: role.name })
  // Idle connections close soon, so that new ones must be opened in an outage.
  await register(
    { caller: patient, tenantId: dedicated.id, url: urlFor({ role, database }) },
    { idleTimeoutSeconds: 1 },
  )
  clientKey = await makeClientKey(shared)
  for (const tenant of [shared, dedicated]) await makePlace(patient, tenant, 'Known')
})
afterAll(async () => {
  await proxy?.setMode('pass')
  await patient?.close()
  await strict?.close()
  await proxy?.close()
  await dropAll()
})

async function makeClientKey({ id }: TestTenant): Promise<string> {
  const made = await patient.operator('POST', `/tenants/${id}/client-keys`, {
    name: 'Program',
    permissions: ['properties:*'],
  })
  expect(made.status).toBe(201)
  return made.body.key
}

const list = (gateway: TestGateway, { token }: TestTenant) => gateway.call('GET', PLACES, { token })
const listByKey = (key: string, code: string) =>
  patient.call('GET', PLACES, { headers: { 'x-client-key': key, 'x-tenant-code': code } })
const signIn = (tenantCode: string) =>
  patient.call('POST', '/api/v1/auth/login', {
    body: { tenantCode, email: 'unknown@example.org', password: 'not their password' },
  })
const rename = (name: string) => patient.operator('PATCH', `/tenants/${shared.id}`, { name })

/** Both gateways have loaded both tenants and the key. */
async function warm(): Promise<void> {
  for (const gateway of [patient, strict]) {
    for (const tenant of [shared, dedicated]) expect((await list(gateway, tenant)).status).toBe(200)
  }
  expect((await listByKey(clientKey, shared.code)).status).toBe(200)
  expect((await patient.call('GET', '/health')).body.databases.active).toBe(1)
}

const refresh = (refreshToken: string) =>
  patient.call('POST', '/api/v1/auth/refresh', { body: { refreshToken } })

/** A refresh token of a tenant that the first gateway has loaded, but for which it has not signed a token yet. */
async function signInElsewhere(): Promise<string> {
  const tenant = await strict.createTenant()
  const body = { tenantCode: tenant.code, ...tenant.admin }
  const pair = await strict.call('POST', '/api/v1/auth/login', { body })
  expect((await list(patient, tenant)).status).toBe(200)
  return pair.body.refreshToken as string
}

/** Requests rows of a known tenant from the strict gateway until its route is too old. */
async function askUntilRefused(tenant: TestTenant): Promise<Answer> {
  const deadline = performance.now() + SLOW / 2
  for (;;) {
    const answer = await list(strict, tenant)
    if (answer.status !== 200 || performance.now() > deadline) return answer
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function sessionsOf(name: string): Promise<number> {
  const rows = await query(superuserUrl(), 'SELECT FROM pg_stat_activity WHERE datname = $1', [name])
  return rows.length
}

/** The fastest of several requests. A busy machine may delay one request; waiting for the catalog delays all. */
async function lookAtHealth(): Promise<{ answer: Answer; quickestMs: number }> {
  let quickestMs = Number.POSITIVE_INFINITY
  for (let look = 1; ; look += 1) {
    const begun = performance.now()
    const answer = await patient.call('GET', '/health')
    quickestMs = Math.min(quickestMs, performance.now() - begun)
    if (look === 3) return { answer, quickestMs }
    // A report is cached for a second. The next request must get a new one.
    await new Promise((resolve) => setTimeout(resolve, 1_100))
  }
}

describe.each(['refuse', 'black-hole'] as const)('while the catalog answers with %s', (mode) => {
  let unknown: Promise<Answer[]>
  let tooOld: Promise<Answer[]>
  let refreshToken: string
  let refused: Promise<Answer>

  beforeAll(async () => {
    await warm()
    refreshToken = await signInElsewhere()
    await proxy.setMode(mode)
    if (mode === 'refuse') proxy.resetConnections()
    // They begin together, because in a black hole each one waits until its own deadline.
    unknown = Promise.all([
      signIn('no-such-tenant'),
      listByKey(`fhk_${'a'.repeat(12)}_${'b'.repeat(43)}`, shared.code),
      rename('Renamed'),
      patient.operator('POST', '/tenants', { code: `new-${mode}`, name: 'New' }),
      patient.operator('DELETE', `/tenants/${dedicated.id}/database`),
      patient.operator('POST', `/tenants/${shared.id}/client-keys`, { name: 'Late', permissions: [] }),
    ])
    refused = refresh(refreshToken)
    tooOld = Promise.all([shared, dedicated].map(askUntilRefused))
  })

  test('serves reads and writes of known tenants with known credentials', async () => {
    for (const tenant of [shared, dedicated]) {
      expect((await list(patient, tenant)).status).toBe(200)
      await makePlace(patient, tenant, `In spite of ${mode}`)
    }
    expect((await listByKey(clientKey, shared.code)).status).toBe(200)
    expect(await patient.login(shared.code, shared.admin)).toMatch(/^ey/)
  })

  test('opens new connections to a known database', async () => {
    await expect.poll(() => sessionsOf(database)).toBe(0)
    expect((await list(patient, dedicated)).status).toBe(200)
    expect(await sessionsOf(database)).toBeGreaterThan(0)
  })

  test('probes answer in time and report the outage', async () => {
    expect((await patient.call('GET', '/livez')).status).toBe(200)
    const { answer, quickestMs } = await lookAtHealth()
    expect(quickestMs).toBeLessThan(HEALTH_WITHIN_MS)
    expect(answer.status).toBe(200)
    expect(answer.body).toMatchObject({
      status: 'degraded',
      catalog: { status: 'down', latencyMs: null },
      shared: { status: 'ok' },
      databases: { active: 1 },
    })
  })

  test(
    'answers unknown tenants, unknown keys and writing operators with 503 and Retry-After',
    async () => {
      for (const answer of await unknown) expectUnavailable(answer, UNAVAILABLE)
    },
    SLOW,
  )

  test(
    'refuses what a gateway has kept too long, and only on that gateway',
    async () => {
      for (const answer of await tooOld) expectUnavailable(answer, UNAVAILABLE)
      for (const tenant of [shared, dedicated]) expect((await list(patient, tenant)).status).toBe(200)
    },
    SLOW,
  )

  test(
    'everything works again by itself when the catalog is back',
    async () => {
      await proxy.setMode('pass')
      await expect.poll(async () => (await rename('Back')).status).toBe(200)
      for (const tenant of [shared, dedicated]) {
        await expect.poll(async () => (await list(strict, tenant)).status).toBe(200)
      }
      const fresh = await patient.createTenant()
      expect((await list(strict, fresh)).status).toBe(200)
      const health = async () => (await patient.call('GET', '/health')).body.catalog.status
      await expect.poll(health).toBe('ok')
      const { body } = await patient.operator('GET', `/tenants/${dedicated.id}/database`)
      expect(body).toMatchObject({ status: 'active', consecutiveFailures: 0 })
    },
    SLOW,
  )

  test('a refresh token that could not be exchanged stays valid', async () => {
    expectUnavailable(await refused, UNAVAILABLE)
    const { status, text } = await refresh(refreshToken)
    expect(status, text).toBe(200)
  })
})
