import { describe, expect, test } from 'vitest'
import type { Route, RouteDatabase } from '../../../src/catalog/directory.ts'
import { RouteInvalidator } from '../../../src/pools/route-invalidator.ts'

const SERVING = { id: 'd', version: 1, status: 'active', systemIdentifier: '1', databaseOid: 5 }
const routeWith = (more: Partial<Route>, database: object | null = SERVING) =>
  ({ tenantId: 't', status: 'ACTIVE', database, ...more }) as unknown as Route

/** A tenant whose route in the catalog is `after`, and its own pool, which drains when the test says so. */
function invalidatorOf(after: Route | null, { drainTimeoutMs = 60_000, hasPools = true } = {}) {
  let known: Route | undefined = routeWith({})
  /** All pools were retired except the one to this database. */
  const kept: (RouteDatabase | null)[] = []
  const drained = Promise.withResolvers<void>()
  const invalidator = new RouteInvalidator({
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
  return { invalidator, kept, drained, known: () => known }
}

describe('an invalidated route', () => {
  test('is unused at once, and the invalidation ends when no request uses its pool any more', async () => {
    const { invalidator, kept, drained, known } = invalidatorOf(routeWith({}, { ...SERVING, id: 'e' }))
    let isSettled = false
    const first = invalidator.forget('t')?.then(() => {
      isSettled = true
    })
    expect(known()).toBeUndefined()
    await expect.poll(() => kept).toMatchObject([{ id: 'e' }])
    // A replica hears of its own change a second time. The second call waits for the same requests.
    const second = invalidator.forget('t')
    expect(second).not.toBeNull()
    expect(isSettled).toBe(false)
    drained.resolve()
    await Promise.all([first, second])
    expect(invalidatorOf(null, { hasPools: false }).invalidator.forget('t')).toBeNull()
  })

  test.each<[string, Route | null]>([
    ['a tenant that is INACTIVE', routeWith({ status: 'INACTIVE' })],
    ['no tenant', null],
    ['no database', routeWith({}, null)],
    ['one that is inactive', routeWith({}, { ...SERVING, status: 'inactive' })],
  ])('that now leads to %s retires all its pools', async (_, after) => {
    const { invalidator, kept, drained } = invalidatorOf(after)
    drained.resolve()
    await invalidator.forget('t')
    expect(kept).toEqual([null])
  })

  test('that still leads to the same database keeps that pool', async () => {
    const { invalidator, kept, drained } = invalidatorOf(routeWith({ name: 'Renamed' }))
    drained.resolve()
    await invalidator.forget('t')
    expect(kept).toEqual([SERVING])
  })

  test('among all others, because changes were missed, retires all pools, whatever the catalog says now', async () => {
    const { invalidator, kept, drained, known } = invalidatorOf(routeWith({}))
    let isSettled = false
    const forgotten = invalidator.forgetAll().then(() => {
      isSettled = true
    })
    expect(known()).toBeUndefined()
    expect(kept).toEqual([null, null])
    await null
    expect(isSettled).toBe(false)
    drained.resolve()
    await forgotten
    await invalidatorOf(null, { hasPools: false }).invalidator.forgetAll()
  })

  test('is waited for no longer than the limit', async () => {
    const { invalidator, kept } = invalidatorOf(null, { drainTimeoutMs: 5 })
    await invalidator.forget('t')
    expect(kept).toEqual([null])
  })
})
