import { expect, test } from 'vitest'
import { parseOptions } from '../../../bench/options.ts'
import { findTarget } from '../../../bench/targets.ts'

test('without options the benchmark is a full one with default settings', () => {
  expect(parseOptions([])).toMatchObject({ isShort: false, connections: 50, settings: {}, jsonFile: null })
})

test('--short measures fewer and shorter rounds, and a given number counts in it too', () => {
  const [full, short] = [parseOptions([]), parseOptions(['--short'])]
  expect(short.rounds * short.seconds).toBeLessThan(full.rounds * full.seconds)
  expect(parseOptions(['--short', '--rounds', '9'])).toMatchObject({ isShort: true, rounds: 9 })
})

test('--setting gives a setting to a second gateway', () => {
  const { settings } = parseOptions(['--setting', 'LANES=0', '--setting', 'LOG_LEVEL=warn'])
  expect(settings).toEqual({ LANES: '0', LOG_LEVEL: 'warn' })
})

test.each([
  [['--rounds', '0'], '--rounds'],
  [['--rounds', '1.5'], '--rounds'],
  [['--connections', ''], '--connections'],
  [['--flush-ms', 'fast'], '--flush-ms'],
  [['--setting', 'LANES'], '--setting'],
])('%j is refused by name', (args, name) => {
  expect(() => parseOptions(args)).toThrow(name)
})

test('a point read has a target of its own with 10 connections, and writes have one where a flush is slow', () => {
  const point = { row: 'point read', placement: 'shared', against: 'hand-written' } as const
  expect(findTarget({ ...point, connections: 10 }, 0)?.ratio).toBe(1)
  expect(findTarget({ ...point, connections: 50 }, 0)?.ratio).toBe(1.2)
  const insert = { ...point, row: 'insert', connections: 50 } as const
  expect(findTarget(insert, 0)?.ratio).toBe(1)
  expect(findTarget(insert, 2)?.ratio).toBe(0.9)
})
