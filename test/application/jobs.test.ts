import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { ApplicationJob, Tenant } from '../../src/index.ts'
import { moveToOwnDatabase } from '../http/support.ts'
import { createDatabase, createRole, query, superuserUrl, urlFor } from '../support/database.ts'
import {
  createStage,
  type Stage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { bookings as application } from './bookings/application.ts'
import { rooms } from './bookings/tables.ts'

const SOON = { timeout: 60_000, interval: 50 }
const EACH_SECOND = '* * * * * *'

let stage: Stage
let idle: TestGateway
let shared: TestTenant
let own: TestTenant

beforeAll(async () => {
  stage = await createStage({ application })
  idle = await startGateway(stage, {}, application)
  shared = await idle.createTenant()
  own = await idle.createTenant()
  await moveToOwnDatabase(idle, own.id)
})
afterAll(() => idle?.close())

/** A replica with these jobs. It runs until the test ends. */
async function replica(jobs: readonly ApplicationJob[]): Promise<TestGateway> {
  const gateway = await startGateway(stage, {}, { ...application, jobs })
  onTestFinished(() => gateway.close())
  return gateway
}

interface Round {
  readonly tenant_id: string | null
  readonly status: string
  readonly attempts: number
  readonly result: Record<string, number> | null
}

const inCatalog = (sql: string, params: unknown[]) =>
  query<Round>(superuserUrl(new URL(stage.catalogUrl).pathname.slice(1)), sql, params)
/** The jobs of rounds, and those that run for a skipped tenant later; the oldest first. */
const jobsOf = (name: string) =>
  inCatalog('SELECT tenant_id, status, attempts, result FROM jobs WHERE kind = $1 ORDER BY id', [
    `application/${name}`,
  ])

/** Resolves when the signal fires, like work that stops when it is aborted. */
const aborted = (signal: AbortSignal) =>
  new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    if (signal.aborted) reject(signal.reason)
  })

describe('a job for each tenant', () => {
  test('runs once a round on all replicas together, in every tenant, as an actor of its own', async () => {
    const done: string[] = []
    const perTenant = async (tenant: Tenant) => {
      await tenant.db.insert(rooms).values({ name: `Counted ${done.length}` })
      tenant.audit('count.rooms', { of: tenant.code })
      done.push(tenant.code)
    }
    const jobs = [{ name: 'count', cron: EACH_SECOND, perTenant }]
    const [one, other] = [await replica(jobs), await replica(jobs)]
    await expect.poll(async () => (await jobsOf('count')).length, SOON).toBeGreaterThan(3)
    await Promise.all([one.close(), other.close()])
    const rounds = await jobsOf('count')
    const ended = rounds.filter(({ status }) => status === 'succeeded')
    expect(ended.length).toBeGreaterThan(1)
    for (const { result } of ended) expect(result).toEqual({ succeeded: 2, failed: 0, skipped: 0 })
    for (const { code } of [shared, own]) {
      const times = done.filter((each) => each === code).length
      // The next replica repeats the tenant that was in progress when the first one stopped.
      expect(times - ended.length).toBeGreaterThanOrEqual(0)
      expect(times - ended.length).toBeLessThanOrEqual(rounds.length - ended.length)
      const made = await idle.gateway.tenants.run(code, ({ db }) => db.select().from(rooms), {
        actor: 'test',
      })
      expect(made).toHaveLength(times)
    }
    const audit = await idle.operator('GET', `/audit-log?action=count.rooms&tenantId=${own.id}`)
    expect(audit.body.data[0]).toMatchObject({
      ...{ actor: { type: 'system', id: 'job:count' }, after: { of: own.code } },
    })
    const seconds = await inCatalog(
      "SELECT payload ->> 'at' AS at FROM jobs WHERE kind = 'application/count' GROUP BY 1 HAVING count(*) > 1",
      [],
    )
    expect(seconds).toEqual([])
  })

  test('continues after a failure in one tenant, and reports it', async () => {
    const perTenant = async ({ id }: Tenant) => {
      if (id === shared.id) throw new Error('a secret')
    }
    const gateway = await replica([{ name: 'stumble', cron: EACH_SECOND, perTenant }])
    await expect
      .poll(async () => (await jobsOf('stumble'))[0], SOON)
      .toMatchObject({ status: 'succeeded', result: { succeeded: 1, failed: 1, skipped: 0 } })
    const { text } = await gateway.call('GET', '/metrics')
    expect(text).toMatch(/^freehold_job_tenants_total\{job="stumble",outcome="failed"\} [1-9]/m)
    expect(text).toMatch(/^freehold_job_tenants_total\{job="stumble",outcome="succeeded"\} [1-9]/m)
    expect(gateway.log()).toContain('job of the application failed in a tenant')
    const { body } = await gateway.operator('GET', '/jobs?kind=application/stumble&status=succeeded')
    expect(body.data.at(-1)).toMatchObject({ tenantId: null, progress: { done: 2, total: 2 }, error: null })
    expect(JSON.stringify(body)).not.toContain('secret')
  })

  test('skips a tenant whose database is unreachable, reports it, and runs for it later', async () => {
    const role = await createRole()
    const url = new URL(urlFor({ role, database: await createDatabase({ owner: role.name }) }))
    const proxy = await TcpProxy.start({ host: url.hostname, port: Number(url.port) })
    onTestFinished(() => proxy.close())
    url.hostname = '127.0.0.1'
    url.port = String(proxy.port)
    const far = await idle.createTenant()
    expect(await idle.registerDatabase(far.id, url.href)).toMatchObject({ placement: 'dedicated' })
    const done: string[] = []
    const perTenant = async (tenant: Tenant) => {
      await tenant.db.select().from(rooms).limit(1)
      done.push(tenant.id)
    }
    await proxy.setMode('refuse')
    proxy.resetConnections()
    const gateway = await replica([{ name: 'remind', cron: EACH_SECOND, perTenant }])
    await expect
      .poll(async () => (await jobsOf('remind'))[0], SOON)
      .toMatchObject({ status: 'succeeded', result: { succeeded: 2, failed: 0, skipped: 1 } })
    const waiting = async () => (await jobsOf('remind')).find(({ tenant_id }) => tenant_id !== null)
    expect(await waiting()).toMatchObject({ tenant_id: far.id, result: null })
    expect(done).toEqual(expect.arrayContaining([shared.id, own.id]))
    expect(done).not.toContain(far.id)
    expect(gateway.log()).toContain('job skipped a tenant: its database is not available')
    const { text } = await gateway.call('GET', '/metrics')
    expect(text).toMatch(/^freehold_job_tenants_total\{job="remind",outcome="skipped"\} [1-9]/m)
    await proxy.setMode('pass')
    await expect.poll(async () => (await waiting())?.status, SOON).toBe('succeeded')
    expect(done).toContain(far.id)
    expect(gateway.log()).toContain('job completed for a skipped tenant')
    // Suspended, so that jobs of the other tests do not run in this tenant.
    const suspended = { status: 'INACTIVE' }
    expect((await idle.operator('PATCH', `/tenants/${far.id}`, suspended)).status).toBe(200)
  })

  test('is continued by another replica if the first one stops or loses its claim', async () => {
    const begun: string[] = []
    const stuck: ApplicationJob = {
      ...{ name: 'long', cron: EACH_SECOND },
      perTenant: async ({ id }, { signal }) => {
        begun.push(id)
        if (begun.length < 5) await aborted(signal)
      },
    }
    const first = await replica([stuck])
    await expect.poll(() => begun.length, SOON).toBe(2)
    const second = await replica([stuck])
    await first.close()
    // The second replica runs the job now. The test takes its claim away, as if the replica were dead.
    await expect.poll(() => begun.length, SOON).toBe(4)
    const cutOff = async () => {
      const sql =
        "UPDATE jobs SET leased_until = now() - interval '1 second' WHERE kind = $1 AND attempts = 2"
      await inCatalog(`${sql} AND status = 'running'`, ['application/long'])
      return (await jobsOf('long'))[0]?.attempts
    }
    await expect.poll(cutOff, SOON).toBe(3)
    await expect
      .poll(async () => (await jobsOf('long'))[0], SOON)
      .toMatchObject({ status: 'succeeded', attempts: 3, result: { succeeded: 2, failed: 0, skipped: 0 } })
    await expect.poll(() => second.log(), SOON).toContain('job taken over by another replica')
    expect(begun.slice(4, 6).toSorted()).toEqual([shared.id, own.id].toSorted())
  })
})

describe('a job for all tenants', () => {
  test('runs once a round, and skips a round while the previous one runs', async () => {
    const gate = Promise.withResolvers<void>()
    let runs = 0
    const run: ApplicationJob['run'] = async ({ tenants, log }) => {
      runs += 1
      log.info({ runs }, 'sweeping')
      const { succeeded } = await tenants.each(async ({ db }) => db.select().from(rooms).limit(1))
      if (succeeded !== 2) throw new Error('not all')
      await gate.promise
    }
    const jobs = [{ name: 'sweep', cron: EACH_SECOND, run }]
    const [one, other] = [await replica(jobs), await replica(jobs)]
    const told = () =>
      (one.log() + other.log()).includes('job round skipped: the previous round is still running')
    await expect.poll(told, SOON).toBe(true)
    expect(runs).toBe(1)
    expect(await jobsOf('sweep')).toMatchObject([{ status: 'running' }])
    gate.resolve()
    await expect.poll(() => runs, SOON).toBeGreaterThan(1)
    await Promise.all([one.close(), other.close()])
    const rounds = await jobsOf('sweep')
    expect(rounds.reduce((sum, { attempts }) => sum + attempts, 0)).toBe(runs)
    expect(one.log() + other.log()).toContain('"job":"sweep"')
  })

  test('fails if it throws, and can be cancelled', async () => {
    const jobs: ApplicationJob[] = [
      {
        ...{ name: 'throw', cron: EACH_SECOND },
        run: async () => {
          throw new Error('a secret')
        },
      },
      { name: 'hang', cron: EACH_SECOND, run: ({ signal }) => aborted(signal) },
    ]
    const gateway = await replica(jobs)
    const oldest = async (name: string) =>
      (await gateway.operator('GET', `/jobs?kind=application/${name}`)).body.data.at(-1)
    await expect
      .poll(() => oldest('throw'), SOON)
      .toMatchObject({ status: 'failed', error: { code: 'INTERNAL_ERROR' }, attempts: 1 })
    await expect.poll(() => oldest('hang'), SOON).toMatchObject({ status: 'running' })
    const { id } = await oldest('hang')
    expect((await gateway.operator('POST', `/jobs/${id}/cancel`)).status).toBe(202)
    await expect.poll(() => oldest('hang'), SOON).toMatchObject({ id, status: 'cancelled' })
  })
})
