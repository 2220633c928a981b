import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { SlowStatements } from '../../../src/sql/lanes/slow-statements.ts'
import { FIND, LIST } from '../../support/wire-world.ts'

const [ACME, OTHER] = ['acme', 'other']
let slow: SlowStatements

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] })
  slow = new SlowStatements()
})
afterEach(() => {
  vi.useRealTimers()
})

function run(durationMs: number, times: number): void {
  for (let n = 0; n < times; n += 1) slow.ended(ACME, FIND, durationMs)
}

test('a statement that is slow on average leaves the lanes for ten seconds, for its tenant alone', () => {
  run(6, 40)
  expect(slow.isSlow(ACME, FIND)).toBe(true)
  expect(slow.isSlow(ACME, LIST)).toBe(false)
  expect(slow.isSlow(OTHER, FIND)).toBe(false)
  vi.advanceTimersByTime(9_999)
  expect(slow.isSlow(ACME, FIND)).toBe(true)
  vi.advanceTimersByTime(1)
  expect(slow.isSlow(ACME, FIND)).toBe(false)
})

test('a statement that is short on average stays, although some runs are long', () => {
  for (let n = 0; n < 40; n += 1) {
    run(1_000, 1)
    run(1, 3)
  }
  expect(slow.isSlow(ACME, FIND)).toBe(false)
})

test('a statement that the time limit ends twice leaves the lanes, and one whose answer is too large does at once', () => {
  slow.exceeded(ACME, FIND)
  expect(slow.isSlow(ACME, FIND)).toBe(false)
  slow.exceeded(ACME, FIND)
  expect(slow.isSlow(ACME, FIND)).toBe(true)
  slow.avoid(ACME, LIST)
  expect(slow.isSlow(ACME, LIST)).toBe(true)
})

test('units that end during the ten seconds make them no longer', () => {
  slow.avoid(ACME, FIND)
  vi.advanceTimersByTime(5_000)
  run(1_000, 5)
  run(0.1, 5)
  vi.advanceTimersByTime(4_999)
  expect(slow.isSlow(ACME, FIND)).toBe(true)
  vi.advanceTimersByTime(1)
  expect(slow.isSlow(ACME, FIND)).toBe(false)
})

test('nothing is kept of short runs, and little of one pause', () => {
  run(5, 100)
  expect(slow.size).toBe(0)
  run(1_000, 1)
  expect(slow.size).toBe(1)
  run(0.3, 1)
  expect(slow.size).toBe(0)
})

test('what was learned long ago is forgotten, and no more is kept than a limit', () => {
  for (let n = 0; n < 1_500; n += 1) slow.avoid(`tenant ${n}`, FIND)
  expect(slow.size).toBe(1_000)
  vi.advanceTimersByTime(9_000)
  slow.avoid(ACME, FIND)
  vi.advanceTimersByTime(1_000)
  slow.forgetOld()
  expect(slow.size).toBe(1)
  expect(slow.isSlow(ACME, FIND)).toBe(true)
})
