import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Schedule } from '../../../src/jobs/schedule.ts'

const HOUR_MS = 3_600_000
const NOON = Date.UTC(2026, 5, 1, 12)

beforeEach(() => {
  vi.useFakeTimers({ now: NOON })
})
afterEach(() => {
  vi.useRealTimers()
})

async function counting() {
  const schedule = new Schedule((_job, error) => {
    throw error
  })
  let rounds = 0
  const run = async () => {
    rounds += 1
  }
  schedule.start([{ name: 'rounds', cron: '*/5 * * * * *', run }])
  await vi.advanceTimersByTimeAsync(20_000)
  return { schedule, roundsIn: async (ms: number) => after(ms, () => rounds) }
}

async function after(ms: number, count: () => number): Promise<number> {
  const before = count()
  await vi.advanceTimersByTimeAsync(ms)
  return count() - before
}

describe('the schedule of jobs', () => {
  it.each([
    ['set back', -HOUR_MS],
    ['set ahead', 24 * HOUR_MS],
  ])('continues when the clock is %s', async (_how, byMs) => {
    const { schedule, roundsIn } = await counting()
    vi.setSystemTime(Date.now() + byMs)
    expect(await roundsIn(60_000)).toBeGreaterThanOrEqual(11)
    expect(await roundsIn(60_000)).toBe(12)
    await schedule.stop()
    expect(await roundsIn(60_000)).toBe(0)
  })

  it('begins no round of a job while another one runs, also if the clock is set meanwhile', async () => {
    const schedule = new Schedule(() => undefined)
    const under = Promise.withResolvers<void>()
    let begun = 0
    const run = () => {
      begun += 1
      return under.promise
    }
    schedule.start([{ name: 'long', cron: '*/5 * * * * *', run }])
    await vi.advanceTimersByTimeAsync(10_000)
    vi.setSystemTime(Date.now() - HOUR_MS)
    await vi.advanceTimersByTimeAsync(60_000)
    expect(begun).toBe(1)
    under.resolve()
    await schedule.stop()
  })

  it('aborts running jobs when it stops', async () => {
    const schedule = new Schedule(() => undefined)
    const run = (signal: AbortSignal) =>
      new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
    schedule.start([{ name: 'long', cron: '* * * * * *', run }])
    await vi.advanceTimersByTimeAsync(2_000)
    await schedule.stop()
  })
})
