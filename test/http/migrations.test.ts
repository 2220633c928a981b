import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createDatabase, createRole, dropAll, query, superuserUrl, urlFor } from '../support/database.ts'
import {
  createStage,
  type Stage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'
import { HIDDEN, releaseWith, SHOWN } from '../support/releases.ts'
import { API, expectProblem, UNKNOWN_ID } from './support.ts'

const SOON = { timeout: 60_000, interval: 50 }
/** Fails if the database says so, and not before a validation would have timed out. */
const SPOILT = {
  '0092_slow': `DO $$ BEGIN IF to_regclass('public.slow_here') IS NOT NULL THEN PERFORM pg_sleep(8.5); END IF; END $$`,
  '0093_broken': `DO $$ BEGIN IF to_regclass('public.broken_here') IS NOT NULL THEN RAISE 'a secret'; END IF; END $$`,
}
const VERBS = ['pause', 'resume', 'cancel', 'retry']
const OLD = { core: expect.any(String), application: '0090_hide' }
const TARGET = { core: expect.any(String), application: '0093_broken' }

let stage: Stage
let gateway: TestGateway
let shared: TestTenant
let own: TestTenant
let broken: TestTenant
const urls = new Map<TestTenant, string>()
const cleaning: (() => Promise<void>)[] = []

async function freshUrl(more = 'SELECT 1'): Promise<string> {
  const role = await createRole()
  const url = urlFor({ role, database: await createDatabase({ owner: role.name }) })
  await query(url, more)
  return url
}

beforeAll(async () => {
  const until = (clean: () => Promise<void>) => void cleaning.push(clean)
  stage = await createStage()
  const older = await startGateway(stage, {}, await releaseWith(HIDDEN, until))
  const tenants = [await older.createTenant(), await older.createTenant(), await older.createTenant()]
  ;[shared, own, broken] = tenants as [TestTenant, TestTenant, TestTenant]
  for (const tenant of [own, broken]) {
    const url = await freshUrl()
    urls.set(tenant, url)
    expect(await older.registerDatabase(tenant.id, url)).toMatchObject({
      status: 'active',
      schemaVersion: OLD,
    })
  }
  await query(urls.get(broken) ?? '', 'CREATE TABLE broken_here (n int)')
  await older.close()
  gateway = await startGateway(
    stage,
    { MIGRATE_ON_START: 'catalog' },
    await releaseWith({ ...SHOWN, ...SPOILT }, until),
  )
})
afterAll(async () => {
  await gateway?.close()
  for (const clean of cleaning) await clean()
  await dropAll()
})

const operator = (method: 'GET' | 'POST' | 'PUT', path: string, body?: object) =>
  gateway.operator(method, path, body)
const databaseOf = async ({ id }: TestTenant) => (await operator('GET', `/tenants/${id}/database`)).body
const contacts = ({ token }: TestTenant, body?: object) =>
  gateway.call(body === undefined ? 'GET' : 'POST', `${API}/contacts`, { token, ...(body && { body }) })
const places = ({ token }: TestTenant) => gateway.call('GET', `${API}/places`, { token })
const jobsOf = async (filter: string) => (await operator('GET', `/jobs?kind=migration&${filter}`)).body.data
const states = async (filter = '') =>
  ((await operator('GET', `/migrations/databases${filter}`)).body.data as Record<string, unknown>[]).map(
    ({ tenantId, state }) => [tenantId, state],
  )

async function ended(id: string) {
  const run = async () => (await operator('GET', `/migrations/runs/${id}`)).body
  await expect.poll(async () => (await run()).finishedAt, SOON).not.toBeNull()
  return run()
}

describe('databases that are behind the release', () => {
  test('stay active and serve what their schema allows; the rest is 503 TENANT_SCHEMA_OUT_OF_DATE', async () => {
    for (const tenant of [own, broken, shared]) {
      const answers = [await contacts(tenant), await contacts(tenant, { name: 'Ada', phone: '1' })]
      for (const answer of answers) {
        expectProblem(answer, { status: 503, code: 'TENANT_SCHEMA_OUT_OF_DATE' })
        expect(answer.headers.get('retry-after')).toBe('30')
        expect(answer.text).not.toMatch(/column|phone/)
      }
      expect((await places(tenant)).status).toBe(200)
      expect((await gateway.call('GET', `${API}/auth/me`, { token: tenant.token })).status).toBe(200)
    }
    for (const tenant of [own, broken]) {
      // A health round records it.
      await expect
        .poll(() => databaseOf(tenant), SOON)
        .toMatchObject({
          ...{ status: 'active', schemaVersion: OLD, consecutiveFailures: 0 },
          ...{ lastError: { code: 'SCHEMA_OUT_OF_DATE' } },
        })
    }
  })

  test('are counted in /health, in the metrics and by GET /migrations, which names them', async () => {
    const health = await gateway.call('GET', '/health')
    expect([health.status, health.body.status]).toEqual([200, 'ok'])
    expect(health.body.schema).toEqual({ current: 0, behind: 3, failed: 0 })
    expect((await gateway.call('GET', '/readyz')).status).toBe(200)
    const { text } = await gateway.call('GET', '/metrics')
    expect(text).toMatch(/^freehold_database_schemas\{state="behind"\} 3$/m)
    expect((await operator('GET', '/migrations')).body).toEqual({
      target: TARGET,
      databases: { current: 0, behind: 3, failed: 0, unreachable: 0, drifted: 0 },
      run: null,
    })
    expect(await states()).toEqual([
      [null, 'behind'],
      [own.id, 'behind'],
      [broken.id, 'behind'],
    ])
    expect(await states('?state=current')).toEqual([])
    const first = await operator('GET', '/migrations/databases?limit=1&state=behind')
    expect(first.body.data.slice(0, 2)).toMatchObject([
      { tenantId: null, schemaVersion: OLD, lastError: null },
      { tenantId: own.id, schemaVersion: OLD, lastError: { code: 'SCHEMA_OUT_OF_DATE' } },
    ])
    const next = await operator(
      'GET',
      `/migrations/databases?limit=1&state=behind&cursor=${first.body.nextCursor}`,
    )
    expect(next.body.data.map(({ tenantId }: { tenantId: string }) => tenantId)).toEqual([broken.id])
  })

  test('are validated again without being migrated', async () => {
    expect((await operator('POST', `/tenants/${own.id}/database/validate`)).status).toBe(202)
    const unfinished = async () => (await operator('GET', `/jobs?tenantId=${own.id}`)).body.data[0]
    await expect.poll(unfinished, SOON).toMatchObject({ kind: 'validation', status: 'succeeded' })
    expect(await databaseOf(own)).toMatchObject({ status: 'active', schemaVersion: OLD })
    expect(await jobsOf(`tenantId=${own.id}&status=queued`)).toEqual([])
  })
})

describe('POST /migrations/runs', () => {
  test('is refused with unknown fields, and for callers who are not administrators', async () => {
    const wrong: [body: object, pointer: string][] = [
      ...[{ unknown: true }, { concurrency: 0 }, { perServer: 'two' }, { shared: 'middle' }, { canary: -1 }],
      ...[{ lockTimeoutMs: 1 }, { haltAfterFailures: 0 }, { tenants: [] }, { waves: [] }],
    ].map((body) => [body, `/${Object.keys(body)[0]}`])
    wrong.push([{ waves: [10, 101] }, '/waves/1'], [{ waves: [50, 10, 100] }, '/waves/1'])
    wrong.push([{ tenants: [own.code, 'unknown'] }, '/tenants/1'])
    for (const [body, pointer] of wrong) {
      const answer = await operator('POST', '/migrations/runs', body)
      expectProblem(answer, { status: 400, code: 'VALIDATION_FAILED', pointers: [pointer] })
    }
    const made = await operator('POST', '/operators' as never, { name: 'Viewer', role: 'viewer' })
    const headers = { authorization: `Bearer ${made.body.token}` }
    const viewer = (method: 'GET' | 'POST', path: string) =>
      gateway.call(method, `${API}${path}`, { headers })
    for (const path of ['', ...VERBS.map((verb) => `/${UNKNOWN_ID}/${verb}`)])
      expect((await viewer('POST', `/migrations/runs${path}`)).status, path).toBe(403)
    for (const verb of VERBS)
      expectProblem(await operator('POST', `/migrations/runs/${UNKNOWN_ID}/${verb}`), {
        status: 404,
        code: 'NOT_FOUND',
      })
    for (const path of ['/migrations', '/migrations/databases', '/migrations/runs'])
      expect((await viewer('GET', path)).status, path).toBe(200)
    expect((await gateway.call('GET', `${API}/migrations`, { token: own.token })).status).toBe(403)
    for (const path of [UNKNOWN_ID, `${UNKNOWN_ID}/databases`])
      expectProblem(await operator('GET', `/migrations/runs/${path}`), { status: 404, code: 'NOT_FOUND' })
  })

  test('202: one job for each database, the shared one included; a database that fails stays in service and says why', async () => {
    // A session reads the table. The migration waits for its lock, and does not block others meanwhile.
    const reader = new Client({ connectionString: urls.get(own) ?? '' })
    await reader.connect()
    onTestFinished(() => reader.end())
    await reader.query('BEGIN; SELECT FROM contacts')
    const { status, body } = await operator('POST', '/migrations/runs', {})
    expect(status).toBe(202)
    const counts = { total: 3, done: expect.any(Number), failed: expect.any(Number), skipped: 0 }
    expect(body).toEqual({
      ...{ id: expect.any(String), status: 'running', target: TARGET, wave: 0, error: null },
      ...{ waves: Array(3).fill({ size: 1, done: expect.any(Number), failed: expect.any(Number) }), counts },
      ...{ createdAt: expect.any(String), finishedAt: null },
    })
    expectProblem(await operator('POST', '/migrations/runs', {}), { status: 409, code: 'RUN_IN_PROGRESS' })
    expect((await operator('GET', '/migrations')).body.run).toMatchObject({ id: body.id, status: 'running' })
    const waiting = async () => (await jobsOf(`tenantId=${own.id}`))[0]
    await expect.poll(waiting, SOON).toMatchObject({ runId: body.id, error: { code: 'MIGRATION_FAILED' } })
    expect((await places(own)).status).toBe(200)
    await reader.query('COMMIT')

    expect(await ended(body.id)).toMatchObject({
      ...{ status: 'failed', error: { code: 'MIGRATION_FAILED' } },
      ...{ wave: 2, counts: { total: 3, done: 2, failed: 1, skipped: 0 } },
      waves: [0, 0, 1].map((failed) => ({ size: 1, done: 1 - failed, failed })),
    })
    const list = await operator('GET', '/migrations/runs')
    expect(list.body).toMatchObject({ data: [{ id: body.id, status: 'failed' }], nextCursor: null })
    const databases = (filter = '') => operator('GET', `/migrations/runs/${body.id}/databases${filter}`)
    const moments = { startedAt: expect.any(String), finishedAt: expect.any(String) }
    const migrated = { state: 'succeeded', schemaVersion: TARGET, error: null, ...moments }
    const error = { code: 'MIGRATION_FAILED', message: expect.any(String) }
    const parts = { wave: 2, state: 'failed', schemaVersion: null, error, ...moments }
    const page = await databases('?limit=2')
    expect(page.body.data).toEqual([
      { tenantId: null, wave: 0, ...migrated },
      { tenantId: own.id, wave: 1, ...migrated },
    ])
    const rest = await databases(`?limit=2&cursor=${page.body.nextCursor}`)
    expect(rest.body).toEqual({ data: [{ tenantId: broken.id, ...parts }], nextCursor: null })
    const [job] = await jobsOf(`tenantId=${own.id}`)
    expect(job).toMatchObject({
      ...{ status: 'succeeded', error: null, result: { schemaVersion: TARGET } },
      ...{ step: 'applying', progress: { done: 3, total: 3 } },
    })
    expect((await operator('GET', '/audit-log?action=migration.run')).body.data).toMatchObject([
      { actor: { type: 'operator' }, tenantId: null, after: { runId: body.id, total: 3 } },
    ])

    for (const tenant of [own, shared])
      await expect.poll(async () => (await contacts(tenant)).status, SOON).toBe(200)
    expect(await databaseOf(own)).toMatchObject({ status: 'active', schemaVersion: TARGET, lastError: null })
    // Its first migration is applied, and the second one failed.
    expect((await contacts(broken)).status).toBe(200)
    const failed = await databaseOf(broken)
    expect(failed).toMatchObject({ status: 'active', lastError: { code: 'MIGRATION_FAILED' } })
    expect(JSON.stringify([failed, await jobsOf(`tenantId=${broken.id}`)])).not.toContain('secret')
    expect(await states()).toEqual([
      [null, 'current'],
      [own.id, 'current'],
      [broken.id, 'failed'],
    ])
    expect((await gateway.call('GET', '/health')).body.schema).toEqual({ current: 2, behind: 0, failed: 1 })
  })

  test('202 again: repaired databases are migrated, and migrated ones are left as they are', async () => {
    await query(urls.get(broken) ?? '', 'DROP TABLE broken_here')
    const { body } = await operator('POST', '/migrations/runs')
    expect(await ended(body.id)).toMatchObject({
      ...{ status: 'succeeded', error: null, counts: { total: 3, done: 3, failed: 0, skipped: 0 } },
    })
    expect(await databaseOf(broken)).toMatchObject({ schemaVersion: TARGET, lastError: null })
    const [job] = await jobsOf(`tenantId=${own.id}`)
    expect(job).toMatchObject({
      runId: body.id,
      status: 'succeeded',
      progress: null,
      result: { applied: [] },
    })
  })
})

describe('the first migrations of a database', () => {
  test('are a job between two validations, with its own progress', async () => {
    const { id } = await gateway.createTenant()
    const settled = await gateway.registerDatabase(id, await freshUrl())
    expect(settled).toMatchObject({ status: 'active', schemaVersion: TARGET })
    const jobs = async () => (await operator('GET', `/jobs?tenantId=${id}`)).body.data
    await expect.poll(jobs, SOON).toMatchObject([
      { kind: 'validation', status: 'succeeded', result: { databaseStatus: 'active' } },
      { kind: 'migration', status: 'succeeded', runId: null, attempts: 1 },
      { kind: 'validation', status: 'succeeded', result: { migrationNeeded: true } },
    ])
    const [, { progress }] = await jobs()
    expect(progress.done).toBe(progress.total)
    expect(progress.total).toBeGreaterThan(4)
  })

  test('may take longer than a validation, and fail with their own code', async () => {
    const { id } = await gateway.createTenant()
    const url = await freshUrl('CREATE TABLE slow_here (n int); CREATE TABLE broken_here (n int)')
    const connectionString = url
    expect((await operator('PUT', `/tenants/${id}/database`, { connectionString })).status).toBe(202)
    const running = () => jobsOf(`tenantId=${id}&status=running`)
    await expect.poll(running, SOON).toMatchObject([{ step: 'applying' }])
    const pending = await operator('GET', `/tenants/${id}/database`)
    expect(pending.body).toMatchObject({ status: 'pending_validation', lastError: null })
    const { status, lastError } = await gateway.waitForDatabase(id)
    expect([status, lastError.code]).toEqual(['failed', 'MIGRATION_FAILED'])
    expect(await jobsOf(`tenantId=${id}`)).toMatchObject([
      { status: 'failed', error: { code: 'MIGRATION_FAILED' } },
    ])
    const tables = await query(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    expect(tables).toEqual([{ tablename: 'broken_here' }, { tablename: 'slow_here' }])
  })

  test('are aborted when they are cancelled, and leave nothing behind', async () => {
    const { id } = await gateway.createTenant()
    const url = await freshUrl('CREATE TABLE slow_here (n int)')
    expect((await operator('PUT', `/tenants/${id}/database`, { connectionString: url })).status).toBe(202)
    const running = () => jobsOf(`tenantId=${id}&status=running`)
    await expect.poll(running, SOON).toMatchObject([{ step: 'applying' }])
    const [{ id: jobId }] = await running()
    expect((await operator('POST', `/jobs/${jobId}/cancel`)).status).toBe(202)
    await expect
      .poll(async () => (await operator('GET', `/jobs/${jobId}`)).body.status, SOON)
      .toBe('cancelled')
    expect((await operator('GET', `/tenants/${id}/database`)).body).toMatchObject({
      ...{ status: 'failed', lastError: { code: 'UNKNOWN', message: expect.stringContaining('cancelled') } },
    })
  })
})

describe('replicas of different releases', () => {
  test('leave unknown migrations to the newer ones, and report no success for them', async () => {
    const older = await startGateway(
      stage,
      { MIGRATE_ON_START: 'catalog' },
      await releaseWith({ ...SHOWN, ...SPOILT }),
    )
    onTestFinished(() => older.close())
    const added = { '0094_more': 'ALTER TABLE contacts ADD COLUMN nickname text' }
    const release = await releaseWith({ ...SHOWN, ...SPOILT, ...added })
    const newer = await startGateway(stage, { MIGRATE_ON_START: 'catalog' }, release)
    onTestFinished(() => newer.close())
    const { id } = await newer.createTenant()
    const { status, body } = await newer.operator('POST', '/migrations/runs', {})
    expect(status).toBe(202)
    expect(await newer.registerDatabase(id, await freshUrl())).toMatchObject({
      ...{ status: 'active', schemaVersion: { application: '0094_more' } },
    })
    const run = await ended(body.id)
    const catalog = superuserUrl(new URL(stage.catalogUrl).pathname.slice(1))
    const needs = 'SELECT DISTINCT needs FROM jobs WHERE run_id = $1'
    expect(await query(catalog, needs, [body.id])).toEqual([
      {
        needs: [
          ...[expect.stringMatching(/^migration:core\//), 'migration:application/0094_more'],
          'migration-run:waves',
        ],
      },
    ])
    expect(run).toMatchObject({ status: 'succeeded', target: { application: '0094_more' } })
    for (const tenant of [own, broken])
      expect(await databaseOf(tenant)).toMatchObject({ schemaVersion: { application: '0094_more' } })
    expect((await newer.call('GET', '/health')).body.schema).toMatchObject({ behind: 0 })
    // The older replicas still serve databases that are ahead of them.
    expect((await contacts(own)).status).toBe(200)
    expect((await gateway.call('GET', '/health')).body.schema).toMatchObject({ behind: 0 })
  })
})
