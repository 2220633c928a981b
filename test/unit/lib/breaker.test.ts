import { describe, expect, test } from 'vitest'
import { Breaker } from '../../../src/pools/opening/breaker.ts'

function breakerAt(random = 1) {
  const clock = { now: 0 }
  const breaker = new Breaker({
    firstDelayMs: 100,
    maxDelayMs: 1_000,
    now: () => clock.now,
    random: () => random,
  })
  const enter = () => {
    const entry = breaker.tryEnter()
    if (entry === null) throw new Error('refused')
    return entry
  }
  return { breaker, clock, enter }
}

describe('a breaker', () => {
  test('lets everyone in while nothing has failed', () => {
    const { breaker, enter } = breakerAt()
    expect([enter(), enter()]).toEqual([0, 0])
    expect([breaker.isOpen, breaker.hasFailed, breaker.delayMs]).toEqual([false, false, 0])
  })

  test('refuses for the delay after a failure, then lets one probe in', () => {
    const { breaker, clock, enter } = breakerAt()
    breaker.failed(enter())
    expect([breaker.tryEnter(), breaker.delayMs]).toEqual([null, 100])
    clock.now = 100
    const probe = enter()
    expect([breaker.tryEnter(), breaker.isOpen, breaker.delayMs]).toEqual([null, true, 0])
    breaker.succeeded(probe)
    expect([breaker.isOpen, breaker.hasFailed]).toEqual([false, false])
  })

  test('doubles the delay with each failure up to the limit', () => {
    const { breaker, clock, enter } = breakerAt()
    const delays: number[] = []
    for (let i = 0; i < 6; i += 1) {
      breaker.failed(enter())
      delays.push(breaker.delayMs)
      clock.now += breaker.delayMs
    }
    expect(delays).toEqual([100, 200, 400, 800, 1_000, 1_000])
  })

  test('jitters a delay by no more than half', () => {
    const { breaker, enter } = breakerAt(0)
    breaker.failed(enter())
    expect(breaker.delayMs).toBe(50)
  })

  test('counts as one failure what was under way together', () => {
    const { breaker, enter } = breakerAt()
    for (const entry of [enter(), enter(), enter()]) breaker.failed(entry)
    expect(breaker.delayMs).toBe(100)
  })

  test('is not closed by a success of before it opened, but by news of now', () => {
    const { breaker, enter } = breakerAt()
    const [early, other] = [enter(), enter()]
    breaker.failed(other)
    breaker.succeeded(early)
    expect(breaker.isOpen).toBe(true)
    breaker.reset()
    expect([breaker.isOpen, breaker.hasFailed]).toEqual([false, false])
  })

  test('gives the probe to the next when it came to nothing', () => {
    const { breaker, clock, enter } = breakerAt()
    breaker.failed(enter())
    clock.now = 100
    breaker.abandoned(enter())
    expect(breaker.isOpen).toBe(false)
    enter()
    expect(breaker.isOpen).toBe(true)
  })

  test('holds for as long as it is told, and never shorter than before', () => {
    const { breaker } = breakerAt(0)
    breaker.hold(5_000)
    breaker.hold(10)
    expect(breaker.delayMs).toBe(5_000)
  })
})
