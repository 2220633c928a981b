import { afterEach, describe, expect, test, vi } from 'vitest'
import { CatalogFreshness } from '../../../src/catalog/changes/freshness.ts'

const TRUSTED_MS = 8_000

afterEach(() => vi.useRealTimers())

/** A process whose clocks and attempts the test controls. */
function started() {
  const clocks = { wall: 1_000_000, monotonic: 5_000 }
  let wakes = 0
  const freshness = new CatalogFreshness({
    trustedMs: TRUSTED_MS,
    wake: () => {
      wakes += 1
    },
    clock: { now: () => clocks.wall, monotonic: () => clocks.monotonic },
  })
  const pass = (ms: number) => {
    clocks.wall += ms
    clocks.monotonic += ms
  }
  const at = (seq: number) => ({ seq, id: `id-${seq}` })
  freshness.reached(freshness.now(), at(1))
  return { freshness, clocks, pass, at, wakes: () => wakes }
}

/** Whether a promise has settled by now. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false
  void promise.then(
    () => {
      settled = true
    },
    () => {
      settled = true
    },
  )
  await new Promise((resolve) => setImmediate(resolve))
  return settled
}

describe('the trust in what is cached', () => {
  test('does not end before it has begun, nor while attempts end all the time', () => {
    const unstarted = new CatalogFreshness({ trustedMs: TRUSTED_MS, wake: () => undefined })
    expect(unstarted.isOver).toBe(false)
    const { freshness, pass, at } = started()
    for (let n = 0; n < 20; n += 1) {
      const begun = freshness.now()
      pass(n % 2 === 0 ? 1_000 : 6_900)
      if (n % 3 === 0) freshness.reached(begun, at(n))
      else freshness.failed(begun, at(n))
      expect(freshness.isOver).toBe(false)
      pass(1_000)
    }
    expect(freshness.lapses).toBe(0)
  })

  test.each(['wall', 'monotonic'] as const)('ends after a pause that only the %s clock shows', (seen) => {
    const { freshness, clocks } = started()
    clocks[seen] += TRUSTED_MS
    expect(freshness.isOver).toBe(false)
    clocks[seen] += 1
    expect(freshness.isOver).toBe(true)
  })

  test('does not end because the clock was set back', () => {
    const { freshness, clocks, pass } = started()
    clocks.wall -= 3_600_000
    expect(freshness.isOver).toBe(false)
    pass(TRUSTED_MS + 1)
    expect(freshness.isOver).toBe(true)
  })

  test('counts from when an attempt began, not from when its answer was read', () => {
    const { freshness, pass, at } = started()
    const begun = freshness.now()
    pass(12_000)
    freshness.reached(begun, at(1))
    expect(freshness.isOver).toBe(true)
  })
})

describe('a caller after a pause of the process', () => {
  test('waits with all other callers for one attempt that began after the pause', async () => {
    const { freshness, pass, at, wakes } = started()
    const stale = freshness.now()
    pass(12_000)
    const waiting = freshness.renew()
    expect(freshness.renew()).toBe(waiting)
    expect(wakes()).toBe(1)
    // Its answer arrived during the pause of the process.
    freshness.reached(stale, at(1))
    expect(await isSettled(waiting)).toBe(false)
    freshness.reached(freshness.now(), at(1))
    await waiting
    expect(freshness.isOver).toBe(false)
  })

  test('learns whether changes were missed', () => {
    const { freshness, pass, at } = started()
    pass(12_000)
    freshness.reached(freshness.now(), at(1))
    expect(freshness.lapses).toBe(0)
    pass(12_000)
    freshness.reached(freshness.now(), at(2))
    expect(freshness.lapses).toBe(1)
    pass(1_000)
    freshness.reached(freshness.now(), at(3))
    expect(freshness.lapses).toBe(1)
    pass(12_000)
    // The same number of changes, but other changes.
    freshness.reached(freshness.now(), { seq: 3, id: 'another' })
    expect(freshness.lapses).toBe(2)
  })

  test('continues after three failures, but a failure that the pause may have caused does not count', async () => {
    const { freshness, pass, at } = started()
    const stale = freshness.now()
    pass(12_000)
    const waiting = freshness.renew()
    freshness.failed(stale, at(1))
    for (let n = 1; n <= 2; n += 1) {
      freshness.failed(freshness.now(), at(1))
      expect(await isSettled(waiting)).toBe(false)
      expect(freshness.isOver).toBe(true)
    }
    freshness.failed(freshness.now(), at(1))
    await waiting
    expect(freshness.isOver).toBe(false)
    expect(freshness.lapses).toBe(0)
  })

  test('counts the changes that an attempt read before it failed', () => {
    const { freshness, pass, at } = started()
    pass(12_000)
    for (let n = 1; n <= 3; n += 1) freshness.failed(freshness.now(), at(2))
    expect(freshness.lapses).toBe(1)
  })

  test('does not wait for ever', async () => {
    vi.useFakeTimers()
    const { freshness, pass } = started()
    pass(12_000)
    const waiting = expect(freshness.renew()).rejects.toMatchObject({ code: 'CATALOG_UNAVAILABLE' })
    await vi.advanceTimersByTimeAsync(10_000)
    await waiting
    expect(freshness.isOver).toBe(true)
  })
})
