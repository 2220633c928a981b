import { eq, sql } from 'drizzle-orm'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { MIGRATION, SHARED } from '../../src/catalog/jobs/kinds.ts'
import { requestCancel } from '../../src/catalog/jobs/list.ts'
import { claimJobs, endJob, giveJobBack, type Job, queueJob } from '../../src/catalog/jobs/queue.ts'
import { jobs } from '../../src/catalog/jobs/schema.ts'
import { advanceRun, runsUnderWay } from '../../src/catalog/runs/advance.ts'
import { describeRun, findRun } from '../../src/catalog/runs/list.ts'
import { RUN_DEFAULTS, type RunOptions } from '../../src/catalog/runs/options.ts'
import { migrationRunDatabases } from '../../src/catalog/runs/schema.ts'
import { startRun } from '../../src/catalog/runs/start.ts'
import { type RunVerb, steerRun } from '../../src/catalog/runs/steer.ts'
import { tenantDatabases, tenants } from '../../src/catalog/schema.ts'
import { newId } from '../../src/lib/ids.ts'
import { dropAll } from '../support/database.ts'
import { openCatalog, operator } from './catalog.ts'

afterAll(dropAll)

const TARGET = { core: '0003_seal', application: null }
/** Everything in one wave of dedicated databases, so that a test shows one thing. */
const PLAIN = { shared: 'skip', canary: 0, waves: [100], concurrency: 8, perServer: 8 } as const

/** A catalog with a dedicated database on each of these servers. Its tenants are `t-0`, `t-1` and so on. */
async function world(servers: readonly string[]) {
  const catalog = await openCatalog()
  onTestFinished(() => catalog.close())
  await catalog.vault.init()
  const { db } = catalog.store
  const ids: string[] = []
  for (const [at, host] of servers.entries()) {
    const { id } = await catalog.addTenant(`t-${at}`)
    await catalog.register(id)
    await db.update(tenantDatabases).set({ status: 'active', host }).where(eq(tenantDatabases.tenantId, id))
    await db.update(tenants).set({ placement: 'dedicated' }).where(eq(tenants.id, id))
    ids.push(id)
  }
  await db.delete(jobs)
  const nameOf = (tenantId: string | null) => (tenantId === null ? SHARED : `t-${ids.indexOf(tenantId)}`)
  const held = new Map<string, Job>()
  let run = ''
  const claim = async (limit = 100) => {
    const request = { kind: MIGRATION, knows: ['release'], replicaId: newId(), limit, leaseMs: 10_000 }
    const claimed = await claimJobs(db, request)
    for (const job of claimed) held.set(nameOf(job.tenantId), job)
    return claimed.map(({ tenantId }) => nameOf(tenantId))
  }
  return {
    ...{ catalog, db, ids, claim, held },
    start: async (options: Partial<RunOptions> = {}, named: readonly string[] | null = null) => {
      const all = { ...RUN_DEFAULTS, ...PLAIN, ...options }
      const more = { target: TARGET, needs: ['release'], actor: operator }
      run = await startRun(catalog.store, { ...more, options: all, tenants: named })
    },
    steer: (verb: RunVerb) => steerRun(catalog.store, { id: run, verb, actor: operator }),
    advance: () => advanceRun(catalog.store, run),
    /** Ends a claimed job, and lets the run go on. */
    end: async (name: string, status: 'succeeded' | 'failed' = 'succeeded') => {
      const job = held.get(name)
      if (job === undefined) throw new Error(`${name} is not claimed`)
      const error = { code: 'MIGRATION_FAILED', message: 'Migration core/x failed' }
      const end = status === 'succeeded' ? { status, result: { schemaVersion: TARGET } } : { status, error }
      expect(await endJob(db, job, end)).toBe(true)
      await advanceRun(catalog.store, run)
    },
    view: async () => describeRun(await findRun(catalog.store, run)),
    states: async () => {
      const { tenantId, state, errorCode, id } = migrationRunDatabases
      const rows = await db.select({ tenantId, state, errorCode }).from(migrationRunDatabases).orderBy(id)
      return rows.map((row) => [
        nameOf(row.tenantId),
        row.state,
        ...(row.errorCode === null ? [] : [row.errorCode]),
      ])
    },
    running: async () => {
      const rows = await db
        .select({ tenantId: migrationRunDatabases.tenantId })
        .from(migrationRunDatabases)
        .where(eq(migrationRunDatabases.state, 'running'))
      return rows.map(({ tenantId }) => nameOf(tenantId)).toSorted()
    },
  }
}

const many = (count: number, host = 'one') => Array.from({ length: count }, () => host)

describe('the waves of a run', () => {
  test('begin when every database of the wave before has ended: shared, canary, percents', async () => {
    const { start, claim, end, view } = await world(many(5))
    await start({ shared: 'first', canary: 1, waves: [50, 100] })
    expect((await view()).waves.map(({ size }) => size)).toEqual([1, 1, 2, 2])
    const taken: string[][] = []
    for (;;) {
      const names = await claim()
      if (names.length === 0) break
      taken.push(names)
      for (const [at, name] of names.entries()) {
        await end(name)
        // No database of the next wave is queued while one of this wave is under way.
        if (at < names.length - 1) expect(await claim()).toEqual([])
      }
    }
    expect(taken).toEqual([[SHARED], ['t-0'], ['t-1', 't-2'], ['t-3', 't-4']])
    expect(await view()).toMatchObject({
      ...{ status: 'succeeded', wave: 3, counts: { total: 6, done: 6, failed: 0, skipped: 0 } },
      ...{ waves: [1, 1, 2, 2].map((size) => ({ size, done: size, failed: 0 })), error: null },
    })
  })

  test('take the shared database last or not at all', async () => {
    const last = await world(many(1))
    await last.start({ shared: 'last' })
    expect(await last.claim()).toEqual(['t-0'])
    await last.end('t-0')
    expect(await last.claim()).toEqual([SHARED])
    const without = await world(many(1))
    await without.start({ shared: 'skip' })
    expect((await without.view()).counts.total).toBe(1)
    const empty = await world([])
    await empty.start({ shared: 'skip' })
    expect(await empty.view()).toMatchObject({ status: 'succeeded', waves: [], counts: { total: 0 } })
  })

  test('hold the databases of the named tenants only, and the shared one only if one of them lives there', async () => {
    const { start, states, steer, catalog, ids } = await world(many(3))
    await catalog.addTenant('resident')
    await start({ shared: 'first' }, [' T-2 ', ids[0] ?? ''])
    expect(await states()).toEqual([
      ['t-0', 'running'],
      ['t-2', 'running'],
    ])
    await steer('cancel')
    await catalog.store.db.delete(migrationRunDatabases)
    await start({ shared: 'first' }, ['t-1', 'resident'])
    expect(await states()).toEqual([
      [SHARED, 'running'],
      ['t-1', 'waiting'],
    ])
  })

  test('are refused if their percents do not ascend, or a tenant is unknown', async () => {
    const { start } = await world(many(1))
    for (const [waves, pointer] of [
      [[50, 10], '/waves/1'],
      [[10, 50, 50], '/waves/2'],
    ] as const)
      await expect(start({ waves })).rejects.toMatchObject({
        ...{ code: 'VALIDATION_FAILED', extra: { errors: [{ pointer, message: expect.any(String) }] } },
      })
    await expect(start({}, ['t-0', 'unknown'])).rejects.toMatchObject({
      extra: { errors: [{ pointer: '/tenants/1' }] },
    })
  })
})

describe('the limits of a run', () => {
  test('hold for all replicas together, whenever they move it on', async () => {
    const { start, running, claim, end, advance } = await world(many(6))
    await start({ concurrency: 3 })
    await Promise.all(Array.from({ length: 5 }, advance))
    expect(await running()).toEqual(['t-0', 't-1', 't-2'])
    await claim()
    await end('t-1')
    await Promise.all(Array.from({ length: 5 }, advance))
    expect(await running()).toEqual(['t-0', 't-2', 't-3'])
  })

  test('count each server by its own: a full one does not stop the others', async () => {
    const { start, running, claim, end } = await world(['one', 'one', 'one', 'two', 'one', 'three'])
    await start({ perServer: 2 })
    expect(await running()).toEqual(['t-0', 't-1', 't-3', 't-5'])
    await claim()
    await end('t-3')
    expect(await running()).toEqual(['t-0', 't-1', 't-5'])
    await end('t-0')
    expect(await running()).toEqual(['t-1', 't-2', 't-5'])
  })

  test('leave a job to the replicas that know the release', async () => {
    const { start, db } = await world(many(1))
    await start()
    const request = { kind: MIGRATION, replicaId: newId(), limit: 10, leaseMs: 10_000 }
    expect(await claimJobs(db, { ...request, knows: ['another release'] })).toEqual([])
    const [job] = await claimJobs(db, { ...request, knows: ['release'] })
    expect(job).toMatchObject({ payload: { lockTimeoutMs: 2_000 } })
  })

  test('a database with another unfinished migration is taken when that has ended', async () => {
    const { start, states, advance, catalog, db, ids } = await world(many(2))
    const [entry] = await db
      .select()
      .from(tenantDatabases)
      .where(eq(tenantDatabases.tenantId, ids[0] ?? ''))
    const job = { kind: MIGRATION, subject: entry?.id ?? '', tenantId: ids[0] ?? '' }
    const other = await catalog.store.transaction((tx) => queueJob(tx, job))
    await start()
    expect(await states()).toEqual([
      ['t-0', 'waiting'],
      ['t-1', 'running'],
    ])
    await db
      .update(jobs)
      .set({ status: 'succeeded', finishedAt: sql`now()` })
      .where(eq(jobs.id, other?.id ?? ''))
    await advance()
    expect((await states())[0]).toEqual(['t-0', 'running'])
  })
})

describe('a run with failures', () => {
  test('halts when the work under way has ended, and then takes only the failed ones again', async () => {
    const { start, claim, end, view, states, steer, running } = await world(many(4))
    await start({ concurrency: 2 })
    await claim()
    await end('t-0', 'failed')
    expect([(await view()).status, await running()]).toEqual(['running', ['t-1']])
    await end('t-1')
    expect(await view()).toMatchObject({
      status: 'halted',
      error: { code: 'MIGRATION_FAILED' },
      finishedAt: null,
    })
    expect(await states()).toEqual([
      ['t-0', 'failed', 'MIGRATION_FAILED'],
      ['t-1', 'succeeded'],
      ['t-2', 'waiting'],
      ['t-3', 'waiting'],
    ])
    await expect(start()).rejects.toMatchObject({ code: 'RUN_IN_PROGRESS' })

    await steer('retry')
    expect(await claim()).toEqual(['t-0'])
    await end('t-0', 'failed')
    expect((await view()).status).toBe('halted')
    await steer('retry')
    expect(await claim()).toEqual(['t-0'])
    await end('t-0')
    expect(await view()).toMatchObject({ status: 'paused', error: null, counts: { done: 2, failed: 0 } })
    await steer('resume')
    expect(await claim()).toEqual(['t-2', 't-3'])
    await end('t-2')
    await end('t-3')
    expect(await view()).toMatchObject({ status: 'succeeded', counts: { total: 4, done: 4 } })
  })

  test('goes on after `resume`, and halts again at as many new failures', async () => {
    const { start, claim, end, view, steer } = await world(many(6))
    await start({ concurrency: 1, haltAfterFailures: 2 })
    for (const [name, status] of [
      ['t-0', 'running'],
      ['t-1', 'halted'],
    ] as const) {
      await claim()
      await end(name, 'failed')
      expect((await view()).status).toBe(status)
    }
    await steer('resume')
    for (const [name, status] of [
      ['t-2', 'running'],
      ['t-3', 'halted'],
    ] as const) {
      await claim()
      await end(name, 'failed')
      expect((await view()).status).toBe(status)
    }
  })

  test('ends as failed if none is left, and its failed databases can be retried then', async () => {
    const { start, claim, end, view, steer, catalog } = await world(many(2))
    await start({ haltAfterFailures: 5 })
    await claim()
    await end('t-0', 'failed')
    await end('t-1')
    expect(await view()).toMatchObject({ status: 'failed', finishedAt: expect.any(String) })
    await steer('retry')
    expect(await runsUnderWay(catalog.store)).toHaveLength(1)
    expect(await claim()).toEqual(['t-0'])
    await end('t-0')
    expect(await view()).toMatchObject({ status: 'succeeded', counts: { total: 2, done: 2, failed: 0 } })
    await expect(steer('retry')).rejects.toMatchObject({ code: 'WRONG_STATE' })
  })
})

describe('an operator', () => {
  test('pauses: what is not claimed is taken back, what is under way ends', async () => {
    const { start, claim, end, view, steer, states, db, held } = await world(many(4))
    await start({ concurrency: 3 })
    expect(await claim(2)).toEqual(['t-0', 't-1'])
    // It waits for a lock until its next attempt.
    const waits = held.get('t-1')
    if (waits) await giveJobBack(db, waits, { dueInMs: 60_000 })
    await steer('pause')
    expect((await view()).status).toBe('running')
    expect(await states()).toEqual([
      ['t-0', 'running'],
      ['t-1', 'waiting'],
      ['t-2', 'waiting'],
      ['t-3', 'waiting'],
    ])
    await end('t-0')
    expect((await view()).status).toBe('paused')
    await steer('resume')
    expect(await claim()).toEqual(['t-1', 't-2', 't-3'])
  })

  test('cancels: queued jobs end at once, running ones are asked to end, the rest is skipped', async () => {
    const { start, claim, view, steer, states, db, held, advance } = await world(many(3))
    await start({ concurrency: 2 })
    await claim(1)
    await steer('cancel')
    expect(await view()).toMatchObject({ status: 'running', counts: { skipped: 2 } })
    const job = held.get('t-0')
    const [row] = await db
      .select()
      .from(jobs)
      .where(eq(jobs.id, job?.id ?? ''))
    expect(row?.cancelRequested).toBe(true)
    if (job) await endJob(db, job, { status: 'cancelled' })
    await advance()
    expect(await view()).toMatchObject({ status: 'cancelled', counts: { total: 3, skipped: 3 } })
    expect(await states()).toEqual(['t-0', 't-1', 't-2'].map((name) => [name, 'skipped', 'CANCELLED']))
    for (const verb of ['pause', 'resume', 'cancel', 'retry'] as const)
      await expect(steer(verb), verb).rejects.toMatchObject({ code: 'WRONG_STATE' })
  })

  test('cancels a paused run at once', async () => {
    const { start, view, steer } = await world(many(2))
    await start()
    await steer('pause')
    expect((await view()).status).toBe('paused')
    await steer('cancel')
    expect((await view()).status).toBe('cancelled')
  })

  test('cancels the job of one database: the run skips it', async () => {
    const { start, claim, end, view, catalog, db, advance } = await world(many(2))
    await start({ concurrency: 1 })
    const [queued] = await db.select().from(jobs)
    await catalog.store.transaction((tx) => requestCancel(tx, queued?.id ?? ''))
    await advance()
    expect(await claim()).toEqual(['t-1'])
    await end('t-1')
    expect(await view()).toMatchObject({ status: 'succeeded', counts: { total: 2, done: 1, skipped: 1 } })
  })

  test('starts one run only, however many operators try', async () => {
    const { start } = await world(many(1))
    const results = await Promise.allSettled(Array.from({ length: 4 }, () => start()))
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    for (const result of results)
      if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'RUN_IN_PROGRESS' })
  })
})

describe('a tenant that changes during the run', () => {
  test('is skipped with the reason: suspended, removed, or not served', async () => {
    const { start, claim, end, view, states, db, ids } = await world(many(5))
    await start({ concurrency: 1 })
    await claim()
    const of = (at: number) => eq(tenantDatabases.tenantId, ids[at] ?? '')
    await db
      .update(tenants)
      .set({ status: 'INACTIVE' })
      .where(eq(tenants.id, ids[1] ?? ''))
    await db.delete(tenantDatabases).where(of(2))
    await db.update(tenantDatabases).set({ status: 'failed' }).where(of(3))
    await end('t-0')
    expect(await claim()).toEqual(['t-4'])
    await end('t-4')
    expect(await states()).toEqual([
      ['t-0', 'succeeded'],
      ['t-1', 'skipped', 'TENANT_SUSPENDED'],
      ['t-2', 'skipped', 'DATABASE_REMOVED'],
      ['t-3', 'skipped', 'DATABASE_NOT_SERVING'],
      ['t-4', 'succeeded'],
    ])
    expect(await view()).toMatchObject({ status: 'succeeded', counts: { total: 5, done: 2, skipped: 3 } })
  })

  test('is skipped if its database is removed while it migrates', async () => {
    const { start, claim, view, states, db, ids, catalog, advance } = await world(many(1))
    await start()
    await claim()
    const [entry] = await db
      .select()
      .from(tenantDatabases)
      .where(eq(tenantDatabases.tenantId, ids[0] ?? ''))
    await catalog.store.transaction((tx) => catalog.registry.remove(tx, [entry?.id ?? ''], operator))
    await advance()
    expect(await states()).toEqual([['t-0', 'skipped', 'DATABASE_REMOVED']])
    expect((await view()).status).toBe('succeeded')
  })
})

test('an older release can neither start a run nor end a paused one', async () => {
  const { start, steer, db } = await world(many(2))
  const started = sql`INSERT INTO migration_runs (id, target, total) VALUES (${newId()}, '{}', 1)`
  await expect(db.execute(started)).rejects.toThrow()
  await start()
  await steer('pause')
  const ended = sql`UPDATE migration_runs SET status = 'succeeded', done = 0, finished_at = now()`
  await expect(db.execute(ended)).rejects.toThrow()
})
