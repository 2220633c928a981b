import { describe, expect, test } from 'vitest'
import { fail } from '../../../src/errors.ts'
import { createCatalogRowCache } from '../../../src/identity/callers/catalog-row-cache.ts'

interface Row {
  readonly id: string
}

/** A cache over a map instead of the catalog. The test controls the clock and can hold loads back. */
function setUp(rows: Record<string, Row> = {}) {
  const world = {
    now: 0,
    loads: 0,
    rows: new Map(Object.entries(rows)),
    before: async () => {},
    after: async () => {},
  }
  const cache = createCatalogRowCache<Row>({
    maxStalenessMs: 300_000,
    clock: { now: () => world.now, monotonic: () => world.now },
    load: async (lookup) => {
      world.loads += 1
      await world.before()
      const row = world.rows.get(lookup) ?? null
      await world.after()
      return row
    },
  })
  return { world, cache }
}

const outage = async () => {
  throw fail('CATALOG_UNAVAILABLE')
}

describe('a known credential', () => {
  test('is loaded once, also for many callers at once, and again after a minute', async () => {
    const { world, cache } = setUp({ a: { id: '1' } })
    await Promise.all(Array.from({ length: 50 }, () => cache.find('a')))
    expect(cache.peek('a')).toEqual({ id: '1' })
    expect(world.loads).toBe(1)
    world.now = 60_000
    expect(cache.peek('a')).toBeUndefined()
    await cache.find('a')
    expect(world.loads).toBe(2)
  })

  test('is still accepted in an outage of the catalog, for five minutes', async () => {
    const { world, cache } = setUp({ a: { id: '1' } })
    await cache.find('a')
    world.before = outage
    world.now = 299_999
    expect(await cache.find('a')).toEqual({ id: '1' })
    world.now = 300_000
    await expect(cache.find('a')).rejects.toMatchObject({ code: 'CATALOG_UNAVAILABLE' })
  })

  test('does not wait for a failed catalog, which is tried once a second until it answers', async () => {
    const { world, cache } = setUp({ a: { id: '1' } })
    await cache.find('a')
    world.before = outage
    world.now = 60_000
    await cache.find('a')
    for (let i = 0; i < 100; i += 1) expect(cache.peek('a')).toEqual({ id: '1' })
    expect(world.loads).toBe(2)
    world.now = 61_000
    for (let i = 0; i < 100; i += 1) expect(cache.peek('a')).toEqual({ id: '1' })
    await new Promise(setImmediate)
    expect(world.loads).toBe(3)
    world.before = async () => {}
    world.rows.delete('a')
    world.now = 62_000
    expect(cache.peek('a')).toEqual({ id: '1' })
    await new Promise(setImmediate)
    expect(cache.peek('a')).toBeNull()
  })

  test('does not hide other errors', async () => {
    const { world, cache } = setUp({ a: { id: '1' } })
    await cache.find('a')
    world.now = 60_000
    world.before = async () => {
      throw new TypeError('ours')
    }
    await expect(cache.find('a')).rejects.toThrow(TypeError)
  })
})

describe('a withdrawn credential', () => {
  test('is refused once it is invalidated, and the others stay valid', async () => {
    const { world, cache } = setUp({ a: { id: '1' }, b: { id: '2' } })
    await cache.find('a')
    await cache.find('b')
    world.rows.delete('a')
    cache.invalidate('1')
    expect(await cache.find('a')).toBeNull()
    expect(cache.peek('b')).toEqual({ id: '2' })
  })

  test('does not come back through a load that began before', async () => {
    const { world, cache } = setUp({ a: { id: '1' } })
    world.after = async () => {
      world.after = async () => {}
      world.rows.delete('a')
      cache.invalidate('1')
    }
    expect(await cache.find('a')).toBeNull()
    expect(cache.peek('a')).toBeNull()
    expect(world.loads).toBe(2)
  })

  test('does not come back in an outage', async () => {
    const { world, cache } = setUp({ a: { id: '1' } })
    await cache.find('a')
    cache.invalidate('1')
    world.before = outage
    await expect(cache.find('a')).rejects.toMatchObject({ code: 'CATALOG_UNAVAILABLE' })
  })
})

describe('an unknown credential', () => {
  test('is looked up once in five seconds', async () => {
    const { world, cache } = setUp()
    expect(await cache.find('x')).toBeNull()
    expect(await cache.find('x')).toBeNull()
    expect(world.loads).toBe(1)
    world.now = 5_000
    world.rows.set('x', { id: '9' })
    expect(await cache.find('x')).toEqual({ id: '9' })
  })

  test('does not displace known ones, however many are sent', async () => {
    const { cache } = setUp({ a: { id: '1' } })
    await cache.find('a')
    for (let i = 0; i < 11_000; i += 1) await cache.find(`x${i}`)
    expect(cache.peek('a')).toEqual({ id: '1' })
  })
})
