import type { BenchOptions } from '../options.ts'
import type { Group } from './group.ts'

const WARM_UP_MS = 120
const FIRST_WARM_UP = { full: 1_000, short: 400 }

/** Measures the services of a group in turns. */
export async function measureGroup(
  { cells }: Group,
  { rounds, seconds, isShort }: Pick<BenchOptions, 'rounds' | 'seconds' | 'isShort'>,
): Promise<void> {
  const firstWarmUpMs = isShort ? FIRST_WARM_UP.short : FIRST_WARM_UP.full
  for (const { warmUp, measure } of cells) {
    if (warmUp === undefined) await measure({ round: 0, warmUpMs: firstWarmUpMs, measureMs: 1 })
    else await warmUp()
  }
  for (let round = 1; round <= rounds; round += 1) {
    // Forwards and backwards, so that no service always follows the same other one.
    for (const { samples, measure } of round % 2 === 1 ? cells : cells.toReversed()) {
      samples.push(await measure({ round, warmUpMs: WARM_UP_MS, measureMs: seconds * 1_000 }))
    }
  }
}
