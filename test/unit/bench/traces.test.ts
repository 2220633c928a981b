import { describe, expect, test } from 'vitest'
import { fewestOpens, uniformTrace, zipfTrace } from '../../../bench/measure/traces.ts'
import { seededRandom } from '../../support/seeded-random.ts'

describe('traces of the benchmark', () => {
  test('the same seed gives the same trace, and another seed another one', () => {
    expect(zipfTrace(50, 100, seededRandom(7))).toEqual(zipfTrace(50, 100, seededRandom(7)))
    expect(zipfTrace(50, 100, seededRandom(7))).not.toEqual(zipfTrace(50, 100, seededRandom(8)))
  })

  test('a uniform trace draws each index about as often as any other', () => {
    const counts = countsOf(uniformTrace(10, 10_000, seededRandom(1)), 10)
    for (const count of counts) expect(count).toBeGreaterThan(800)
  })

  test('a Zipf trace draws the first index twice as often as the second, and ten times as often as the tenth', () => {
    const counts = countsOf(zipfTrace(500, 200_000, seededRandom(1)), 500)
    const [first = 0, second = 0] = counts
    expect(first / second).toBeCloseTo(2, 0)
    expect(first / (counts[9] ?? 0)).toBeCloseTo(10, -0.5)
    expect(counts[499]).toBeGreaterThan(0)
  })

  test('the fewest opens are those of a service that closes what is needed again last', () => {
    // LRU would open six times: it closes 0 for 2, and 1 for 0.
    expect(fewestOpens([0, 1, 2, 0, 1, 2], { capacity: 2 })).toBe(4)
    expect(fewestOpens([0, 1, 0, 1], { capacity: 2 })).toBe(2)
    expect(fewestOpens([0, 1, 0, 1], { capacity: 1 })).toBe(4)
  })

  test('no order of closing opens fewer', () => {
    const random = seededRandom(3)
    for (let i = 0; i < 50; i += 1) {
      const trace = uniformTrace(4, 9, random)
      expect(fewestOpens(trace, { capacity: 2 })).toBe(fewestByTrying(trace, [], 2))
    }
  })

  test('opens before the counted part keep what they opened', () => {
    expect(fewestOpens([0, 1, 0, 1, 2], { capacity: 3, countFrom: 2 })).toBe(1)
  })
})

function countsOf(trace: readonly number[], count: number): number[] {
  const counts = new Array<number>(count).fill(0)
  for (const index of trace) counts[index] = (counts[index] ?? 0) + 1
  return counts
}

function fewestByTrying(trace: readonly number[], open: readonly number[], capacity: number): number {
  const [next, ...rest] = trace
  if (next === undefined) return 0
  if (open.includes(next)) return fewestByTrying(rest, open, capacity)
  if (open.length < capacity) return 1 + fewestByTrying(rest, [...open, next], capacity)
  const afterClosing = open.map((closed) => [...open.filter((each) => each !== closed), next])
  return 1 + Math.min(...afterClosing.map((left) => fewestByTrying(rest, left, capacity)))
}
