import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ConnectionBudget } from '../../../src/pools/budget.ts'
import type { BudgetedPool } from '../../../src/pools/opening/waiting-pools.ts'

/** A small pool. Its sockets close when the test says so. */
class FakePool implements BudgetedPool {
  readonly server: string
  readonly #budget: ConnectionBudget
  readonly #now: () => number
  #openedAt = 0
  wants = 0
  busy = 0
  idle = 0
  closing = 0
  served = 0
  opened = 0

  constructor(server: string, budget: ConnectionBudget, now: () => number) {
    this.server = server
    this.#budget = budget
    this.#now = now
  }
  get held() {
    return this.busy + this.idle
  }
  wanted() {
    return this.wants
  }
  openOne() {
    this.wants -= 1
    this.busy += 1
    this.opened += 1
    this.#openedAt = this.#now()
  }
  closeIdle() {
    if (this.idle === 0) return false
    this.idle -= 1
    this.closing += 1
    return true
  }
  /** Like a real pool, it uses an idle connection of its own before it asks the budget for another. */
  want() {
    if (this.idle > 0) {
      this.idle -= 1
      this.busy += 1
      return
    }
    this.wants += 1
    this.#budget.waiting.add(this)
  }
  /** A returned connection goes to the pool's own next request, unless it must yield. It becomes idle only if none wants it. */
  rest() {
    if (this.busy === 0) return
    this.served += 1
    if (this.wants > 0) {
      if (!this.#budget.waiting.mustYield(this, this.#now() - this.#openedAt)) {
        this.wants -= 1
        return
      }
      this.busy -= 1
      this.closing += 1
      this.#budget.waiting.add(this)
      return
    }
    this.busy -= 1
    this.idle += 1
    this.#budget.waiting.serve()
  }
  socketsClose() {
    for (; this.closing > 0; this.closing -= 1) this.#budget.release(this.server)
  }
  get open() {
    return this.busy + this.idle + this.closing
  }
}

function setUp(max: number, maxPerServer: number, servers: string[]) {
  const pools: FakePool[] = []
  let time = 0
  const clock = { now: () => time, monotonic: () => time }
  const budget = new ConnectionBudget({ max, maxPerServer, victims: () => pools, clock })
  for (const server of servers) pools.push(new FakePool(server, budget, clock.now))
  const pass = (ms: number) => {
    time += ms
  }
  /** All workers always want more, and use a connection for 10 ms. */
  const work = (ms: number, workers: FakePool[]) => {
    for (let spent = 0; spent < ms; spent += 10) {
      pass(10)
      for (const pool of workers) {
        pool.wants = 100
        budget.waiting.add(pool)
        for (let held = pool.busy; held > 0; held -= 1) pool.rest()
      }
      for (const pool of workers) pool.socketsClose()
    }
  }
  return { budget, pools, pass, work }
}

describe('the connection budget', () => {
  test('serves waiting pools in turn', () => {
    const { budget, pools } = setUp(4, 4, ['s', 's'])
    const [greedy, modest] = pools as [FakePool, FakePool]
    for (let i = 0; i < 4; i += 1) budget.tryAdmit('s')
    greedy.wants = 10
    modest.wants = 1
    budget.waiting.add(greedy)
    budget.waiting.add(modest)
    budget.release('s')
    budget.release('s')
    expect([greedy.busy, modest.busy]).toEqual([1, 1])
  })

  test("closes another pool's idle connection to make room, and no more than needed", () => {
    const { budget, pools } = setUp(3, 3, ['s', 's'])
    const [sleepy, needy] = pools as [FakePool, FakePool]
    sleepy.wants = 3
    budget.waiting.add(sleepy)
    sleepy.rest()
    sleepy.rest()
    needy.wants = 1
    budget.waiting.add(needy)
    budget.waiting.serve()
    budget.waiting.serve()
    expect([sleepy.idle, sleepy.closing, needy.busy]).toEqual([1, 1, 0])
    sleepy.socketsClose()
    expect([sleepy.idle, needy.busy, budget.open]).toEqual([1, 1, 3])
  })

  test('makes room on a full server by closing its own idle connections only', () => {
    const { budget, pools } = setUp(10, 1, ['a', 'b', 'b'])
    const [other, holder, needy] = pools as [FakePool, FakePool, FakePool]
    for (const pool of [other, holder]) {
      pool.wants = 1
      budget.waiting.add(pool)
      pool.rest()
    }
    needy.wants = 1
    budget.waiting.add(needy)
    expect([other.closing, holder.closing]).toEqual([0, 1])
  })

  test('gives pools that are always busy equal shares, in slices if there are fewer connections than pools', () => {
    const { pools, work } = setUp(1, 1, ['s', 's', 's'])
    work(6_000, pools)
    const served = pools.map((pool) => pool.served)
    expect(Math.min(...served)).toBeGreaterThan(Math.max(...served) * 0.8)
    // Not a new connection for every request.
    expect(pools.reduce((sum, pool) => sum + pool.opened, 0)).toBeLessThan(6_000 / 90)
  })

  test('does not change shares that differ by one at most', () => {
    const { pools, work } = setUp(10, 10, ['s', 's', 's'])
    const [first, ...late] = pools as [FakePool, ...FakePool[]]
    work(1_000, [first])
    expect(first.busy).toBe(10)
    work(2_000, [first, ...late])
    expect(pools.map((pool) => pool.busy).toSorted()).toEqual([3, 3, 4])
    const opened = pools.map((pool) => pool.opened)
    work(2_000, pools)
    expect(pools.map((pool) => pool.opened)).toEqual(opened)
  })

  test('gives one connection to a pool that needs it once, between pools that are always busy', () => {
    const { budget, pools, work } = setUp(4, 2, ['a', 'a', 'b', 'b'])
    work(1_000, pools)
    const once = new FakePool('b', budget, () => 0)
    once.wants = 1
    budget.waiting.add(once)
    work(80, pools)
    expect(once.busy).toBe(0)
    work(120, pools)
    expect(once.busy).toBe(1)
  })

  test('does not count a connection as closing that has ended already', () => {
    const { budget, pools } = setUp(1, 1, ['s', 's'])
    const [sleepy, needy] = pools as [FakePool, FakePool]
    budget.countClosing('s')
    sleepy.wants = 1
    budget.waiting.add(sleepy)
    sleepy.rest()
    needy.wants = 1
    budget.waiting.add(needy)
    expect(sleepy.closing).toBe(1)
  })

  test('after its limits shrink, closes idle connections at once, then returned ones, and no more than needed', () => {
    const { budget, pools } = setUp(5, 5, ['a', 'b'])
    const [first, second] = pools as [FakePool, FakePool]
    for (const pool of [first, second]) {
      pool.wants = 2
      budget.waiting.add(pool)
    }
    first.rest()
    expect([budget.isShrinking, budget.mustClose('a')]).toEqual([false, false])
    budget.resize({ max: 2, maxPerServer: 2 })
    expect([first.idle, first.closing, budget.isShrinking]).toEqual([0, 1, true])
    // One of the three connections in use must be closed: the one that is given back first.
    expect([budget.mustClose('b'), budget.isShrinking, budget.mustClose('b')]).toEqual([true, false, false])
    expect(budget.isKept).toBe(false)
    budget.resize({ max: 5, maxPerServer: 1 })
    expect([budget.mustClose('a'), budget.isShrinking]).toEqual([false, false])
    budget.resize({ max: 0, maxPerServer: 0 })
    expect([budget.mustClose('a'), budget.mustClose('b'), budget.isShrinking]).toEqual([true, true, false])
  })

  test('never exceeds a limit, and starves no pool, whatever happens', () => {
    // More `want` than `rest`, so that every run reaches the limits.
    const kind = fc.constantFrom('want', 'want', 'want', 'rest', 'close', 'end')
    const step = fc.record({ pool: fc.nat(3), kind })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120, size: 'max' }), (steps) => {
        const { budget, pools, pass } = setUp(5, 3, ['a', 'a', 'b', 'b'])
        const check = () => {
          const open = pools.reduce((sum, pool) => sum + pool.open, 0)
          expect(budget.open).toBe(open)
          expect(open).toBeLessThanOrEqual(5)
          for (const server of ['a', 'b']) {
            const here = pools.filter((pool) => pool.server === server)
            expect(here.reduce((sum, pool) => sum + pool.open, 0)).toBeLessThanOrEqual(3)
          }
        }
        for (const { pool: index, kind } of steps) {
          const pool = pools[index] as FakePool
          pass(40)
          if (kind === 'want') pool.want()
          else if (kind === 'rest') pool.rest()
          else if (kind === 'close') pool.socketsClose()
          else if (pool.busy > 0) {
            pool.busy -= 1
            budget.release(pool.server)
          }
          check()
        }
        for (let round = 0; round < 200 && pools.some((pool) => pool.wants > 0); round += 1) {
          for (const pool of pools) {
            pass(10)
            pool.rest()
            pool.socketsClose()
            check()
          }
        }
        expect(pools.map((pool) => pool.wants)).toEqual([0, 0, 0, 0])
      }),
    )
  })
})
