import type pg from 'pg'
import { expect, test } from 'vitest'
import { TenantPools } from '../../../bench/baselines/tenant-pools.ts'

/** Pools that count how many of them are open. */
function fakePools(maxPools: number) {
  const created: string[] = []
  const counts = { open: 0, most: 0 }
  const pools = new TenantPools({
    maxPools,
    createPool: async (tenantId) => {
      created.push(tenantId)
      counts.open += 1
      counts.most = Math.max(counts.most, counts.open)
      const end = async () => {
        counts.open -= 1
      }
      return { end } as unknown as pg.Pool
    },
  })
  return { pools, created, counts }
}

const nothing = async () => undefined

test('requests of one tenant share a pool, and those that come at once too', async () => {
  const { pools, created } = fakePools(2)
  await Promise.all([pools.use('a', nothing), pools.use('a', nothing)])
  await pools.use('a', nothing)
  expect(created).toEqual(['a'])
})

test('the least recently used pool makes room', async () => {
  const { pools, created } = fakePools(2)
  for (const tenant of ['a', 'b', 'a', 'c', 'a', 'b']) await pools.use(tenant, nothing)
  expect(created).toEqual(['a', 'b', 'c', 'b'])
})

test('a pool in use is not closed: the request waits for one that becomes unused', async () => {
  const { pools, created, counts } = fakePools(1)
  const { promise: held, resolve: release } = Promise.withResolvers<void>()
  const first = pools.use('a', () => held)
  const second = pools.use('b', nothing)
  await new Promise((resolve) => setImmediate(resolve))
  expect(created).toEqual(['a'])
  release()
  await Promise.all([first, second])
  expect(created).toEqual(['a', 'b'])
  expect(counts.most).toBe(1)
})

test('many requests for many tenants at once never have more pools than allowed', async () => {
  const { pools, counts } = fakePools(3)
  const pause = () => new Promise((resolve) => setImmediate(resolve))
  await Promise.all(Array.from({ length: 200 }, (_, i) => pools.use(`tenant-${(i * 7) % 20}`, pause)))
  expect(counts).toEqual({ open: 3, most: 3 })
})
