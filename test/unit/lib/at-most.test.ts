import { LRUCache } from 'lru-cache'
import { expect, test } from 'vitest'
import { atMost } from '../../../src/lib/cache/at-most.ts'

test('keeps as many entries as allowed and drops the one that is unused for longest', () => {
  const cache = new LRUCache<string, number>(atMost(2))
  cache.set('a', 1)
  cache.set('b', 2)
  cache.get('a')
  cache.set('c', 3)
  cache.set('c', 4)
  expect([...cache.entries()]).toEqual([
    ['c', 4],
    ['a', 1],
  ])
})

test('takes new entries after old ones are deleted, expired or cleared', () => {
  let now = 1
  const cache = new LRUCache<string, number>({
    ...atMost(3),
    ttl: 10,
    ttlResolution: 0,
    perf: { now: () => now },
  })
  for (const key of ['a', 'b', 'c']) cache.set(key, 1)
  cache.delete('b')
  cache.set('d', 2)
  expect([...cache.keys()]).toEqual(['d', 'c', 'a'])
  now = 20
  expect(cache.get('a')).toBeUndefined()
  cache.clear()
  for (const key of ['e', 'f', 'g', 'h']) cache.set(key, 3)
  expect([...cache.keys()]).toEqual(['h', 'g', 'f'])
})
