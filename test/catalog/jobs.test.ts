import { asc, eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { findJob, listJobs, pruneJobs, requestCancel } from '../../src/catalog/jobs/list.ts'
import {
  claimJobs,
  dropJobs,
  endJob,
  giveJobBack,
  type Job,
  type NewJob,
  noteJob,
  openJobSecret,
  queueJob,
  renewJobs,
  replaceJob,
  sealJobSecret,
} from '../../src/catalog/jobs/queue.ts'
import { jobs } from '../../src/catalog/jobs/schema.ts'
import type { CatalogTx } from '../../src/catalog/store.ts'
import { type JobHandler, type JobOutcome, JobRunner, type RunningJob } from '../../src/jobs/runner.ts'
import { newId } from '../../src/lib/ids.ts'
import { Secret } from '../../src/lib/secret.ts'
import { dropAll } from '../support/database.ts'
import { openCatalog, type TestCatalog } from './catalog.ts'

let catalog: TestCatalog
let kinds = 0
beforeAll(async () => {
  catalog = await openCatalog()
  await catalog.vault.init()
})
afterAll(async () => {
  await catalog?.close()
  await dropAll()
})

/** Each test has its own kind of job, so that it finds no jobs of other tests. */
function world() {
  const kind = `kind-${kinds++}`
  const { store } = catalog
  const request = { kind, knows: [] as readonly string[], limit: 10, leaseMs: 10_000 }
  return {
    kind,
    queue: async (subject: string, more: Partial<NewJob> = {}) => {
      const job = await store.transaction((tx) => queueJob(tx, { kind, subject, ...more }))
      if (job === null) throw new Error('not queued')
      return job
    },
    claim: (more: Partial<typeof request> = {}) =>
      claimJobs(store.db, { ...request, replicaId: newId(), ...more }),
    lapse: () =>
      store.db
        .update(jobs)
        .set({ leasedUntil: sql`now() - interval '1 second'` })
        .where(eq(jobs.status, 'running')),
    rows: () => store.db.select().from(jobs).where(eq(jobs.kind, kind)).orderBy(asc(jobs.id)),
  }
}

const only = ([job, ...others]: readonly Job[]): Job => {
  if (job === undefined || others.length > 0) throw new Error(`${others.length} jobs too many`)
  return job
}

describe('a claim', () => {
  it('gives each due job to one replica only, the longest due first', async () => {
    const { queue, claim } = world()
    const queued: string[] = []
    for (let n = 0; n < 12; n += 1) queued.push((await queue(`s-${n}`)).id)
    await queue('later', { dueInMs: 60_000 })
    expect((await claim({ limit: 1 })).map(({ id }) => id)).toEqual(queued.slice(0, 1))
    const claims = await Promise.all(Array.from({ length: 5 }, () => claim({ limit: 3 })))
    const rest = await claim()
    const ids = [...claims.flat(), ...rest].map(({ id }) => id)
    expect(ids.toSorted()).toEqual(queued.slice(1))
    expect(Math.max(...claims.map((found) => found.length))).toBeLessThanOrEqual(3)
    expect(await claim()).toEqual([])
  })

  it('sees a job only if the change that requested it commits', async () => {
    const { kind, claim } = world()
    const abandoned = catalog.store.transaction(async (tx) => {
      await queueJob(tx, { kind, subject: 'lost' })
      throw new Error('no')
    })
    await expect(abandoned).rejects.toThrow('no')
    expect(await claim()).toEqual([])
  })

  it('skips a row that another transaction changes, without waiting', async () => {
    const { queue, claim } = world()
    const [busy, free] = [await queue('busy'), await queue('free')]
    await catalog.store.transaction(async (tx) => {
      await tx.select().from(jobs).where(eq(jobs.id, busy.id)).for('update')
      expect((await claim()).map(({ id }) => id)).toEqual([free.id])
    })
  })

  it('skips jobs that need unknown migrations, unless they are only to be cancelled', async () => {
    const { queue, claim } = world()
    const needs = ['migration:0004_x', 'migration:0002_y']
    const job = await queue('new', { needs })
    for (const knows of [[], ['migration:0004_x'], ['migration:0003_w', 'migration:0002_y']])
      expect(await claim({ knows })).toEqual([])
    expect(only(await claim({ knows: [...needs, 'migration:0001_z'] })).id).toBe(job.id)
    await catalog.store.transaction((tx) => requestCancel(tx, job.id))
    await world().lapse()
    expect(only(await claim({ knows: [] }))).toMatchObject({ id: job.id, cancelRequested: true })
  })

  it('finds one job at a time for a kind and subject, and a requested replacement instead of it', async () => {
    const { kind, queue, claim, rows } = world()
    const first = await queue('s')
    const again = () => catalog.store.transaction((tx) => queueJob(tx, { kind, subject: 's' }))
    expect(await again()).toBeNull()
    const claimed = only(await claim())
    expect(await again()).toBeNull()
    const second = await catalog.store.transaction((tx) => replaceJob(tx, { kind, subject: 's' }))
    expect(await endJob(catalog.store.db, claimed, { status: 'succeeded' })).toBe(false)
    expect((await rows()).map(({ id, status }) => [id, status])).toEqual([
      [first.id, 'cancelled'],
      [second.id, 'queued'],
    ])
    await catalog.store.transaction((tx) => dropJobs(tx, ['s']))
    expect((await rows()).at(-1)?.status).toBe('cancelled')
    expect(await again()).not.toBeNull()
  })

  it('that is given back goes behind all due jobs, or waits', async () => {
    const { queue, claim } = world()
    const [first, second] = [await queue('first'), await queue('second')]
    const ids: string[] = []
    for (let turn = 0; turn < 3; turn += 1) {
      const [claimed] = await claim({ limit: 1 })
      if (claimed === undefined) break
      ids.push(claimed.id)
      await giveJobBack(catalog.store.db, claimed, { dueInMs: 0 })
    }
    expect(ids).toEqual([first.id, second.id, first.id])
    const [claimed] = await claim({ limit: 1 })
    const error = { code: 'NO_CONNECTION_AVAILABLE', message: 'busy' }
    if (claimed) await giveJobBack(catalog.store.db, claimed, { dueInMs: 60_000, error })
    expect((await claim()).map(({ id }) => id)).toEqual([first.id])
    expect(await findJob(catalog.store, second.id)).toMatchObject({ status: 'queued', errorCode: error.code })
  })
})

describe('the number of a claim', () => {
  it('stops a frozen replica from finishing a job that another has taken over', async () => {
    const { queue, claim, lapse } = world()
    const { id } = await queue('s')
    const frozen = only(await claim())
    expect(await claim()).toEqual([])
    await lapse()
    const other = only(await claim())
    expect(other).toMatchObject({ id, attempts: frozen.attempts + 1, startedAt: frozen.startedAt })
    const { db } = catalog.store
    expect(await endJob(db, frozen, { status: 'succeeded' })).toBe(false)
    expect(await noteJob(db, frozen, { step: 'old', progress: { done: 9, total: 9 } })).toBe(false)
    expect(await giveJobBack(db, frozen, { dueInMs: 0 })).toBe(false)
    expect(await renewJobs(db, [frozen, other], 10_000)).toEqual([
      { id, attempts: other.attempts, cancelRequested: false },
    ])
    expect(await noteJob(db, other, { step: 'new', progress: { done: 1, total: 2 } })).toBe(true)
    expect(await endJob(db, other, { status: 'succeeded', result: { ok: true } })).toBe(true)
    expect(await findJob(catalog.store, id)).toMatchObject({
      ...{ status: 'succeeded', step: 'new', progressDone: 1, progressTotal: 2, result: { ok: true } },
      ...{ attempts: 2, leasedBy: null, leasedUntil: null },
    })
    expect(await endJob(db, other, { status: 'failed', error: { code: 'UNKNOWN', message: 'x' } })).toBe(
      false,
    )
  })
})

describe('a secret of a job', () => {
  it('is sealed, opens for its own job only, and is deleted when the job ends', async () => {
    const { queue, claim, kind } = world()
    const { store, vault } = catalog
    const id = newId()
    const secret = new Secret('postgresql://u:hidden-pw@h/d')
    const sealedPayload = sealJobSecret(vault.service, { id, tenantId: null }, secret)
    await queue('s', { id, sealedPayload, payload: { to: 'there' } })
    const { rows } = await store.db.execute(
      sql`select row_to_json(j)::text as text from jobs j where id = ${id}`,
    )
    for (const form of ['utf8', 'hex', 'base64'] as const)
      expect(String(rows[0]?.text)).not.toContain(Buffer.from('hidden-pw').toString(form))
    const claimed = only(await claim())
    expect(Object.keys(claimed)).not.toContain('sealedPayload')
    expect((await openJobSecret(store.db, vault.service, claimed))?.reveal()).toBe(secret.reveal())
    const other = await queue('other', { sealedPayload })
    await expect(openJobSecret(store.db, vault.service, other)).rejects.toMatchObject({ code: 'SEAL_BROKEN' })
    await endJob(store.db, claimed, { status: 'failed', error: { code: 'UNKNOWN', message: 'x' } })
    expect(await openJobSecret(store.db, vault.service, claimed)).toBeNull()
    await store.transaction((tx) => requestCancel(tx, other.id))
    const left = await store.db.$count(jobs, sql`kind = ${kind} and sealed_payload is not null`)
    expect(left).toBe(0)
  })
})

describe('the list of jobs', () => {
  it('shows the newest first, by kind, status, tenant and run, in pages', async () => {
    const { kind, queue, claim } = world()
    const [tenantId, runId] = [newId(), newId()]
    const own = await queue('own', { tenantId, runId })
    const others = [await queue('a'), await queue('b')]
    const ended = (await claim()).find(({ id }) => id === own.id)
    if (ended) await endJob(catalog.store.db, ended, { status: 'succeeded' })
    const list = async (more: object) => {
      const { data, nextCursor } = await listJobs(catalog.store, { kind, limit: 2, ...more })
      return { ids: data.map(({ id }) => id), nextCursor }
    }
    const newest = [...others.map(({ id }) => id).reverse(), own.id]
    const first = await list({})
    expect(first.ids).toEqual(newest.slice(0, 2))
    expect(await list({ cursor: first.nextCursor ?? '' })).toEqual({ ids: [own.id], nextCursor: null })
    for (const filter of [{ tenantId }, { runId }, { status: 'succeeded' }])
      expect((await list(filter)).ids).toEqual([own.id])
    expect((await list({ tenantId: newId() })).ids).toEqual([])
    await expect(list({ cursor: 'x' })).rejects.toMatchObject({ code: 'INVALID_CURSOR' })
    await expect(findJob(catalog.store, newId())).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('has a bounded size: jobs that finished a week ago are deleted, unfinished ones never', async () => {
    const { queue, claim, rows } = world()
    const [old, recent, running] = [await queue('old'), await queue('recent'), await queue('running')]
    const claimed = await claim()
    for (const { id } of [old, recent]) {
      const job = claimed.find((each) => each.id === id)
      if (job) await endJob(catalog.store.db, job, { status: 'succeeded' })
    }
    await catalog.store.db
      .update(jobs)
      .set({ finishedAt: sql`now() - interval '8 days'` })
      .where(eq(jobs.id, old.id))
    await catalog.store.db
      .update(jobs)
      .set({ createdAt: sql`now() - interval '80 days'` })
      .where(eq(jobs.id, running.id))
    expect(await pruneJobs(catalog.store)).toBe(1)
    expect((await rows()).map(({ id }) => id)).toEqual([recent.id, running.id])
  })
})

const SOON = { timeout: 60_000, interval: 10 }

/** A replica that runs jobs of the kind until the test ends. It calls `run` for each job. */
function replica(
  kind: string,
  run: (running: RunningJob) => Promise<JobOutcome>,
  more: Partial<JobHandler> = {},
) {
  const lines: string[] = []
  const ends: string[] = []
  const log = (_fields: object, message: string) => lines.push(message)
  const runner = new JobRunner({
    ...{ store: catalog.store, replicaId: newId(), knows: () => [], log: { error: log, warn: log } },
    handlers: [{ kind, concurrency: 2, endsWithProcess: true, run, ...more }],
    onEnd: async (_job, outcome) => void ends.push(outcome),
    ...{ leaseMs: 1_000, renewMs: 20, pollMs: 20 },
  })
  runner.start()
  onTestFinished(() => runner.stop())
  return { runner, lines, ends }
}

/** Resolves when the signal fires, like work that stops when it is aborted. */
const aborted = (signal: AbortSignal) =>
  new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error('broken off')), { once: true })
    if (signal.aborted) reject(new Error('broken off'))
  })

describe('a replica that runs jobs', () => {
  it('runs due jobs, a limited number at once, and keeps each claim as long as the job runs', async () => {
    const { kind, queue, rows } = world()
    let most = 0
    let now = 0
    const gate = Promise.withResolvers<void>()
    for (let n = 0; n < 3; n += 1) await queue(`s-${n}`)
    const { ends } = replica(kind, async ({ job, note }) => {
      now += 1
      most = Math.max(most, now)
      await note({ step: 'working', progress: { done: 1, total: 1 } })
      await gate.promise
      now -= 1
      return { result: { subject: job.subject } }
    })
    const leases = async () => (await rows()).map(({ leasedUntil }) => leasedUntil?.getTime() ?? 0)
    await expect.poll(() => now, SOON).toBe(2)
    const before = Math.max(...(await leases()))
    await expect.poll(async () => Math.max(...(await leases())), SOON).toBeGreaterThan(before)
    gate.resolve()
    await expect.poll(() => ends, SOON).toEqual(['succeeded', 'succeeded', 'succeeded'])
    expect(most).toBe(2)
    expect((await rows()).map(({ status, step, attempts }) => ({ status, step, attempts }))).toEqual(
      Array.from({ length: 3 }, () => ({ status: 'succeeded', step: 'working', attempts: 1 })),
    )
  })

  it('records why a job failed, and repeats a job that threw', async () => {
    const { kind, queue, rows } = world()
    await queue('s')
    let attempts = 0
    const { lines } = replica(kind, async () => {
      attempts += 1
      if (attempts === 1) throw new Error('a secret of the driver')
      return { error: { code: 'MIGRATION_FAILED', message: 'A migration failed' } }
    })
    await expect
      .poll(async () => (await rows()).map(({ errorCode }) => errorCode), SOON)
      .toEqual(['INTERNAL_ERROR'])
    await expect
      .poll(async () => (await rows())[0], SOON)
      .toMatchObject({
        ...{
          status: 'failed',
          errorCode: 'MIGRATION_FAILED',
          errorMessage: 'A migration failed',
          attempts: 2,
        },
      })
    expect(lines).toEqual(['job interrupted'])
  })

  it('learns that a job is cancelled, and leaves the state that its kind requires', async () => {
    const { kind, queue, rows } = world()
    const { id } = await queue('s')
    const left: string[] = []
    const cancel = async (tx: CatalogTx, job: Job) => {
      left.push(job.subject)
      return endJob(tx, job, { status: 'cancelled' })
    }
    const begun = Promise.withResolvers<void>()
    const { ends } = replica(
      kind,
      ({ signal }) => {
        begun.resolve()
        return aborted(signal)
      },
      { cancel },
    )
    await begun.promise
    const cancelled = await catalog.store.transaction((tx) => requestCancel(tx, id))
    expect(cancelled).toMatchObject({ status: 'running', cancelRequested: true })
    await expect.poll(() => ends, SOON).toEqual(['cancelled'])
    expect([left, (await rows())[0]?.status]).toEqual([['s'], 'cancelled'])
    expect(await catalog.store.transaction((tx) => requestCancel(tx, id))).toBeNull()
  })

  it('aborts a job that another has taken over, and writes no result for it', async () => {
    const { kind, queue, rows, claim, lapse } = world()
    await queue('s')
    const begun = Promise.withResolvers<void>()
    const run = ({ signal }: RunningJob) => {
      begun.resolve()
      return aborted(signal)
    }
    // The replica claims no other job while it runs one, so the test gets the lapsed job.
    const { lines, ends } = replica(kind, run, { concurrency: 1 })
    await begun.promise
    let other: Job | undefined
    const take = async () => {
      await lapse()
      other = (await claim())[0]
      return other?.attempts
    }
    await expect.poll(take, SOON).toBe(2)
    await expect.poll(() => lines, SOON).toEqual(['job taken over by another replica'])
    expect(ends).toEqual([])
    expect((await rows())[0]).toMatchObject({ status: 'running', attempts: 2, leasedBy: other?.leasedBy })
  })

  it('gives its jobs back when it stops, and another replica continues at once', async () => {
    const { kind, queue, rows } = world()
    await queue('s')
    const begun = Promise.withResolvers<void>()
    const { runner } = replica(kind, ({ signal }) => {
      begun.resolve()
      return aborted(signal)
    })
    await begun.promise
    await runner.stop()
    expect((await rows())[0]).toMatchObject({ status: 'queued', errorCode: null })
    replica(kind, async () => ({ result: null }))
    await expect.poll(async () => (await rows())[0]?.status, SOON).toBe('succeeded')
  })
})
