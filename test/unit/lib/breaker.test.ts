import { describe, expect, test } from 'vitest'
import { Breaker } from '../../../src/lib/breaker.ts'

function breakerAt(random = 1) {
  const clock = { now: 0 }
  const breaker = new Breaker({
    firstDelayMs: 100,
    maxDelayMs: 1_000,
    now: () => clock.now,
    random: () => random,
  })
  return { breaker, clock }
}

describe('a breaker', () => {
  test('lets everyone in while nothing has failed', () => {
    const { breaker } = breakerAt()
    expect([breaker.tryEnter(), breaker.tryEnter(), breaker.isOpen]).toEqual([true, true, false])
  })

  test('refuses for the delay after a failure, then lets one probe in', () => {
    const { breaker, clock } = breakerAt()
    breaker.failed()
    expect(breaker.tryEnter()).toBe(false)
    clock.now = 101
    expect([breaker.tryEnter(), breaker.tryEnter(), breaker.isOpen]).toEqual([true, false, true])
    breaker.succeeded()
    expect([breaker.tryEnter(), breaker.isOpen]).toEqual([true, false])
  })

  test('doubles the delay with each failure up to the limit', () => {
    const { breaker, clock } = breakerAt()
    const delays: number[] = []
    for (let i = 0; i < 6; i += 1) {
      breaker.failed()
      const begun = clock.now
      while (!breaker.tryEnter()) clock.now += 1
      delays.push(clock.now - begun)
    }
    expect(delays).toEqual([100, 200, 400, 800, 1_000, 1_000])
  })

  test('jitters a delay by no more than half', () => {
    const { breaker, clock } = breakerAt(0)
    breaker.failed()
    clock.now = 49
    expect(breaker.tryEnter()).toBe(false)
    clock.now = 50
    expect(breaker.tryEnter()).toBe(true)
  })
})
