/** Median and extremes of several rounds. */
export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** The middle value; NaN without values. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = (sorted.length - 1) / 2
  return ((sorted[Math.floor(middle)] ?? Number.NaN) + (sorted[Math.ceil(middle)] ?? Number.NaN)) / 2
}

/** The value below which `share` of the values lie; NaN without values. */
export function quantile(values: readonly number[], share: number): number {
  return quantileOfSorted(Float64Array.from(values).sort(), share)
}

export function latencyQuantiles(latencies: readonly number[]): { p50: number; p99: number; p999: number } {
  const sorted = Float64Array.from(latencies).sort()
  const at = (share: number) => quantileOfSorted(sorted, share)
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999) }
}

/**
 * Compares two services round by round, because the load of the machine changes between rounds. Rounds without both
 * values are left out.
 */
export function ratioSpread(measured: readonly number[], other: readonly number[]): Spread {
  const ratios = measured.map((value, i) => value / (other[i] ?? Number.NaN)).filter(Number.isFinite)
  if (ratios.length === 0) return { median: Number.NaN, min: Number.NaN, max: Number.NaN }
  return { median: median(ratios), min: Math.min(...ratios), max: Math.max(...ratios) }
}

function quantileOfSorted(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}
