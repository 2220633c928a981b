import { describe, expect, test } from 'vitest'
import { median, quantile, ratioSpread } from '../../../bench/statistics.ts'

describe('statistics of the benchmark', () => {
  test('the median of an even number of values lies between the middle two', () => {
    expect(median([4, 1, 3, 2])).toBe(2.5)
    expect(median([9, 1, 5])).toBe(5)
    expect(median([])).toBeNaN()
  })

  test('a quantile is a value that was measured', () => {
    const values = Array.from({ length: 100 }, (_, i) => 100 - i)
    expect(quantile(values, 0.99)).toBe(100)
    expect(quantile(values, 0.5)).toBe(51)
    expect(quantile([7], 0.999)).toBe(7)
  })

  test('ratios compare values of the same round, not the medians of all rounds', () => {
    // The second round ran on a busy machine: both services are slower, and their ratio is the same.
    expect(ratioSpread([100, 10, 300], [200, 20, 200])).toEqual({ median: 0.5, min: 0.5, max: 1.5 })
  })

  test('a round without a value does not count', () => {
    expect(ratioSpread([1, Number.NaN, 3], [1, 1])).toEqual({ median: 1, min: 1, max: 1 })
    expect(ratioSpread([], []).median).toBeNaN()
  })
})
