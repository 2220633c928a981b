import { sql } from 'drizzle-orm'
import fc from 'fast-check'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { partOf, ReplicaList } from '../../src/catalog/replicas.ts'
import { replicas } from '../../src/catalog/schema.ts'
import type { CatalogStore } from '../../src/catalog/store.ts'
import { newId } from '../../src/lib/ids.ts'
import { dropAll } from '../support/database.ts'
import { openCatalog, type TestCatalog } from './catalog.ts'

const TOTAL = 7

let catalog: TestCatalog
beforeEach(async () => {
  catalog = await openCatalog()
})
afterEach(() => catalog.close())
afterAll(dropAll)

/** A process in small: it holds as many connections as it may, and closes those beyond when they are idle. */
class Process {
  readonly id = newId()
  readonly list: ReplicaList
  readonly #store: CatalogStore
  granted = 0
  open = 0
  busy = 0

  constructor(store: CatalogStore) {
    this.#store = store
    const grant = (connections: number) => {
      this.granted = connections
      this.open = Math.max(connections, this.busy)
    }
    const share = { total: TOTAL, open: () => this.open, grant }
    this.list = new ReplicaList({ store, replicaId: this.id, share, closingMs: 0 })
  }
  work() {
    this.busy = this.open
  }
  rest() {
    this.busy = 0
    this.open = this.granted
  }
  /** Killed: its sockets are closed, its row stays, and stops counting some seconds later. */
  async die() {
    const late = sql`now() - interval '4 seconds'`
    await this.#store.db.update(replicas).set({ heartbeatAt: late }).where(sql`${replicas.id} = ${this.id}`)
  }
}

describe('the part of a replica', () => {
  it('is whole, differs by one at most, and all parts add up to the total', () => {
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

describe('the replicas together', () => {
  it('hold all connections when there is one, and share them out when there are more', async () => {
    const [one, two, three] = [1, 2, 3].map(() => new Process(catalog.store)) as [Process, Process, Process]
    await one.list.join(0)
    expect(one.granted).toBe(TOTAL)
    await two.list.join(0)
    expect(two.granted).toBe(0)
    for (const process of [one, two]) await process.list.heartbeat(0)
    expect([one.granted, two.granted].toSorted()).toEqual([3, 4])
    await three.list.join(0)
    for (const process of [one, two, three]) await process.list.heartbeat(0)
    expect([one, two, three].map(({ granted }) => granted).toSorted()).toEqual([2, 2, 3])
    await two.list.leave()
    for (const process of [one, three]) await process.list.heartbeat(0)
    expect([one.granted, three.granted].toSorted()).toEqual([3, 4])
  })

  it('wait for connections in use before another may have their part', async () => {
    const [one, two] = [new Process(catalog.store), new Process(catalog.store)]
    await one.list.join(0)
    one.work()
    await two.list.join(0)
    for (const process of [one, two]) await process.list.heartbeat(0)
    expect([one.open, two.granted]).toEqual([TOTAL, 0])
    one.rest()
    for (const process of [one, two]) await process.list.heartbeat(0)
    expect(one.granted + two.granted).toBe(TOTAL)
    expect(two.granted).toBeGreaterThan(2)
  })

  it('never hold more than the total, whoever comes, goes, dies, works or rests, and end up sharing it', async () => {
    const step = fc.record({
      process: fc.nat(3),
      kind: fc.constantFrom('beat', 'beat', 'work', 'rest', 'leave', 'die'),
    })
    const play = fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
      await catalog.store.db.delete(replicas)
      const alive = new Map<number, Process>()
      const check = () => {
        const open = [...alive.values()].reduce((sum, process) => sum + process.open, 0)
        expect(open).toBeLessThanOrEqual(TOTAL)
      }
      for (const { process: index, kind } of steps) {
        const process = alive.get(index) ?? new Process(catalog.store)
        if (kind === 'beat') {
          alive.set(index, process)
          await process.list.heartbeat(0)
        } else if (alive.delete(index)) {
          if (kind === 'leave') await process.list.leave()
          else if (kind === 'die') await process.die()
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
          await process.list.heartbeat(0)
          check()
        }
      }
      const ids = all.map(({ id }) => id)
      expect(all.map(({ granted }) => granted)).toEqual(ids.map((id) => partOf(TOTAL, ids, id)))
    })
    await fc.assert(play, { numRuns: 40 })
  })
})
