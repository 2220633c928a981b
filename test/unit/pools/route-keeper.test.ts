import { describe, expect, test } from 'vitest'
import type { Route, RouteDatabase } from '../../../src/catalog/directory.ts'
import { RouteKeeper } from '../../../src/pools/route-keeper.ts'

const SERVING = { id: 'd', version: 1, status: 'active', systemIdentifier: '1', databaseOid: 5 }
const routeWith = (more: Partial<Route>, database: object | null = SERVING) =>
  ({ tenantId: 't', status: 'ACTIVE', database, ...more }) as unknown as Route

/** A tenant whose route is `before` here and `after` in the catalog, and a pool that drains when the test says so. */
function keeperOf(before: Route | undefined, after: Route | null, drainTimeoutMs = 60_000) {
  let known = before
  const retired: RouteDatabase[] = []
  const drained = Promise.withResolvers<void>()
  const keeper = new RouteKeeper({
    directory: {
      peekById: () => known,
      byId: async () => {
        await null
        known = after ?? undefined
        return after
      },
      invalidate: () => {
        known = undefined
      },
    },
    pools: {
      retire: (database) => {
        retired.push(database)
        return drained.promise
      },
    },
    drainTimeoutMs,
  })
  return { keeper, retired, drained, known: () => known }
}

describe('a route that is forgotten', () => {
  test('is out of use at once, and its pool is left by all before that is said', async () => {
    const { keeper, retired, drained, known } = keeperOf(
      routeWith({}),
      routeWith({}, { ...SERVING, id: 'e' }),
    )
    let isSettled = false
    const first = keeper.forget('t')?.then(() => {
      isSettled = true
    })
    expect(known()).toBeUndefined()
    await expect.poll(() => retired).toEqual([SERVING])
    // Heard of again, as every change is that was made here: the end to wait for is the same.
    const second = keeper.forget('t')
    expect(second).not.toBeNull()
    expect(isSettled).toBe(false)
    drained.resolve()
    await Promise.all([first, second])
    expect(retired[0]).toEqual(SERVING)
    expect(keeperOf(undefined, null).keeper.forget('t')).toBeNull()
  })

  test.each<[string, Route | null]>([
    ['a tenant that is INACTIVE', routeWith({ status: 'INACTIVE' })],
    ['no tenant', null],
    ['no database', routeWith({}, null)],
    ['another version', routeWith({}, { ...SERVING, version: 2 })],
    ['another database in its place', routeWith({}, { ...SERVING, databaseOid: 6 })],
    ['another cluster', routeWith({}, { ...SERVING, systemIdentifier: '2' })],
    ['one that is inactive', routeWith({}, { ...SERVING, status: 'inactive' })],
  ])('and now leads to %s gives up its pool', async (_, after) => {
    const { keeper, retired, drained } = keeperOf(routeWith({}), after)
    drained.resolve()
    await keeper.forget('t')
    expect(retired).toEqual([SERVING])
  })

  test('and still leads to the same keeps its pool', async () => {
    const { keeper, retired } = keeperOf(routeWith({}), routeWith({ name: 'Renamed' }))
    await keeper.forget('t')
    expect(retired).toEqual([])
  })

  test('is not waited for beyond the limit', async () => {
    const { keeper, retired } = keeperOf(routeWith({}), null, 5)
    await keeper.forget('t')
    expect(retired).toEqual([SERVING])
  })
})
