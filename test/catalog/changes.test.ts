import { eq, type SQL, sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  type CatalogChange,
  ChangeFollower,
  type FollowerOptions,
  recordChange,
  recordChanges,
} from '../../src/catalog/changes/follower.ts'
import { catalogChanges, replicas } from '../../src/catalog/changes/schema.ts'
import { isUuid, newId } from '../../src/lib/ids.ts'
import { applyMigrations } from '../../src/migrations/apply.ts'
import { migrationsFolder, readMigrations } from '../../src/migrations/files.ts'
import { createDatabase, dropAll, superuserUrl, terminateBackends } from '../support/database.ts'
import { withClient } from '../support/tenant-database.ts'
import { openCatalog, replicaWithoutPools, type TestCatalog } from './catalog.ts'

let catalog: TestCatalog
let followers: ChangeFollower[]

beforeEach(async () => {
  catalog = await openCatalog()
  followers = []
})
afterEach(async () => {
  await Promise.all(followers.map((follower) => follower.stop()))
  await catalog.close()
})
afterAll(dropAll)

function makeFollower(options: Partial<FollowerOptions> = {}) {
  const replicaId = newId()
  const log = { warn: () => undefined }
  const follower = new ChangeFollower({
    store: catalog.store,
    listenTarget: catalog.connect,
    replicas: replicaWithoutPools(catalog.store, replicaId),
    log,
    ...options,
  })
  const seen: CatalogChange[] = []
  const gaps: number[] = []
  follower.onChange((change) => seen.push(change))
  follower.onGap(() => gaps.push(follower.appliedSeq))
  followers.push(follower)
  return { follower, seen, gaps, replicaId }
}

async function startFollower(options: Partial<FollowerOptions> = {}) {
  const made = makeFollower(options)
  await made.follower.start()
  return made
}

const record = (subjectId: string) =>
  catalog.store.transaction((tx) => recordChange(tx, { kind: 'operator', tenantId: null, subjectId }))
/** Changes everything in one transaction, as a restore or a failover would. */
const rewrite = (change: SQL) =>
  catalog.store.transaction(async (tx) => {
    await tx.execute(sql`alter table catalog_changes disable trigger append_only`)
    await tx.execute(change)
    await tx.execute(sql`alter table catalog_changes enable always trigger append_only`)
  })
const until = (condition: () => boolean, timeout = 5000) =>
  expect.poll(condition, { timeout, interval: 10 }).toBe(true)

describe('the change log', () => {
  it('has no gaps and no doubles under 60 concurrent writers, some of which roll back', async () => {
    const writers = Array.from({ length: 60 }, (_, n) =>
      catalog.store.transaction(async (tx) => {
        const seq = await recordChange(tx, { kind: 'tenant', tenantId: null, subjectId: String(n) })
        if (n % 3 === 0) throw new Error('no')
        return seq
      }),
    )
    await Promise.allSettled(writers)
    const rows = await catalog.store.db
      .select({ seq: catalogChanges.seq })
      .from(catalogChanges)
      .orderBy(catalogChanges.seq)
    expect(rows.map(({ seq }) => seq)).toEqual(Array.from({ length: 40 }, (_, n) => n + 1))
  })
})

describe('changes from before they had identities', () => {
  it('get an identity each, and so do those that an older release adds', async () => {
    const migrations = await readMigrations(migrationsFolder('catalog'), 'catalog')
    const index = migrations.findIndex(({ id }) => id.endsWith('change-identities'))
    const url = superuserUrl(await createDatabase())
    await withClient(url, async (client) => {
      await applyMigrations(client, migrations.slice(0, index), { lockTimeoutMs: 5000 })
      const add = (from: number, to: number) =>
        client.query(
          "insert into catalog_changes (seq, kind) select n, 'tenant' from generate_series($1::int, $2::int) n",
          [from, to],
        )
      await add(1, 5)
      await applyMigrations(client, migrations, { lockTimeoutMs: 5000 })
      await add(6, 8)
      const { rows } = await client.query('select id from catalog_changes')
      expect(new Set(rows.map(({ id }) => id)).size).toBe(8)
      expect(rows.every(({ id }) => isUuid(id))).toBe(true)
    })
  })
})

describe('many changes of one kind', () => {
  it('are recorded in one statement, in their order: 20,000, or none', async () => {
    await record('before')
    const subjects = Array.from({ length: 20_000 }, (_, n) =>
      n % 1000 === 7 ? null : `subject "${n}", \\ {}`,
    )
    const of = { kind: 'tokens', tenantId: newId() } as const
    const numbers = await catalog.store.transaction((tx) => recordChanges(tx, of, subjects))
    expect(numbers).toEqual(subjects.map((_, i) => i + 2))
    const { seq, kind, tenantId, subjectId } = catalogChanges
    const query = catalog.store.db.select({ seq, kind, tenantId, subjectId }).from(catalogChanges)
    const rows = await query.where(eq(kind, 'tokens')).orderBy(seq)
    expect(rows).toEqual(subjects.map((subject, i) => ({ ...of, seq: i + 2, subjectId: subject })))
    expect(await catalog.store.transaction((tx) => recordChanges(tx, of, []))).toEqual([])
  })
})

describe('a follower', () => {
  it('begins at the end of the log and gets each later change, once and in order', async () => {
    await record('before')
    const { follower, seen, gaps } = await startFollower()
    expect(follower.appliedSeq).toBe(1)
    await Promise.all(Array.from({ length: 30 }, (_, n) => record(String(n))))
    await until(() => seen.length === 30)
    expect(seen.map(({ seq }) => seq)).toEqual(Array.from({ length: 30 }, (_, n) => n + 2))
    expect(gaps).toEqual([])
  })

  it('is notified, and does not wait for the poll', async () => {
    const { seen, follower } = await startFollower()
    const begun = performance.now()
    await record('x')
    await until(() => seen.length === 1)
    expect(performance.now() - begun).toBeLessThan(1000)
    expect(follower.listening).toBe(true)
    expect(Date.now() - follower.lastReachedAt).toBeLessThan(5000)
  })

  it('polls if it cannot listen', async () => {
    const listenTarget = async () => {
      throw new Error('no way')
    }
    const { seen, follower } = await startFollower({ listenTarget, pollMs: 50 })
    await record('x')
    await until(() => seen.length === 1)
    expect(follower.listening).toBe(false)
  })

  it('reads what it missed when its connections were cut, and listens again', async () => {
    const { seen, gaps, follower } = await startFollower({ pollMs: 100 })
    for (let n = 1; n <= 3; n++) {
      await terminateBackends(catalog.database)
      await record(String(n)).catch(() => record(String(n)))
      await until(() => seen.length === n)
      await until(() => follower.listening)
    }
    expect(seen.map(({ subjectId }) => subjectId)).toEqual(['1', '2', '3'])
    expect(gaps).toEqual([])
  })

  it('catches up with more than it reads at once', async () => {
    const { seen, follower } = await startFollower()
    await catalog.store.db.execute(sql`
      insert into catalog_changes (seq, kind) select n, 'tenant' from generate_series(1, 1700) n`)
    await record('last')
    await until(() => follower.appliedSeq === 1701)
    expect(seen).toHaveLength(1701)
  })

  it('reports that changes were missed that are gone', async () => {
    const { seen, gaps, follower } = await startFollower()
    await catalog.store.db.execute(sql`insert into catalog_changes (seq, kind) values (10, 'tenant')`)
    await until(() => follower.appliedSeq === 10)
    await record('x')
    await until(() => follower.appliedSeq === 11)
    expect(gaps).toEqual([0])
    expect(seen.map(({ seq }) => seq)).toEqual([11])
  })

  it('reports that other changes replaced those it knows, and continues after them', async () => {
    for (const subject of ['1', '2', '3']) await record(subject)
    const { gaps, follower, seen } = await startFollower({ pollMs: 50 })
    await rewrite(sql`update catalog_changes set id = gen_random_uuid() where seq >= 2`)
    await until(() => gaps.length === 1)
    expect(gaps).toEqual([3])
    await record('4')
    await until(() => seen.length === 1)
    // The log is now longer than before, and another change has the last known number.
    await rewrite(sql`
      update catalog_changes set id = gen_random_uuid() where seq >= 3;
      insert into catalog_changes (seq, kind) values (5, 'tenant'), (6, 'tenant')`)
    await until(() => follower.appliedSeq === 6)
    expect(gaps).toEqual([3, 4])
    await record('7')
    await until(() => seen.length === 2)
    expect(seen.map(({ subjectId }) => subjectId)).toEqual(['4', '7'])
  })

  it('confirms nothing after missed changes until all earlier requests have ended', async () => {
    await record('1')
    const { gaps, follower } = await startFollower({ pollMs: 50 })
    const settled = Promise.withResolvers<void>()
    follower.onGap(() => settled.promise)
    await rewrite(sql`update catalog_changes set id = gen_random_uuid()`)
    await until(() => gaps.length === 1)
    expect(await follower.confirmations(1, 100)).toEqual({ replicas: 1, confirmed: 0 })
    const seq = await record('2')
    await until(() => follower.appliedSeq === seq)
    expect(await follower.confirmations(seq, 100)).toEqual({ replicas: 1, confirmed: 0 })
    settled.resolve()
    expect(await follower.confirmations(seq, 5000)).toEqual({ replicas: 1, confirmed: 1 })
  })

  it('does not confirm a change that was lost while callers waited for it', async () => {
    const { follower, gaps } = await startFollower({ pollMs: 50 })
    // This replica is live and does not follow the changes.
    await catalog.store.db.insert(replicas).values({ id: newId() })
    const confirmations = follower.confirmations(await record('1'), 5000)
    await until(() => follower.appliedSeq === 1)
    await rewrite(sql`update catalog_changes set id = gen_random_uuid()`)
    await until(() => gaps.length === 1)
    expect(await confirmations).toEqual({ replicas: 2, confirmed: 0 })
  })

  it('misses nothing while the log is intact', async () => {
    const { gaps, follower } = await startFollower({ pollMs: 10 })
    for (let n = 1; n <= 20; n += 1) await record(String(n))
    await until(() => follower.appliedSeq === 20)
    expect(gaps).toEqual([])
  })

  it('reports that the catalog was restored to an earlier state', async () => {
    for (const subject of ['1', '2', '3']) await record(subject)
    const { gaps, follower, seen } = await startFollower({ pollMs: 50 })
    await rewrite(sql`delete from catalog_changes where seq = 3`)
    await until(() => follower.appliedSeq === 2)
    expect(gaps).toEqual([3])
    await record('again')
    await until(() => seen.length === 1)
  })

  it('delivers a change again at the next poll if a listener failed', async () => {
    const { follower, seen } = makeFollower({ pollMs: 30 })
    let failures = 0
    follower.onChange(() => {
      if (failures++ === 0) throw new Error('bug')
    })
    await follower.start()
    await record('x')
    await until(() => follower.appliedSeq === 1)
    expect(seen).toHaveLength(2)
  })

  it('does not start without the catalog', async () => {
    const { follower } = makeFollower()
    followers = []
    const lost = await openCatalog()
    await lost.close()
    const closed = new ChangeFollower({
      store: lost.store,
      listenTarget: lost.connect,
      replicas: replicaWithoutPools(lost.store, newId()),
      log: { warn: () => undefined },
    })
    await expect(closed.start()).rejects.toMatchObject({ code: 'CATALOG_UNAVAILABLE' })
    await follower.start()
    await follower.stop()
  })
})

describe('replicas', () => {
  it('record their last change, and leave the list when they stop', async () => {
    const { follower, replicaId, seen } = await startFollower()
    const row = async () =>
      (await catalog.store.db.select().from(replicas).where(eq(replicas.id, replicaId)))[0]
    expect((await row())?.appliedSeq).toBe(0)
    await record('x')
    await until(() => seen.length === 1)
    await expect.poll(async () => (await row())?.appliedSeq).toBe(1)
    await follower.stop()
    expect(await row()).toBeUndefined()
  })

  it('send their heartbeat also without a change', async () => {
    const { replicaId } = await startFollower({ pollMs: 30 })
    const beat = async () =>
      (
        await catalog.store.db.select().from(replicas).where(eq(replicas.id, replicaId))
      )[0]?.heartbeatAt.getTime() ?? 0
    const first = await beat()
    await expect.poll(async () => (await beat()) > first).toBe(true)
  })

  it('confirm a change if they are live; dead ones are not waited for', async () => {
    const [one] = [await startFollower(), await startFollower(), await startFollower()]
    const dead = { id: newId(), heartbeatAt: new Date(Date.now() - 60_000) }
    const forgotten = { id: newId(), heartbeatAt: new Date(Date.now() - 2 * 86_400_000) }
    await catalog.store.db.insert(replicas).values([dead, forgotten])
    const seq = await record('x')
    expect(await one.follower.confirmations(seq, 5000)).toEqual({ replicas: 3, confirmed: 3 })
    await startFollower()
    expect((await catalog.store.db.select().from(replicas)).map(({ id }) => id)).not.toContain(forgotten.id)
  })

  it('confirm a change only after earlier requests have ended; later changes are applied meanwhile', async () => {
    const { follower, seen } = makeFollower()
    const settled = Promise.withResolvers<void>()
    follower.onChange(({ subjectId }) => (subjectId === 'slow' ? settled.promise : null))
    await follower.start()
    const [slow, later] = [await record('slow'), await record('later')]
    await until(() => seen.length === 2)
    expect(await follower.confirmations(slow, 100)).toEqual({ replicas: 1, confirmed: 0 })
    expect(follower.appliedSeq).toBe(later)
    settled.resolve()
    expect(await follower.confirmations(later, 5000)).toEqual({ replicas: 1, confirmed: 1 })
  })

  it('that are live and do not follow are counted after the deadline', async () => {
    const { follower } = await startFollower()
    await catalog.store.db.insert(replicas).values({ id: newId() })
    const begun = performance.now()
    expect(await follower.confirmations(await record('x'), 300)).toEqual({ replicas: 2, confirmed: 1 })
    expect(performance.now() - begun).toBeGreaterThan(290)
    expect(performance.now() - begun).toBeLessThan(3000)
  })
})
