import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ClockSkew } from '../../../src/catalog/changes/clock-skew.ts'

/** A process whose clock is ahead of the catalog's by `aheadMs`, and what it logs. */
function measuring() {
  const state = { real: 1_000_000, aheadMs: 0 }
  const lines: string[] = []
  const log = {
    warn: (_fields: object, message: string) => lines.push(`warn ${message}`),
    info: (_fields: object, message: string) => lines.push(`info ${message}`),
  }
  const clock = { now: () => state.real + state.aheadMs, monotonic: () => state.real }
  const skew = new ClockSkew({ log, clock })
  /** The catalog reads its clock after `thereMs`, and the answer arrives `backMs` later. */
  const beat = (aheadMs: number, thereMs = 1, backMs = 1) => {
    state.aheadMs = aheadMs
    const asked = skew.ask()
    state.real += thereMs
    const dated = state.real
    state.real += backMs
    skew.answered(asked, dated)
  }
  return { skew, lines, beat }
}

const DIFFERS = "warn this machine's clock differs from the catalog's"
const AGREES = "info this machine's clock agrees with the catalog's again"

describe('the skew of a clock', () => {
  test('is known to within half of the round trip, whichever direction took longer', () => {
    const delay = fc.integer({ min: 0, max: 20_000 })
    fc.assert(
      fc.property(fc.integer({ min: -1e9, max: 1e9 }), delay, delay, (aheadMs, thereMs, backMs) => {
        const { skew, beat } = measuring()
        expect(skew.seconds).toBeNull()
        beat(aheadMs, thereMs, backMs)
        const errorMs = Math.abs((skew.seconds ?? Number.NaN) * 1000 + aheadMs)
        expect(errorMs).toBeLessThanOrEqual((thereMs + backMs) / 2 + 0.001)
      }),
    )
  })

  test.each([1, -1])('is logged once above five seconds, and once when it is gone; sign %i', (sign) => {
    const { lines, beat } = measuring()
    for (const ms of [0, 4_990, 5_010, 9_000, 4_500, 5_010]) beat(sign * ms)
    expect(lines).toEqual([DIFFERS])
    for (const ms of [3_900, 0, 4_900]) beat(sign * ms)
    expect(lines).toEqual([DIFFERS, AGREES])
    beat(sign * 6_000)
    expect(lines).toEqual([DIFFERS, AGREES, DIFFERS])
  })

  test('is not logged if a slow answer explains it', () => {
    const { lines, beat } = measuring()
    beat(0, 12_000, 0)
    beat(0, 0, 12_000)
    beat(5_500, 600, 600)
    expect(lines).toEqual([])
    beat(5_500, 100, 100)
    expect(lines).toEqual([DIFFERS])
  })
})
