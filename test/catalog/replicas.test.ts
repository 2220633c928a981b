import { eq, sql } from 'drizzle-orm'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Connections, partOf, smallestTotal } from '../../src/catalog/changes/connection-shares.ts'
import { ReplicaList } from '../../src/catalog/changes/replicas.ts'
import { catalogChanges, replicas } from '../../src/catalog/changes/schema.ts'
import { BEGINNING } from '../../src/catalog/history.ts'
import type { CatalogStore } from '../../src/catalog/store.ts'
import { newId } from '../../src/lib/ids.ts'
import { dropAll, query, superuserUrl } from '../support/database.ts'
import { openCatalog, type TestCatalog } from './catalog.ts'

const TOTAL = 7
const AT_A_SERVER = 5

let catalog: TestCatalog
beforeEach(async () => {
  catalog = await openCatalog()
})
afterEach(() => catalog.close())
beforeAll(async () => {
  // A server that has just started does not know which replicas are alive.
  const left = 'greatest(0, 3.1 - extract(epoch from now() - pg_postmaster_start_time()))'
  await query(superuserUrl(), `select pg_sleep(${left})`)
})
afterAll(dropAll)

/** A small model of a process: it holds as many connections as it may, and closes those beyond when they are idle. */
class Process {
  readonly id = newId()
  readonly list: ReplicaList
  readonly #store: CatalogStore
  granted = { max: 0, maxPerServer: 0 }
  open = 0
  openAtServer = 0
  #isBusy = false
  /** Milliseconds since the process started. */
  age = 0

  /** The totals and the reasons for waiting that the process was told. */
  readonly totals: { max: number; maxPerServer: number; differ: boolean }[] = []
  readonly waits: string[] = []

  constructor(store: CatalogStore, total: Connections = { max: TOTAL, maxPerServer: AT_A_SERVER }) {
    this.#store = store
    const grant = (granted: Connections) => {
      this.granted = granted
      this.#settle()
    }
    const isWithin = () => this.open <= this.granted.max && this.openAtServer <= this.granted.maxPerServer
    const onTotal = (counts: Connections, differ: boolean) => this.totals.push({ ...counts, differ })
    const onWait = (reason: string) => this.waits.push(reason)
    const share = { total, isWithin, grant, onTotal, onWait }
    const clock = { now: () => 0, monotonic: () => this.age }
    this.list = new ReplicaList({ store, replicaId: this.id, share, closingMs: 0, clock })
  }
  work() {
    this.#isBusy = true
  }
  rest() {
    this.#isBusy = false
    this.#settle()
  }
  #settle() {
    const { max, maxPerServer } = this.granted
    this.open = this.#isBusy ? Math.max(this.open, max) : max
    this.openAtServer = this.#isBusy ? Math.max(this.openAtServer, maxPerServer) : maxPerServer
  }
  /** Makes its heartbeat this old. A killed process holds no connections. */
  async wasHeard(secondsAgo: number) {
    const heartbeatAt = sql`now() - ${secondsAgo} * interval '1 second'`
    await this.#store.db.update(replicas).set({ heartbeatAt }).where(sql`${replicas.id} = ${this.id}`)
  }
}

function expectWithinTotals(processes: Iterable<Process>): void {
  const all = [...processes]
  expect(all.reduce((sum, { open }) => sum + open, 0)).toBeLessThanOrEqual(TOTAL)
  expect(all.reduce((sum, { openAtServer }) => sum + openAtServer, 0)).toBeLessThanOrEqual(AT_A_SERVER)
}

describe('a change', () => {
  it('is confirmed by replicas whose last change is the one in the log, not only its number', async () => {
    const { store } = catalog
    await store.db.insert(catalogChanges).values([1, 2, 3].map((seq) => ({ seq, kind: 'tenant' as const })))
    const log = await store.db.select().from(catalogChanges).orderBy(catalogChanges.seq)
    const idOf = (seq: number) => log[seq - 1]?.id ?? null
    const [up, behind, elsewhere, beyond, older] = Array.from({ length: 5 }, newId) as string[]
    await store.db.insert(replicas).values([
      { id: up as string, appliedSeq: 3, appliedId: idOf(3) },
      { id: behind as string, appliedSeq: 2, appliedId: idOf(2) },
      // These two are from a log that a failover has replaced: one with the same number, and one beyond the end of the present
      // log.
      { id: elsewhere as string, appliedSeq: 3, appliedId: newId() },
      { id: beyond as string, appliedSeq: 4, appliedId: newId() },
      // A replica of a release that reports the number only.
      { id: older as string, appliedSeq: 3 },
    ])
    const { list } = new Process(store)
    expect(await list.count(3)).toEqual({ replicas: 5, confirmed: 1 })
    expect(await list.count(2)).toEqual({ replicas: 5, confirmed: 2 })
    await store.db.insert(replicas).values({ id: newId() })
    expect(await list.count(0)).toEqual({ replicas: 6, confirmed: 3 })
  })
})

describe('the share of a replica', () => {
  it('is an integer, differs by one at most, and all shares add up to the total', () => {
    const ids = fc.uniqueArray(fc.uuid(), { minLength: 1, maxLength: 40 })
    fc.assert(
      fc.property(fc.nat(200), ids, (total, all) => {
        const parts = all.map((id) => partOf(total, all, id))
        expect(parts.reduce((sum, part) => sum + part, 0)).toBe(total)
        expect(Math.max(...parts) - Math.min(...parts)).toBeLessThanOrEqual(1)
      }),
    )
  })
})

describe('the total', () => {
  const limit = fc.record({
    max: fc.integer({ min: 1, max: 500 }),
    maxPerServer: fc.integer({ min: 1, max: 500 }),
  })
  const told = fc.record({
    limit: fc.option(fc.integer({ min: 1, max: 500 })),
    limitPerServer: fc.option(fc.integer({ min: 1, max: 500 })),
  })

  it('is the smallest that a replica was given, in any order; older releases report none', () => {
    fc.assert(
      fc.property(limit, fc.array(told, { maxLength: 20 }), (own, others) => {
        const total = smallestTotal(own, others)
        const all = [own.max, ...others.flatMap((other) => other.limit ?? [])]
        const allPerServer = [own.maxPerServer, ...others.flatMap((other) => other.limitPerServer ?? [])]
        expect(total).toEqual({ max: Math.min(...all), maxPerServer: Math.min(...allPerServer) })
        expect(smallestTotal(own, others.toReversed())).toEqual(total)
        // Another replica of the newer release changes nothing.
        const [first] = others
        if (first?.limit == null || first.limitPerServer == null) return
        const theirs = others.slice(1).concat({ limit: own.max, limitPerServer: own.maxPerServer })
        expect(smallestTotal({ max: first.limit, maxPerServer: first.limitPerServer }, theirs)).toEqual(total)
      }),
    )
  })
})

describe('replicas with different totals', () => {
  const SMALL = { max: 4, maxPerServer: 3 }

  it('share the smallest while they run together, and log it once', async () => {
    const [old, young] = [new Process(catalog.store), new Process(catalog.store, SMALL)]
    await old.list.join(BEGINNING)
    expect(old.open).toBe(TOTAL)
    await young.list.join(BEGINNING)
    for (const process of [old, young, old, young]) await process.list.heartbeat(BEGINNING)
    expect([old.open, young.open]).toEqual([2, 2])
    expect([old.openAtServer, young.openAtServer].toSorted()).toEqual([1, 2])
    for (const process of [old, young]) expect(process.totals).toEqual([{ ...SMALL, differ: true }])
    await young.list.leave()
    await old.list.heartbeat(BEGINNING)
    expect(old.granted).toEqual({ max: TOTAL, maxPerServer: AT_A_SERVER })
    expect(old.totals.at(-1)).toEqual({ max: TOTAL, maxPerServer: AT_A_SERVER, differ: false })
  })

  it('never exceed the smallest, whichever replica starts, stops, dies, works or rests, and end up sharing it', async () => {
    const limits = fc.array(
      fc.record({ max: fc.integer({ min: 1, max: 9 }), maxPerServer: fc.integer({ min: 1, max: 9 }) }),
      { minLength: 4, maxLength: 4 },
    )
    const step = fc.record({
      process: fc.nat(3),
      kind: fc.constantFrom('beat', 'beat', 'beat', 'work', 'rest', 'leave', 'die'),
    })
    const play = fc.asyncProperty(
      limits,
      fc.array(step, { minLength: 5, maxLength: 30 }),
      async (all, steps) => {
        await catalog.store.db.delete(replicas)
        const alive = new Map<number, Process>()
        const limitOf = (index: number) => all[index] as Connections
        const least = (of: keyof Connections) =>
          Math.min(...[...alive.keys()].map((index) => limitOf(index)[of]))
        const sum = (of: 'open' | 'openAtServer') =>
          [...alive.values()].reduce((total, process) => total + process[of], 0)
        const taking = async (turn: () => Promise<unknown>) => {
          const before = { open: sum('open'), openAtServer: sum('openAtServer') }
          await turn()
          expect(sum('open')).toBeLessThanOrEqual(Math.max(before.open, least('max')))
          expect(sum('openAtServer')).toBeLessThanOrEqual(
            Math.max(before.openAtServer, least('maxPerServer')),
          )
        }
        for (const { process: index, kind } of steps) {
          const process = alive.get(index) ?? new Process(catalog.store, limitOf(index))
          await taking(async () => {
            if (kind === 'beat') {
              alive.set(index, process)
              await process.list.heartbeat(BEGINNING)
            } else if (alive.delete(index)) {
              if (kind === 'leave') await process.list.leave()
              else if (kind === 'die') await process.wasHeard(4)
              else {
                alive.set(index, process)
                process[kind]()
              }
            }
          })
        }
        const left = [...alive.values()]
        for (const process of left) process.rest()
        for (let round = 0; round < 3; round += 1) {
          for (const process of left) await taking(() => process.list.heartbeat(BEGINNING))
        }
        const ids = left.map(({ id }) => id)
        expect(left.map(({ open }) => open)).toEqual(ids.map((id) => partOf(least('max'), ids, id)))
        expect(left.map(({ openAtServer }) => openAtServer)).toEqual(
          ids.map((id) => partOf(least('maxPerServer'), ids, id)),
        )
      },
    )
    await fc.assert(play, { numRuns: 30 })
  })

  it('log each reason once if they have no connections for a while', async () => {
    const [old, young] = [new Process(catalog.store), new Process(catalog.store, { max: 1, maxPerServer: 1 })]
    await old.list.join(BEGINNING)
    old.work()
    await young.list.join(BEGINNING)
    expect([young.list.waitsFor, young.waits]).toEqual([expect.any(String), []])
    const [winner, loser] = old.id < young.id ? [old, young] : [young, old]
    for (let beat = 0; beat < 3; beat += 1) {
      young.age += 600
      await young.list.heartbeat(BEGINNING)
    }
    const isNext = young.id < old.id
    expect(young.waits).toEqual([isNext ? 'held-by-others' : 'more-replicas-than-connections'])
    old.rest()
    for (const process of [old, young, old, young]) {
      process.age += 600
      await process.list.heartbeat(BEGINNING)
    }
    expect([winner.open, loser.open, winner.list.waitsFor]).toEqual([1, 0, null])
    expect(loser.list.waitsFor).toBe('more-replicas-than-connections')
    for (let beat = 0; beat < 4; beat += 1) {
      loser.age += 600
      await loser.list.heartbeat(BEGINNING)
    }
    expect(loser.waits.at(-1)).toBe('more-replicas-than-connections')
    expect(loser.waits).toHaveLength(1)
  })

  it('wait until one of an older release, which does not report its total, gives up connections', async () => {
    const older = newId()
    const row = { id: older, connectionShare: TOTAL, serverShare: AT_A_SERVER }
    await catalog.store.db.insert(replicas).values(row)
    const young = new Process(catalog.store)
    await young.list.join(BEGINNING)
    expect([young.open, young.list.waitsFor, young.totals]).toEqual([0, 'held-by-others', []])
    await catalog.store.db
      .update(replicas)
      .set({ connectionShare: 3, serverShare: 2 })
      .where(eq(replicas.id, older))
    await young.list.heartbeat(BEGINNING)
    expect([young.open, young.list.waitsFor]).toEqual([older < young.id ? 3 : 4, null])
  })
})

describe('the replicas together', () => {
  it('hold all connections if there is one replica, and share them if there are more', async () => {
    const [one, two, three] = [1, 2, 3].map(() => new Process(catalog.store)) as [Process, Process, Process]
    await one.list.join(BEGINNING)
    expect(one.granted).toEqual({ max: TOTAL, maxPerServer: AT_A_SERVER })
    await two.list.join(BEGINNING)
    expect(two.granted).toEqual({ max: 0, maxPerServer: 0 })
    for (const process of [one, two]) await process.list.heartbeat(BEGINNING)
    expect([one.open, two.open].toSorted()).toEqual([3, 4])
    expect([one.openAtServer, two.openAtServer].toSorted()).toEqual([2, 3])
    await three.list.join(BEGINNING)
    for (const process of [one, two, three]) await process.list.heartbeat(BEGINNING)
    expect([one, two, three].map(({ open }) => open).toSorted()).toEqual([2, 2, 3])
    expect([one, two, three].map(({ openAtServer }) => openAtServer).toSorted()).toEqual([1, 2, 2])
    await two.list.leave()
    for (const process of [one, three]) await process.list.heartbeat(BEGINNING)
    expect([one.open, three.open].toSorted()).toEqual([3, 4])
  })

  it('wait for connections in use before another replica may have them', async () => {
    const [one, two] = [new Process(catalog.store), new Process(catalog.store)]
    await one.list.join(BEGINNING)
    one.work()
    await two.list.join(BEGINNING)
    for (const process of [one, two]) await process.list.heartbeat(BEGINNING)
    expect([one.open, two.open]).toEqual([TOTAL, 0])
    one.rest()
    for (const process of [one, two]) await process.list.heartbeat(BEGINNING)
    expect(one.open + two.open).toBe(TOTAL)
    expect(two.open).toBeGreaterThan(2)
  })

  it('never hold more than the total, whichever replica starts, stops, dies, works or rests, and end up sharing it', async () => {
    const step = fc.record({
      process: fc.nat(3),
      kind: fc.constantFrom('beat', 'beat', 'work', 'rest', 'leave', 'die'),
    })
    const play = fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
      await catalog.store.db.delete(replicas)
      const alive = new Map<number, Process>()
      const check = () => expectWithinTotals(alive.values())
      for (const { process: index, kind } of steps) {
        const process = alive.get(index) ?? new Process(catalog.store)
        if (kind === 'beat') {
          alive.set(index, process)
          await process.list.heartbeat(BEGINNING)
        } else if (alive.delete(index)) {
          if (kind === 'leave') await process.list.leave()
          else if (kind === 'die') await process.wasHeard(4)
          else {
            alive.set(index, process)
            process[kind]()
          }
        }
        check()
      }
      const all = [...alive.values()]
      for (const process of all) process.rest()
      for (let round = 0; round < 3; round += 1) {
        for (const process of all) {
          await process.list.heartbeat(BEGINNING)
          check()
        }
      }
      const ids = all.map(({ id }) => id)
      expect(all.map(({ open }) => open)).toEqual(ids.map((id) => partOf(TOTAL, ids, id)))
    })
    await fc.assert(play, { numRuns: 40 })
  })

  it('wait no longer than usual for one that died before the catalog’s clock was set back', async () => {
    const [one, dead] = [new Process(catalog.store), new Process(catalog.store)]
    await dead.list.join(BEGINNING)
    await dead.wasHeard(-3_600)
    await one.list.join(BEGINNING)
    expect((await one.list.count(0)).replicas).toBe(2)
    const ahead = () => catalog.store.db.$count(replicas, sql`${replicas.heartbeatAt} > now()`)
    expect(await ahead()).toBe(0)
    await dead.wasHeard(4)
    await one.list.heartbeat(BEGINNING)
    expect(one.granted).toEqual({ max: TOTAL, maxPerServer: AT_A_SERVER })
  })

  it('wait after an outage of the catalog for replicas that have not reported since', async () => {
    const [one, two] = [new Process(catalog.store), new Process(catalog.store)]
    for (const process of [one, two, one, two]) await process.list.heartbeat(BEGINNING)
    expectWithinTotals([one, two])
    const before = [one.granted, two.granted]
    for (const process of [one, two]) {
      process.age += 60_000
      await process.wasHeard(60)
    }
    // No replica could report: the other one may be alive and hold its connections.
    await one.list.heartbeat(BEGINNING)
    expect([one.granted, two.granted]).toEqual(before)
    expect(one.list.isSteady).toBe(false)
    await two.list.heartbeat(BEGINNING)
    expectWithinTotals([one, two])
    // In this case the other replica did not come back.
    await two.wasHeard(64)
    for (let second = 0; second < 4; second += 1) {
      one.age += 1_000
      await one.list.heartbeat(BEGINNING)
    }
    expect(one.granted).toEqual({ max: TOTAL, maxPerServer: AT_A_SERVER })
  })
})
