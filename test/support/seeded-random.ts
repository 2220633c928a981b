/** Gives numbers of at least 0 and below 1. */
export type Random = () => number

/** A generator that gives the same numbers for the same seed on every machine (mulberry32). */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Draws a whole number from 0 up to `bound`, without `bound` itself. */
export function below(random: Random, bound: number): number {
  return Math.floor(random() * bound)
}
