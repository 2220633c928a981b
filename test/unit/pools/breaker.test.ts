import { describe, expect, test } from 'vitest'
import { Breaker, type BreakerOptions, type BreakerState } from '../../../src/pools/opening/breaker.ts'

const refused = new Error('refused')

function breakerAt(random = 1, options: Partial<BreakerOptions> = {}) {
  const clock = { now: 0 }
  const breaker = new Breaker({
    firstBackoffMs: 100,
    maxBackoffMs: 1_000,
    maxPending: Number.POSITIVE_INFINITY,
    now: () => clock.now,
    random: () => random,
    ...options,
  })
  /** Null if no attempt may begin. */
  const tryBegin = () => {
    if (breaker.room === 0) return null
    const attempt = {}
    breaker.begin(attempt)
    return attempt
  }
  const begin = () => {
    const attempt = tryBegin()
    if (attempt === null) throw new Error('refused')
    return attempt
  }
  return { breaker, clock, tryBegin, begin }
}

describe('a breaker', () => {
  test('lets every attempt begin while none has failed', () => {
    const { breaker, begin } = breakerAt()
    expect([begin(), begin()]).toEqual([{}, {}])
    expect([breaker.isOpen, breaker.isFailing, breaker.backoffMs]).toEqual([false, false, 0])
  })

  test('refuses for the backoff after a failure, then lets one probe begin', () => {
    const { breaker, clock, tryBegin, begin } = breakerAt()
    breaker.failed(begin(), refused)
    expect([tryBegin(), breaker.backoffMs]).toEqual([null, 100])
    clock.now = 100
    const probe = begin()
    expect([tryBegin(), breaker.isOpen, breaker.backoffMs]).toEqual([null, true, 0])
    breaker.succeeded(probe)
    expect([breaker.isOpen, breaker.isFailing]).toEqual([false, false])
  })

  test('doubles the backoff with each failure up to the limit', () => {
    const { breaker, clock, begin } = breakerAt()
    const backoffs: number[] = []
    for (let i = 0; i < 6; i += 1) {
      breaker.failed(begin(), refused)
      backoffs.push(breaker.backoffMs)
      clock.now += breaker.backoffMs
    }
    expect(backoffs).toEqual([100, 200, 400, 800, 1_000, 1_000])
  })

  test('shortens a backoff at random by no more than half', () => {
    const { breaker, begin } = breakerAt(0)
    breaker.failed(begin(), refused)
    expect(breaker.backoffMs).toBe(50)
  })

  test('counts attempts that were pending together as one failure', () => {
    const { breaker, begin } = breakerAt()
    for (const attempt of [begin(), begin(), begin()]) breaker.failed(attempt, refused)
    expect(breaker.backoffMs).toBe(100)
  })

  test('is not closed by an attempt that began before it opened, but by an answer of now', () => {
    const { breaker, begin } = breakerAt()
    const [early, other] = [begin(), begin()]
    breaker.failed(other, refused)
    breaker.succeeded(early)
    expect(breaker.isOpen).toBe(true)
    breaker.answered()
    expect([breaker.isOpen, breaker.isFailing]).toEqual([false, false])
  })

  test('lets another probe begin when one was abandoned', () => {
    const { breaker, clock, begin } = breakerAt()
    breaker.failed(begin(), refused)
    clock.now = 100
    breaker.abandoned(begin())
    expect(breaker.isOpen).toBe(false)
    begin()
    expect(breaker.isOpen).toBe(true)
  })

  test('keeps a backoff that it is told, and never cuts a longer one short', () => {
    const { breaker, begin } = breakerAt(0)
    const [first, second] = [begin(), begin()]
    breaker.postponed(first, 5_000, refused)
    breaker.postponed(second, 10, refused)
    expect(breaker.backoffMs).toBe(5_000)
  })

  test('counts the end of each attempt once', () => {
    const { breaker, clock, begin } = breakerAt()
    const attempt = begin()
    breaker.abandoned(attempt)
    breaker.failed(attempt, refused)
    expect([breaker.state, breaker.room]).toEqual(['closed', Number.POSITIVE_INFINITY])
    clock.now = 1
    expect(() => breaker.succeeded({})).not.toThrow()
  })

  test('begins no attempt if there is no permit', () => {
    const { breaker, begin } = breakerAt(1, { maxPending: 1 })
    begin()
    expect(breaker.room).toBe(0)
    expect(() => breaker.begin({})).toThrow('no attempt may begin now')
  })
})

/** Each brings a new breaker into the state, and gives an attempt that is pending in it, if there may be one. */
const REACH: Record<BreakerState, (world: ReturnType<typeof breakerAt>) => object | null> = {
  closed: ({ begin }) => begin(),
  open: ({ breaker, begin }) => {
    breaker.failed(begin(), refused)
    return null
  },
  'half-open': ({ breaker, begin, clock }) => {
    breaker.failed(begin(), refused)
    clock.now += 100
    return null
  },
  probing: ({ breaker, begin, clock }) => {
    breaker.failed(begin(), refused)
    clock.now += 100
    return begin()
  },
}

/** Every event in every state in which it can happen, and the state after it. */
const TRANSITIONS: Record<BreakerState, Partial<Record<string, BreakerState>>> = {
  closed: {
    succeeded: 'closed',
    failed: 'open',
    denied: 'open',
    postponed: 'open',
    abandoned: 'closed',
    answered: 'closed',
    begin: 'closed',
    time: 'closed',
  },
  open: { answered: 'closed', begin: 'open', time: 'half-open' },
  'half-open': { answered: 'closed', begin: 'probing', time: 'half-open' },
  probing: {
    succeeded: 'closed',
    failed: 'open',
    denied: 'open',
    postponed: 'open',
    abandoned: 'half-open',
    answered: 'closed',
    begin: 'probing',
    time: 'probing',
  },
}

describe.each(Object.keys(REACH) as BreakerState[])('in the state %s', (state) => {
  test.each(Object.entries(TRANSITIONS[state]))('%s leads to %s', (event, next) => {
    const world = breakerAt()
    const { breaker, clock, tryBegin } = world
    const attempt = REACH[state](world) ?? {}
    expect(breaker.state).toBe(state)
    if (event === 'answered') breaker.answered()
    else if (event === 'begin') tryBegin()
    else if (event === 'time') clock.now += 60_000
    else if (event === 'failed' || event === 'denied') breaker[event](attempt, refused)
    else if (event === 'postponed') breaker.postponed(attempt, 10, refused)
    else breaker[event as 'succeeded' | 'abandoned'](attempt)
    expect(breaker.state).toBe(next)
    expect(breaker.isOpen).toBe(next === 'open' || next === 'probing')
    expect(breaker.isFailing).toBe(next !== 'closed')
    const room = { closed: Number.POSITIVE_INFINITY, open: 0, 'half-open': 1, probing: 0 }
    expect(breaker.room).toBe(room[next as BreakerState])
  })
})
