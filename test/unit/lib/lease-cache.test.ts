import { describe, expect, test } from 'vitest'
import { LeaseCache } from '../../../src/lib/cache/lease-cache.ts'

function cacheOf(max: number) {
  const closed: string[] = []
  const cache = new LeaseCache<string>(max, async (value) => {
    closed.push(value)
  })
  return { cache, closed }
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

  test('lists values least recently used first', () => {
    const { cache } = cacheOf(5)
    for (const key of ['a', 'b', 'c', 'a']) cache.acquire(key, () => key).release()
    expect([...cache.leastRecentlyUsed()]).toEqual(['b', 'c', 'a'])
  })

  test('lists retired values first until they are closed, and reports each once', async () => {
    const retired: string[] = []
    const cache = new LeaseCache<string>(
      1,
      async () => undefined,
      (value) => retired.push(value),
    )
    const lease = cache.acquire('a', () => 'a')
    cache.acquire('b', () => 'b').release()
    expect([...cache.leastRecentlyUsed()]).toEqual(['a', 'b'])
    lease.release()
    await new Promise(setImmediate)
    expect([...cache.leastRecentlyUsed()]).toEqual(['b'])
    await cache.evict('b')
    expect(retired).toEqual(['a'])
  })
})
