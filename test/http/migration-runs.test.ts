import { Client } from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { createDatabase, createRole, dropAll, query, superuserUrl, urlFor } from '../support/database.ts'
import {
  createStage,
  type Stage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'
import { HIDDEN, releaseWith } from '../support/releases.ts'

const SOON = { timeout: 60_000, interval: 20 }
const LAST = '0095_step'
/**
 * Fails where there is a table `broken_here`. Waits where another session has locked the table `gate`. Writes a line of its own.
 * A test can take it back, so that the database is behind again.
 */
const STEP = {
  [LAST]: `DO $$ BEGIN
    IF to_regclass('public.broken_here') IS NOT NULL THEN RAISE 'a secret'; END IF;
    IF to_regclass('public.gate') IS NOT NULL THEN LOCK TABLE public.gate IN ACCESS EXCLUSIVE MODE; END IF;
    IF to_regclass('public.steps') IS NOT NULL THEN
      INSERT INTO public.steps VALUES (clock_timestamp(), current_setting('lock_timeout')); END IF;
  END $$`,
}

interface Database {
  readonly tenant: TestTenant
  readonly url: string
  readonly name: string
}

let stage: Stage
let one: TestGateway
let two: TestGateway
let databases: Database[] = []
const cleaning: (() => Promise<void>)[] = []

beforeAll(async () => {
  const until = (clean: () => Promise<void>) => void cleaning.push(clean)
  stage = await createStage()
  const older = await startGateway(stage, {}, await releaseWith(HIDDEN, until))
  for (let at = 0; at < 5; at += 1) {
    const role = await createRole()
    const name = await createDatabase({ owner: role.name })
    const url = urlFor({ role, database: name })
    const tenant = await older.createTenant()
    expect(await older.registerDatabase(tenant.id, url)).toMatchObject({ status: 'active' })
    await query(url, 'CREATE TABLE gate (); CREATE TABLE steps (at timestamptz, lock_timeout text)')
    databases.push({ tenant, url, name })
  }
  // A run takes them in the order of the ids of their entries.
  const catalog = superuserUrl(new URL(stage.catalogUrl).pathname.slice(1))
  const order = await query<{ tenant_id: string }>(
    catalog,
    'SELECT tenant_id FROM tenant_databases ORDER BY id',
  )
  const place = ({ tenant }: Database) => order.findIndex((row) => row.tenant_id === tenant.id)
  databases = databases.toSorted((a, b) => place(a) - place(b))
  await older.close()
  const release = await releaseWith({ ...HIDDEN, ...STEP }, until)
  const settings = { MIGRATE_ON_START: 'catalog' }
  ;[one, two] = await Promise.all([
    startGateway(stage, settings, release),
    startGateway(stage, settings, release),
  ])
})
afterAll(async () => {
  await Promise.all([one?.close(), two?.close()])
  for (const clean of cleaning) await clean()
  await dropAll()
})
beforeEach(async () => {
  const undo = `DELETE FROM freehold_migrations WHERE id = '${LAST}'`
  await query(stage.sharedUrl, undo)
  for (const { url } of databases)
    await query(url, `${undo}; DELETE FROM steps; DROP TABLE IF EXISTS broken_here`)
})

const RUNS = '/migrations/runs'
const runOf = async (id: string) => (await two.operator('GET', `${RUNS}/${id}`)).body
const statusOf = async (id: string) => (await runOf(id)).status
const steer = (id: string, verb: string) => two.operator('POST', `${RUNS}/${id}/${verb}`)
const statesOf = async (id: string) =>
  (
    (await one.operator('GET', `${RUNS}/${id}/databases?limit=200`)).body.data as Record<string, unknown>[]
  ).map(({ state, error }) => (error === null ? state : [state, (error as { code: string }).code]))
const stepsIn = ({ url }: Database) =>
  query<{ at: Date; lock_timeout: string }>(url, 'SELECT * FROM steps ORDER BY at')

async function start(options: object): Promise<string> {
  const { status, body } = await one.operator('POST', RUNS, options)
  expect([status, body.status]).toEqual([202, 'running'])
  return body.id
}

/** A session in this database that lets no migration pass until it is released. */
async function closeGate({ url }: Database): Promise<() => Promise<void>> {
  const client = new Client({ connectionString: url })
  await client.connect()
  await client.query('BEGIN; LOCK TABLE gate IN ACCESS EXCLUSIVE MODE')
  const open = async () => void (await client.query('ROLLBACK'))
  onTestFinished(() => client.end())
  return open
}

/** The databases in which a migration waits at the gate. */
async function waiting(): Promise<number[]> {
  const rows = await query<{ datname: string }>(
    superuserUrl(),
    "SELECT DISTINCT datname FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%public.gate%'",
  )
  return rows.map(({ datname }) => databases.findIndex(({ name }) => name === datname)).toSorted()
}

const WAITS_LONG = { lockTimeoutMs: 60_000 }

describe('a run with two gateways', () => {
  test('migrates each database once, wave after wave, with the lock timeout that was asked for', async () => {
    const id = await start({ shared: 'last', canary: 1, waves: [60, 100], lockTimeoutMs: 1_234 })
    await expect.poll(() => statusOf(id), SOON).toBe('succeeded')
    const steps = await Promise.all(databases.map(stepsIn))
    expect(steps.map((rows) => rows.map(({ lock_timeout }) => lock_timeout))).toEqual(
      databases.map(() => ['1234ms']),
    )
    const { body } = await two.operator('GET', `${RUNS}/${id}/databases`)
    expect(
      body.data.map(({ tenantId, wave, state }: Record<string, unknown>) => [tenantId, wave, state]),
    ).toEqual(
      [...databases.map(({ tenant }) => tenant.id), null].map((tenantId, at) => [
        tenantId,
        [0, 1, 1, 2, 2, 3][at],
        'succeeded',
      ]),
    )
    const at = steps.map(([step]) => step?.at.getTime() ?? 0)
    expect(Math.min(at[1] ?? 0, at[2] ?? 0)).toBeGreaterThan(at[0] ?? 0)
    expect(Math.min(at[3] ?? 0, at[4] ?? 0)).toBeGreaterThan(Math.max(at[1] ?? 0, at[2] ?? 0))
    for (const { tenant } of databases)
      expect((await one.operator('GET', `/tenants/${tenant.id}/database`)).body).toMatchObject({
        ...{ status: 'active', schemaVersion: { application: LAST }, lastError: null },
      })
  })

  test('keeps to its limits, and ends what it has begun before it is paused', async () => {
    const open = await Promise.all(databases.map(closeGate))
    const id = await start({ shared: 'skip', canary: 0, waves: [100], perServer: 3, ...WAITS_LONG })
    await expect.poll(waiting, SOON).toEqual([0, 1, 2])
    expect((await steer(id, 'pause')).body.status).toBe('running')
    await open[0]?.()
    await expect
      .poll(() => statesOf(id), SOON)
      .toEqual(['succeeded', 'running', 'running', 'waiting', 'waiting'])
    await open[1]?.()
    await open[2]?.()
    await expect.poll(() => statusOf(id), SOON).toBe('paused')
    expect((await one.operator('GET', '/migrations')).body.run).toMatchObject({ id, status: 'paused' })
    expect(await statesOf(id)).toEqual(['succeeded', 'succeeded', 'succeeded', 'waiting', 'waiting'])
    expect((await one.operator('POST', RUNS, {})).body.code).toBe('RUN_IN_PROGRESS')

    // Meanwhile one tenant is suspended. It comes back later, and the next run takes its database.
    const path = `/tenants/${databases[3]?.tenant.id}`
    expect((await one.operator('PATCH', path, { status: 'INACTIVE' })).status).toBe(200)
    await steer(id, 'resume')
    await expect.poll(waiting, SOON).toEqual([4])
    await open[4]?.()
    await expect.poll(() => statusOf(id), SOON).toBe('succeeded')
    expect(await runOf(id)).toMatchObject({ counts: { total: 5, done: 4, failed: 0, skipped: 1 } })
    expect((await statesOf(id))[3]).toEqual(['skipped', 'TENANT_SUSPENDED'])
    expect(await stepsIn(databases[3] as Database)).toEqual([])
    await open[3]?.()
    expect((await one.operator('PATCH', path, { status: 'ACTIVE' })).status).toBe(200)
    const next = await start({ shared: 'skip', tenants: [databases[3]?.tenant.code] })
    await expect.poll(() => statusOf(next), SOON).toBe('succeeded')
    for (const database of databases) expect(await stepsIn(database)).toHaveLength(1)
  })

  test('is cancelled in the middle: the gateway lets go of a migration under way, and begins no other', async () => {
    const open = await closeGate(databases[0] as Database)
    const id = await start({ shared: 'skip', ...WAITS_LONG })
    await expect.poll(waiting, SOON).toEqual([0])
    expect((await steer(id, 'cancel')).status).toBe(202)
    await expect.poll(() => statusOf(id), SOON).toBe('cancelled')
    expect(await statesOf(id)).toEqual(databases.map(() => ['skipped', 'CANCELLED']))
    await open()
    for (const database of databases.slice(1)) expect(await stepsIn(database)).toEqual([])
    expect((await one.operator('GET', '/migrations')).body.run).toBeNull()
    expect((await steer(id, 'resume')).body).toMatchObject({ status: 409, code: 'WRONG_STATE' })
    const actions = await one.operator('GET', '/audit-log?action=migration.cancel')
    expect(actions.body.data).toMatchObject([{ actor: { type: 'operator' }, after: { runId: id } }])
  })
})

test('a run halts at the first failure, keeps the rest as it is, and goes on after the repair', async () => {
  const [canary] = databases as [Database]
  await query(canary.url, 'CREATE TABLE broken_here ()')
  const id = await start({ shared: 'first' })
  await expect.poll(() => statusOf(id), SOON).toBe('halted')
  expect(await runOf(id)).toMatchObject({
    ...{ wave: 1, counts: { total: 6, done: 1, failed: 1, skipped: 0 }, finishedAt: null },
    error: { code: 'MIGRATION_FAILED', message: '1 databases failed' },
  })
  expect(await statesOf(id)).toEqual([
    ...['succeeded', ['failed', 'MIGRATION_FAILED']],
    ...['waiting', 'waiting', 'waiting', 'waiting'],
  ])
  expect(one.log() + two.log()).toContain('migration run halted')
  await query(canary.url, 'DROP TABLE broken_here')
  expect((await steer(id, 'retry')).status).toBe(202)
  await expect.poll(() => statusOf(id), SOON).toBe('paused')
  expect((await statesOf(id)).slice(0, 3)).toEqual(['succeeded', 'succeeded', 'waiting'])
  expect((await steer(id, 'resume')).status).toBe(202)
  await expect.poll(() => statusOf(id), SOON).toBe('succeeded')
  for (const database of databases) expect(await stepsIn(database)).toHaveLength(1)
})

test('two operators at once: one run starts, the other is told', async () => {
  const answers = await Promise.all([one, two].map((each) => each.operator('POST', RUNS, { shared: 'skip' })))
  expect(answers.map(({ status }) => status).toSorted()).toEqual([202, 409])
  const id = answers.find(({ status }) => status === 202)?.body.id
  await expect.poll(() => statusOf(id), SOON).toBe('succeeded')
})
