/** What an operator can choose for a run of migrations. */
export interface RunOptions {
  /** When the shared database is migrated: before the dedicated ones, after them, or not at all. */
  readonly shared: 'first' | 'last' | 'skip'
  /** How many dedicated databases the first wave of them has. */
  readonly canary: number
  /** The waves after it, as cumulative percents of the dedicated databases. */
  readonly waves: readonly number[]
  /** How many databases are migrated at the same time, by all replicas together. */
  readonly concurrency: number
  /** As `concurrency`, for the databases of one server. */
  readonly perServer: number
  /** How long a migration waits for a lock. */
  readonly lockTimeoutMs: number
  /** The run halts after so many failures. */
  readonly haltAfterFailures: number
}

/** What an operator asks for. Options that are left out have their defaults. */
export type RunRequest = Partial<RunOptions> & { readonly tenants?: readonly string[] }

export interface WaveCounts {
  readonly size: number
  readonly done: number
  readonly failed: number
}

export const RUN_DEFAULTS: RunOptions = {
  shared: 'first',
  canary: 1,
  waves: [10, 50, 100],
  concurrency: 8,
  perServer: 2,
  lockTimeoutMs: 2_000,
  haltAfterFailures: 1,
}

const WHOLE = 100

/**
 * The sizes of the waves of so many dedicated databases. Without the empty ones: ten percent of five databases may be in the canary
 * wave already. What the last percent leaves is one more wave, so that no database is left behind by a rounding or a short list.
 */
export function waveSizes(
  databases: number,
  { canary, waves }: Pick<RunOptions, 'canary' | 'waves'>,
): number[] {
  const ends = [
    Math.min(canary, databases),
    ...[...waves, WHOLE].map((percent) => Math.ceil((databases * percent) / WHOLE)),
  ]
  const sizes: number[] = []
  let taken = 0
  for (const end of ends) {
    if (end > taken) sizes.push(end - taken)
    taken = Math.max(taken, end)
  }
  return sizes
}

/** The place of the first percent that is not above the one before it, or -1. */
export function firstOutOfOrder(waves: readonly number[]): number {
  return waves.findIndex((percent, at) => at > 0 && percent <= (waves[at - 1] ?? 0))
}
