import type { GateCosts } from './gates.ts'
import type { Harvest } from './load.ts'
import type { Placement } from './stage.ts'

export interface BenchOptions {
  readonly rounds: number
  readonly seconds: number
  readonly connections: number
}

/** All rounds of one service with one kind of request. */
export interface Series {
  readonly row: string
  readonly placement: Placement
  readonly contender: string
  readonly samples: Harvest[]
}

/** The service that the others are compared with. */
export const BASELINE = 'hand-written'

const COLUMNS: readonly (readonly [title: string, width: number])[] = [
  ['', 31],
  ['req/s', 7],
  ['spread', 14],
  ['ratio', 6],
  ['p50 ms', 7],
  ['p99 ms', 7],
  ['CPU µs', 7],
  ['ratio', 6],
  ['pg µs', 6],
]

/** Prints the tables for people. Ratios are medians over rounds, each against the baseline of its own round. */
export function printTable(series: readonly Series[], gates: GateCosts, options: BenchOptions): void {
  const lines = [
    `${options.rounds} rounds of ${options.seconds} s, ${options.connections} connections`,
    '',
    line(COLUMNS.map(([title]) => title)),
  ]
  for (const baseline of series.filter(({ contender }) => contender === BASELINE)) {
    const { row, placement } = baseline
    const group = series.filter((other) => other.row === row && other.placement === placement)
    lines.push('', `${row}, ${placement} tenant`, ...group.map((each) => line(cellsOf(each, baseline))))
  }
  lines.push('', 'before the handler, CPU µs in one process', ...gateLines(gates))
  process.stdout.write(`${lines.join('\n')}\n`)
}

function cellsOf({ contender, samples }: Series, baseline: Series): string[] {
  const rates = samples.map(({ perSecond }) => perSecond)
  const ratios = samples.map(({ perSecond }, i) => perSecond / (baseline.samples[i]?.perSecond ?? Number.NaN))
  const economies = samples.map(
    ({ serverCpu }, i) => (baseline.samples[i]?.serverCpu ?? Number.NaN) / (serverCpu ?? Number.NaN),
  )
  const of = (pick: (sample: Harvest) => number | null) => median(samples.map((s) => pick(s) ?? Number.NaN))
  return [
    `  ${contender}`,
    shown(median(rates), 0),
    `${shown(Math.min(...rates), 0)}–${shown(Math.max(...rates), 0)}`,
    shown(median(ratios), 2),
    shown(
      of(({ p50 }) => p50),
      1,
    ),
    shown(
      of(({ p99 }) => p99),
      1,
    ),
    shown(
      of(({ serverCpu }) => serverCpu),
      0,
    ),
    shown(median(economies), 2),
    shown(
      of(({ databaseCpu }) => databaseCpu),
      0,
    ),
  ]
}

function gateLines({ warm, hs256, eddsa }: GateCosts): string[] {
  const rows = [
    ['  verified token, known tenant, permission', warm],
    ['  jose alone, HS256', hs256],
    ['  jose alone, EdDSA', eddsa],
  ] as const
  return rows.map(([title, cost]) => `${title.padEnd(44)}${shown(cost, 1).padStart(6)}`)
}

function line(cells: readonly string[]): string {
  return cells
    .map((cell, i) => {
      const width = COLUMNS[i]?.[1] ?? 0
      return i === 0 ? cell.padEnd(width) : cell.padStart(width)
    })
    .join(' ')
    .trimEnd()
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = (sorted.length - 1) / 2
  return ((sorted[Math.floor(middle)] ?? Number.NaN) + (sorted[Math.ceil(middle)] ?? Number.NaN)) / 2
}

function shown(value: number, digits: number): string {
  return Number.isNaN(value) ? '–' : value.toFixed(digits)
}
