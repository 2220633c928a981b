import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Bidder, ConnectionBudget } from '../../../src/pools/budget.ts'

/** A pool in small: what it wants, what it holds, and sockets that close when the test says so. */
class FakePool implements Bidder {
  readonly server: string
  readonly #budget: ConnectionBudget
  wants = 0
  busy = 0
  idle = 0
  closing = 0

  constructor(server: string, budget: ConnectionBudget) {
    this.server = server
    this.#budget = budget
  }
  wanted() {
    return this.wants
  }
  openOne() {
    this.wants -= 1
    this.busy += 1
  }
  closeIdle() {
    if (this.idle === 0) return false
    this.idle -= 1
    this.closing += 1
    return true
  }
  /** What is given back goes to the pool's own next waiter; only what none of them wants idles. */
  rest() {
    if (this.busy === 0) return
    if (this.wants > 0) {
      this.wants -= 1
      return
    }
    this.busy -= 1
    this.idle += 1
    this.#budget.pulse()
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
  const budget = new ConnectionBudget({ max, maxPerServer, victims: () => pools })
  for (const server of servers) pools.push(new FakePool(server, budget))
  return { budget, pools }
}

describe('the connection budget', () => {
  test('serves waiting pools in turn', () => {
    const { budget, pools } = setUp(4, 4, ['s', 's'])
    const [greedy, modest] = pools as [FakePool, FakePool]
    for (let i = 0; i < 4; i += 1) budget.tryAdmit('s')
    greedy.wants = 10
    modest.wants = 1
    budget.enqueue(greedy)
    budget.enqueue(modest)
    budget.release('s')
    budget.release('s')
    expect([greedy.busy, modest.busy]).toEqual([1, 1])
  })

  test("closes another pool's idle connection to make room, and no more than needed", () => {
    const { budget, pools } = setUp(3, 3, ['s', 's'])
    const [sleepy, needy] = pools as [FakePool, FakePool]
    sleepy.wants = 3
    budget.enqueue(sleepy)
    sleepy.rest()
    sleepy.rest()
    needy.wants = 1
    budget.enqueue(needy)
    budget.pulse()
    budget.pulse()
    expect([sleepy.idle, sleepy.closing, needy.busy]).toEqual([1, 1, 0])
    sleepy.socketsClose()
    expect([sleepy.idle, needy.busy, budget.open]).toEqual([1, 1, 3])
  })

  test('a full server is relieved by its own idle connections only', () => {
    const { budget, pools } = setUp(10, 1, ['a', 'b', 'b'])
    const [other, holder, needy] = pools as [FakePool, FakePool, FakePool]
    for (const pool of [other, holder]) {
      pool.wants = 1
      budget.enqueue(pool)
      pool.rest()
    }
    needy.wants = 1
    budget.enqueue(needy)
    expect([other.closing, holder.closing]).toEqual([0, 1])
  })

  test('never exceeds a limit, and starves nobody, whatever happens', () => {
    // More wanted than given back, so that the limits are met in every run.
    const kind = fc.constantFrom('want', 'want', 'want', 'rest', 'close', 'end')
    const step = fc.record({ pool: fc.nat(3), kind })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120, size: 'max' }), (steps) => {
        const { budget, pools } = setUp(5, 3, ['a', 'a', 'b', 'b'])
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
          if (kind === 'want') {
            pool.wants += 1
            budget.enqueue(pool)
          } else if (kind === 'rest') pool.rest()
          else if (kind === 'close') pool.socketsClose()
          else if (pool.busy > 0) {
            pool.busy -= 1
            budget.release(pool.server)
          }
          check()
        }
        for (let round = 0; round < 200 && pools.some((pool) => pool.wants > 0); round += 1) {
          for (const pool of pools) {
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
