import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { countOpens } from '../../support/churn-world.ts'
import { PoolWorld, turn } from '../../support/pool-world.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

/** The first database is used twice before the others, and then as often as each of them. */
const FAVOURITE = [0, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0]

test('a connection to a database that is used more often stays open, though others were used later', async () => {
  const alone = { trace: FAVOURITE, callers: 1 }
  // One for the favourite, and one for each use of the others.
  expect(await countOpens({ ...alone, maxConnections: 2 })).toBe(1 + 8)
})

test('a pool of such a database stays open, though others were used later', async () => {
  expect(await countOpens({ trace: FAVOURITE, callers: 1, maxConnections: 10, maxPools: 2 })).toBe(1 + 8)
})

test('a pool that only waits takes no place of one that has a connection', async () => {
  // The first two tenants share a server, and the third has one of its own.
  const world = await PoolWorld.open({ maxPerServer: 1, maxPools: 2, warm: [0, 0, 1] })
  const [holder] = [world.ask(0), world.ask(1)]
  await world.calm()
  expect(world.network.lines.size).toBe(2)
  expect([holder.state, world.manager.size]).toEqual(['holding', 3])
  await world.rush()
  expect(await world.close()).toBe(true)
})

test('a pool in use stays the only one of its database, though there are more pools than allowed', async () => {
  const world = await PoolWorld.open({ maxPools: 1, poolSize: 1 })
  const [first] = [world.ask(0), world.ask(1), world.ask(2)]
  await world.calm()
  const second = world.ask(0)
  await world.calm()
  expect([second.state, world.network.lines.size]).toEqual(['waiting', 3])
  first.end('ok')
  await turn()
  expect(second.state).toBe('holding')
  await world.rush()
  expect([world.manager.size, world.network.lines.size]).toEqual([1, 1])
  expect(await world.close()).toBe(true)
})
