import { expect, it } from 'vitest'
import { systemClock } from '../../../src/lib/clock.ts'

it('the system clock gives the time, and durations in milliseconds', async () => {
  expect(Math.abs(systemClock.now() - Date.now())).toBeLessThan(1000)
  const begun = systemClock.monotonic()
  await new Promise((resolve) => setTimeout(resolve, 20))
  const took = systemClock.monotonic() - begun
  expect(took).toBeGreaterThan(10)
  expect(took).toBeLessThan(5000)
})
