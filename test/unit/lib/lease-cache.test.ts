import { describe, expect, test } from 'vitest'
import { LeaseCache, type LeaseCacheOptions } from '../../../src/lib/cache/lease-cache.ts'

function cacheOf(max: number, more: Partial<LeaseCacheOptions<string>> = {}) {
  const closed: string[] = []
  let nowMs = 0
  const cache = new LeaseCache<string>({
    max,
    close: async (value) => {
      closed.push(value)
    },
    clock: { now: () => nowMs, monotonic: () => nowMs },
    ...more,
  })
  const use = (...keys: string[]) => {
    for (const key of keys) {
      nowMs += 1
      cache.acquire(key, () => key).release()
    }
  }
  const pass = (ms: number) => {
    nowMs += ms
  }
  return { cache, closed, use, pass }
}

describe('a lease cache', () => {
  test('creates a value once for many leases', () => {
    const { cache } = cacheOf(2)
    let made = 0
    for (let i = 0; i < 500; i += 1) cache.acquire('a', () => `a${++made}`)
    expect(made).toBe(1)
  })

  test('does not close a value that left the map while it is leased', async () => {
    const { cache, closed } = cacheOf(1)
    const lease = cache.acquire('a', () => 'a')
    void cache.evict('a')
    cache.acquire('b', () => 'b').release()
    expect(closed).toEqual([])
    lease.release()
    await cache.close()
    expect(closed.sort()).toEqual(['a', 'b'])
  })

  test('closes a value without a lease as soon as it leaves the map', () => {
    const { cache, closed } = cacheOf(1)
    cache.acquire('a', () => 'a').release()
    cache.acquire('b', () => 'b')
    expect(closed).toEqual(['a'])
  })

  test('creates a new value for a key whose old value is still leased, and closes each once', async () => {
    const { cache, closed } = cacheOf(5)
    const old = cache.acquire('a', () => 'a1')
    void cache.evict('a')
    const young = cache.acquire('a', () => 'a2')
    expect(young.value).toBe('a2')
    old.release()
    old.release()
    young.release()
    await cache.close()
    expect(closed).toEqual(['a1', 'a2'])
  })

  test('evict() resolves when the last lease is released and the value is closed', async () => {
    const { cache, closed } = cacheOf(5)
    const leases = [cache.acquire('a', () => 'a'), cache.acquire('a', () => 'a')]
    let isGone = false
    const gone = cache.evict('a').then(() => {
      isGone = true
    })
    leases[0]?.release()
    await cache.evict('unknown')
    expect([isGone, closed]).toEqual([false, []])
    leases[1]?.release()
    await gone
    expect(closed).toEqual(['a'])
  })

  test('close() waits for the last lease', async () => {
    const { cache, closed } = cacheOf(5)
    const lease = cache.acquire('a', () => 'a')
    let done = false
    const closing = cache.close().then(() => {
      done = true
    })
    await new Promise(setImmediate)
    expect(done).toBe(false)
    lease.release()
    await closing
    expect(closed).toEqual(['a'])
  })

  test('lists values least recently used first if each was used as often as the others', () => {
    const { cache, use } = cacheOf(5)
    use('a', 'b', 'c', 'c', 'b', 'a')
    expect(cache.leastUsed()).toEqual(['c', 'b', 'a'])
  })

  test('lists retired values first until they are closed, and reports each once', async () => {
    const retired: string[] = []
    const { cache } = cacheOf(1, { onRetired: (value) => retired.push(value) })
    const lease = cache.acquire('a', () => 'a')
    void cache.evict('a')
    cache.acquire('b', () => 'b').release()
    expect(cache.leastUsed()).toEqual(['a', 'b'])
    lease.release()
    await new Promise(setImmediate)
    expect(cache.leastUsed()).toEqual(['b'])
    await cache.evict('b')
    expect(retired).toEqual(['a'])
  })
})

describe('a full lease cache', () => {
  /** Values take a place as soon as they are used, as a pool holds a connection once a request has opened one. */
  function fullCacheOf(max: number, more: Partial<LeaseCacheOptions<string>> = {}) {
    const places = new Set<string>()
    const { cache, closed, pass } = cacheOf(max, { takesPlace: (value) => places.has(value), ...more })
    const use = (...keys: string[]) => {
      for (const key of keys) {
        pass(1)
        const lease = cache.acquire(key, () => key)
        places.add(key)
        lease.release()
      }
    }
    return { cache, closed, places, use, pass }
  }

  test('closes the value that was used least often, not the one that was used last', () => {
    const { closed, use } = fullCacheOf(2)
    use('often', 'often', 'often', 'twice', 'twice', 'once')
    expect(closed).toEqual(['once'])
    use('often', 'thrice', 'thrice', 'thrice')
    expect(closed).toEqual(['once', 'thrice', 'twice'])
  })

  test('counts uses that were collected', () => {
    const { cache, closed, use } = fullCacheOf(2)
    use('collected', 'often', 'often', 'often')
    expect(cache.use('collected', 5)).toBe('collected')
    use('new')
    expect(closed).toEqual(['new'])
    use('new', 'new', 'new')
    expect(cache.leastUsed()[0]).not.toBe('collected')
  })

  test('forgets uses of long ago', () => {
    const { closed, use, pass } = fullCacheOf(2)
    use('often', 'often', 'often', 'often')
    pass(100_000)
    use('now', 'new')
    expect(closed).toEqual(['often'])
  })

  test('remembers how often a value was used that it has closed', () => {
    const { closed, use } = fullCacheOf(1)
    use('a', 'a', 'b', 'b', 'b')
    expect(closed).toEqual(['b', 'a'])
  })

  test('closes no value that is leased, and the least used ones when the leases end', () => {
    const { cache, closed, places } = fullCacheOf(1)
    const leases = ['a', 'b', 'c'].map((key) => cache.acquire(key, () => key))
    for (const key of ['a', 'b', 'c']) places.add(key)
    expect([closed, cache.size]).toEqual([[], 3])
    leases[0]?.release()
    expect([closed, cache.size]).toEqual([['a'], 2])
    leases[2]?.release()
    leases[1]?.release()
    expect([closed, cache.size]).toEqual([['a', 'c'], 1])
  })

  test('closes no value for one that takes no place, and lets that one go when its lease ends', () => {
    const { cache, closed, use } = fullCacheOf(2)
    use('a', 'b')
    const waiting = ['w', 'x'].map((key) => cache.acquire(key, () => key))
    expect(closed).toEqual([])
    for (const lease of waiting) lease.release()
    expect(closed).toEqual(['w', 'x'])
  })

  test('closes a value whose leases do not count as uses', () => {
    const { cache, closed, use, places } = fullCacheOf(1, {
      isUsed: (value, leases) => value !== 'kept' || leases > 1,
    })
    const kept = cache.acquire('kept', () => 'kept')
    places.add('kept')
    use('a', 'a')
    expect([closed, cache.size]).toEqual([[], 1])
    kept.release()
    expect(closed).toEqual(['kept'])
  })
})
