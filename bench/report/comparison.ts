import type { Harvest } from '../load/order.ts'
import { type Cell, type Comparison, comparisonsOf, type Group, type Opens } from '../measure/group.ts'
import { median, ratioSpread, type Spread } from '../statistics.ts'
import { findTarget, type Target } from '../targets.ts'

/** Medians over the rounds of one service. */
export interface Figures {
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
  readonly cpuMicrosPerRequest: { readonly node: number; readonly postgres: number }
  /** Null where connections are not counted. */
  readonly opens: Opens | null
}

/** A gateway against another service: ratios of the same rounds, and the target of the row. */
export interface Compared {
  readonly service: string
  readonly against: string
  readonly ratio: Spread
  readonly p99: Spread
  readonly nodeCpu: Spread
  readonly postgresCpu: Spread
  readonly figures: Figures
  readonly other: Figures
  readonly target: Target | null
}

export function figuresOf({ samples, opens }: Pick<Cell, 'samples' | 'opens'>): Figures {
  const of = (pick: (sample: Harvest) => number | null) =>
    median(samples.map((sample) => pick(sample) ?? Number.NaN))
  return {
    requestsPerSecond: of(({ perSecond }) => perSecond),
    p50Ms: of(({ p50 }) => p50),
    p99Ms: of(({ p99 }) => p99),
    p999Ms: of(({ p999 }) => p999),
    cpuMicrosPerRequest: {
      node: of(({ nodeCpu }) => nodeCpu),
      postgres: of(({ postgresCpu }) => postgresCpu),
    },
    opens: opens?.() ?? null,
  }
}

export function compareGroup(group: Group, flushMs: number): Compared[] {
  return comparisonsOf(group).map((comparison) => compare(group, comparison, flushMs))
}

function compare(group: Group, { service, against, measured, other }: Comparison, flushMs: number): Compared {
  const ratioOf = (pick: (sample: Harvest) => number | null) => {
    const values = ({ samples }: Cell) => samples.map((sample) => pick(sample) ?? Number.NaN)
    return ratioSpread(values(measured), values(other))
  }
  const { row, placement, connections } = group
  return {
    ...{ service, against },
    ratio: ratioOf(({ perSecond }) => perSecond),
    p99: ratioOf(({ p99 }) => p99),
    nodeCpu: ratioOf(({ nodeCpu }) => nodeCpu),
    postgresCpu: ratioOf(({ postgresCpu }) => postgresCpu),
    ...{ figures: figuresOf(measured), other: figuresOf(other) },
    target: findTarget({ row, placement, connections, against }, flushMs),
  }
}
