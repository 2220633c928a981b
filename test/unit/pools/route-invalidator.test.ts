import { describe, expect, test } from 'vitest'
import type { Route, RouteDatabase } from '../../../src/catalog/directory.ts'
import { RouteInvalidator } from '../../../src/pools/route-invalidator.ts'

const SERVING = { id: 'd', version: 1, status: 'active', systemIdentifier: '1', databaseOid: 5 }
const routeWith = (more: Partial<Route>, database: object | null = SERVING) =>
  ({ tenantId: 't', status: 'ACTIVE', database, ...more }) as unknown as Route

/** A tenant whose route is `after` in the catalog, and a pool of its own that drains when the test says so. */
function keeperOf(after: Route | null, { drainTimeoutMs = 60_000, hasPools = true } = {}) {
  let known: Route | undefined = routeWith({})
  /** All pools were given up but the one to this database. */
  const kept: (RouteDatabase | null)[] = []
  const drained = Promise.withResolvers<void>()
  const keeper = new RouteInvalidator({
    directory: {
      byId: async () => {
        await null
        known = after ?? undefined
        return after
      },
      invalidate: () => {
        known = undefined
      },
      clear: () => {
        known = undefined
      },
    },
    pools: {
      owners: hasPools ? ['t', 'u'] : [],
      hasPools: () => hasPools,
      retireAllBut: (_tenantId, serving) => {
        kept.push(serving)
        return drained.promise
      },
    },
    drainTimeoutMs,
  })
  return { keeper, kept, drained, known: () => known }
}

describe('a route that is forgotten', () => {
  test('is out of use at once, and its pool is left by all before that is said', async () => {
    const { keeper, kept, drained, known } = keeperOf(routeWith({}, { ...SERVING, id: 'e' }))
    let isSettled = false
    const first = keeper.forget('t')?.then(() => {
      isSettled = true
    })
    expect(known()).toBeUndefined()
    await expect.poll(() => kept).toMatchObject([{ id: 'e' }])
    // Heard of again, as every change is that was made here: the end to wait for is the same.
    const second = keeper.forget('t')
    expect(second).not.toBeNull()
    expect(isSettled).toBe(false)
    drained.resolve()
    await Promise.all([first, second])
    expect(keeperOf(null, { hasPools: false }).keeper.forget('t')).toBeNull()
  })

  test.each<[string, Route | null]>([
    ['a tenant that is INACTIVE', routeWith({ status: 'INACTIVE' })],
    ['no tenant', null],
    ['no database', routeWith({}, null)],
    ['one that is inactive', routeWith({}, { ...SERVING, status: 'inactive' })],
  ])('and now leads to %s gives up all of its pools', async (_, after) => {
    const { keeper, kept, drained } = keeperOf(after)
    drained.resolve()
    await keeper.forget('t')
    expect(kept).toEqual([null])
  })

  test('and still leads to the same keeps that pool', async () => {
    const { keeper, kept, drained } = keeperOf(routeWith({ name: 'Renamed' }))
    drained.resolve()
    await keeper.forget('t')
    expect(kept).toEqual([SERVING])
  })

  test('with all others, because changes were missed, gives up all pools, whatever the catalog says now', async () => {
    const { keeper, kept, drained, known } = keeperOf(routeWith({}))
    let isSettled = false
    const forgotten = keeper.forgetAll().then(() => {
      isSettled = true
    })
    expect(known()).toBeUndefined()
    expect(kept).toEqual([null, null])
    await null
    expect(isSettled).toBe(false)
    drained.resolve()
    await forgotten
    await keeperOf(null, { hasPools: false }).keeper.forgetAll()
  })

  test('is not waited for beyond the limit', async () => {
    const { keeper, kept } = keeperOf(null, { drainTimeoutMs: 5 })
    await keeper.forget('t')
    expect(kept).toEqual([null])
  })
})
