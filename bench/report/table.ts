import type { GateCosts } from '../gates.ts'
import type { Cell, Group } from '../measure/group.ts'
import type { BenchOptions } from '../options.ts'
import { targetText } from '../targets.ts'
import { type Compared, compareGroup, figuresOf } from './comparison.ts'
import { rateText, shown, spreadText, titleOf } from './text.ts'

const COLUMNS: readonly (readonly [title: string, width: number])[] = [
  ['', 34],
  ['req/s', 8],
  ['p50 ms', 8],
  ['p99 ms', 8],
  ['p99.9', 8],
  ['node µs', 8],
  ['pg µs', 8],
]
const LABEL_WIDTH = 58
const RATIO_WIDTH = 20

/** The table of one group, for people: a line for each service, then a line for each comparison. */
export function groupLines(group: Group, { flushMs }: Pick<BenchOptions, 'flushMs'>): string[] {
  const { cells, notes } = group
  return [
    '',
    titleOf(group),
    columns(COLUMNS.map(([name]) => name)),
    ...cells.map((cell) => columns([`  ${cell.service}`, ...figureCells(cell)])),
    ...compareGroup(group, flushMs).map(comparisonLine),
    ...cells.flatMap(opensLine),
    ...notes.map((note) => `  ${note}`),
  ]
}

function figureCells(cell: Cell): string[] {
  const { requestsPerSecond, p50Ms, p99Ms, p999Ms, cpuMicrosPerRequest } = figuresOf(cell)
  const { node, postgres } = cpuMicrosPerRequest
  return [
    rateText(requestsPerSecond),
    ...[p50Ms, p99Ms, p999Ms].map((ms) => shown(ms, 1)),
    ...[node, postgres].map((micros) => shown(micros, 0)),
  ]
}

/** Says the ratio of requests a second, then those in which less is better. */
function comparisonLine({ service, against, ratio, ...rest }: Compared): string {
  const label = `  ${service} / ${against}`.padEnd(LABEL_WIDTH)
  const rate = spreadText(ratio).padEnd(RATIO_WIDTH)
  const others = `p99 ${shown(rest.p99.median, 2)}  node ${shown(rest.nodeCpu.median, 2)}  pg ${shown(rest.postgresCpu.median, 2)}`
  const target = rest.target === null ? '' : `  target ${targetText(rest.target)}`
  return `${label}${rate}${others}${target}`.trimEnd()
}

function opensLine({ service, opens }: Cell): string[] {
  const counted = opens?.() ?? null
  if (counted === null) return []
  const { perRequest, fewest } = counted
  const made = `  ${service}: ${shown(perRequest, 3)} connections opened a request`
  const best = `${shown(perRequest / fewest, 2)} × the ${shown(fewest, 3)} of a service that knows the order beforehand`
  return [`${made}, ${best}`]
}

export function gateLines({ warm, hs256, eddsa }: GateCosts): string[] {
  const rows = [
    ['  verified token, known tenant, permission', warm],
    ['  jose alone, HS256', hs256],
    ['  jose alone, EdDSA', eddsa],
  ] as const
  return [
    '',
    'before the handler, CPU µs in one process',
    ...rows.map(([title, cost]) => `${title.padEnd(44)}${shown(cost, 1).padStart(6)}`),
  ]
}

function columns(cells: readonly string[]): string {
  return cells
    .map((cell, i) => {
      const width = COLUMNS[i]?.[1] ?? 0
      return i === 0 ? cell.padEnd(width) : cell.padStart(width)
    })
    .join('')
    .trimEnd()
}
