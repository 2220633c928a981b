/** A use counts half as much after this time. */
const HALF_LIFE_MS = 30_000

/** The score of what was never used. */
export const NEVER_USED = Number.NEGATIVE_INFINITY

/**
 * Adds uses to a score. A higher score means: used more often lately. Each use adds a weight that doubles in every half-life,
 * and a score is the logarithm of their sum. So scores of different times can be compared, and none has to be aged.
 */
export function withUses(score: number, uses: number, nowMs: number): number {
  const use = nowMs / HALF_LIFE_MS + Math.log2(uses)
  const [less, more] = score < use ? [score, use] : [use, score]
  return more + Math.log2(1 + 2 ** (less - more))
}
