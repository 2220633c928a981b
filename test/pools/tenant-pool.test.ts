import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/lib/clock.ts'
import { ConnectionBudget } from '../../src/pools/budget.ts'
import { Breakers } from '../../src/pools/opening/breakers.ts'
import { TenantPool } from '../../src/pools/tenant-pool.ts'
import { dropAll, terminateBackends } from '../support/database.ts'
import { addressOf, createTenantDatabase } from '../support/tenant-database.ts'

const POOL_SIZE = 4
let tenantDatabase: Awaited<ReturnType<typeof createTenantDatabase>>

beforeAll(async () => {
  tenantDatabase = await createTenantDatabase()
})
afterAll(dropAll)

/** Two pools with one budget on one server. The clock of their breakers can be moved forward. */
function openPools({ max }: { max: number }) {
  let aheadMs = 0
  const clock = { ...systemClock, monotonic: () => systemClock.monotonic() + aheadMs }
  const breakers = new Breakers({ clock })
  const pools: TenantPool[] = []
  const budget = new ConnectionBudget({ max, maxPerServer: max, victims: () => pools })
  for (const database of ['pool', 'neighbour']) {
    const pool = new TenantPool({
      address: addressOf(tenantDatabase.url),
      limits: { max: POOL_SIZE, idleTimeoutMs: 30_000, connectTimeoutMs: 5_000, statementTimeoutMs: 5_000 },
      acquireTimeoutMs: 2_000,
      budget,
      attempts: breakers.attemptsTo('server', database),
    })
    pools.push(pool)
  }
  const [pool, neighbour] = pools as [TenantPool, TenantPool]
  return {
    pool,
    neighbour,
    budget,
    letPass(ms: number) {
      aheadMs += ms
    },
    close: () => Promise.all(pools.map((each) => each.close())),
  }
}

/** `callers` requests ask at once, and give their connections back when `running` of them have one at the same time. */
async function burst(pool: TenantPool, callers: number, running: number): Promise<void> {
  const reached = Promise.withResolvers<void>()
  let lent = 0
  const hold = async () => {
    lent += 1
    if (lent === running) reached.resolve()
    await reached.promise
  }
  const lendings = Array.from({ length: callers }, () => pool.run(hold, () => true))
  for (const lending of lendings) lending.catch(() => reached.resolve())
  await Promise.all(lendings)
}

interface Case {
  readonly idle: number
  readonly neighbours: number
  readonly callers: number
  readonly max: number
}

/** All possible combinations of these numbers. */
function casesOf(numbers: Record<keyof Case, number[]>): Case[] {
  return numbers.idle.flatMap((idle) =>
    numbers.neighbours.flatMap((neighbours) =>
      numbers.callers.flatMap((callers) =>
        numbers.max
          .filter((max) => idle + neighbours <= max)
          .map((max) => ({ idle, neighbours, callers, max })),
      ),
    ),
  )
}

/** The cases in which fewer callers ran at once than pool and budget allow. */
async function stuckAmong(
  cases: Case[],
  { silenceMs = 0, interfere = async () => {} }: { silenceMs?: number; interfere?: () => Promise<unknown> },
): Promise<object[]> {
  const stuck: object[] = []
  for (const each of cases) {
    const { idle, neighbours, callers, max } = each
    const { pool, neighbour, letPass, close } = openPools({ max })
    if (idle > 0) await burst(pool, idle, idle)
    if (neighbours > 0) await burst(neighbour, neighbours, neighbours)
    letPass(silenceMs)
    await interfere()
    await burst(pool, callers, Math.min(callers, max, POOL_SIZE)).catch(() => stuck.push(each))
    await close()
  }
  return stuck
}

describe('as many callers run at once as pool and budget allow', () => {
  const ALONE = {
    ...{ idle: [0, 1, 2, 3, 4], neighbours: [0] },
    ...{ callers: [1, 2, 3, 4, 5, 6, 9], max: [POOL_SIZE - 1, POOL_SIZE, POOL_SIZE + 2] },
  }
  const SILENCE_MS = 10_000

  test('on a server that has just answered', async () => {
    expect(await stuckAmong(casesOf(ALONE), {})).toEqual([])
  })

  test('on a server that has not answered for a while', async () => {
    expect(await stuckAmong(casesOf(ALONE), { silenceMs: SILENCE_MS })).toEqual([])
  })

  test('if idle connections of another pool must be closed first', async () => {
    const cases = casesOf({ idle: [0, 1, 3], neighbours: [1, 2, 4], callers: [1, 3, 4, 7], max: [3, 4, 5] })
    expect(await stuckAmong(cases, {})).toEqual([])
    expect(await stuckAmong(cases, { silenceMs: SILENCE_MS })).toEqual([])
  })

  test('if the server has ended the idle connections', async () => {
    const cases = casesOf({ idle: [1, 3, 4], neighbours: [0, 1], callers: [1, 4, 6], max: [4] })
    const interfere = () => terminateBackends(tenantDatabase.database)
    expect(await stuckAmong(cases, { silenceMs: SILENCE_MS, interfere })).toEqual([])
  })
})

test('a connection that may not be tried yet takes no permit', async () => {
  const { pool, budget, letPass, close } = openPools({ max: 10 })
  await burst(pool, 2, 2)
  letPass(10_000)
  const bursting = burst(pool, 4, 4)
  await nextTurn()
  // Two idle connections, and the first attempt, which shows whether the server still answers.
  expect(budget.open).toBe(3)
  await bursting
  await close()
})
