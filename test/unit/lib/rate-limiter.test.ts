import { describe, expect, test } from 'vitest'
import { RateLimiter } from '../../../src/lib/rate-limiter.ts'

function limiterAt(clock: { now: number }, limit = 3) {
  return new RateLimiter({ limit, windowMs: 10_000 }, { max: 100, now: () => clock.now })
}

describe('a rate limiter', () => {
  test('allows exactly its limit, and reports how many calls are left', () => {
    const limiter = limiterAt({ now: 0 })
    const taken = Array.from({ length: 5 }, () => limiter.take('a'))
    expect(taken.map(({ isAllowed }) => isAllowed)).toEqual([true, true, true, false, false])
    expect(taken.map(({ remaining }) => remaining)).toEqual([2, 1, 0, 0, 0])
    expect(taken.every(({ limit }) => limit === 3)).toBe(true)
  })

  test('counts each key separately', () => {
    const limiter = limiterAt({ now: 0 }, 1)
    expect(['a', 'b', 'a', 'b'].map((key) => limiter.take(key).isAllowed)).toEqual([true, true, false, false])
  })

  test('begins a new window on time, which refused calls do not delay', () => {
    const clock = { now: 0 }
    const limiter = limiterAt(clock, 1)
    limiter.take('a')
    clock.now = 9_999
    expect(limiter.take('a')).toMatchObject({ isAllowed: false, resetSeconds: 1 })
    clock.now = 10_000
    expect(limiter.take('a')).toMatchObject({ isAllowed: true, resetSeconds: 10 })
  })

  test('never reports more seconds than the window has, at any fraction of a second', () => {
    const clock = { now: 0 }
    const limiter = limiterAt(clock)
    const fresh = Array.from({ length: 1_000 }, (_, i) => {
      clock.now = 61_234.123456 + i * 0.7
      return limiter.take(`key ${i}`).resetSeconds
    })
    expect(new Set(fresh)).toEqual(new Set([10]))
  })

  test('stores no more keys than allowed', () => {
    const limiter = limiterAt({ now: 0 }, 1)
    limiter.take('first')
    for (let i = 0; i < 100; i += 1) limiter.take(`other ${i}`)
    expect(limiter.take('first').isAllowed).toBe(true)
  })
})
