// The databases that requests are for, one after another. A seed gives the same ones, so that all services see the same requests.

import { below, type Random } from '../../test/support/seeded-random.ts'

/** Draws indexes below `count`, all equally often. */
export function uniformTrace(count: number, length: number, random: Random): number[] {
  return Array.from({ length }, () => below(random, count))
}

/** Draws indexes below `count` by Zipf's law with exponent 1: index i is drawn in proportion to 1 / (i + 1). */
export function zipfTrace(count: number, length: number, random: Random): number[] {
  const sums: number[] = []
  for (let i = 0; i < count; i += 1) sums.push((sums[i - 1] ?? 0) + 1 / (i + 1))
  const total = sums[count - 1] ?? 0
  return Array.from({ length }, () => firstAbove(sums, random() * total))
}

function firstAbove(sums: readonly number[], value: number): number {
  let [low, high] = [0, sums.length - 1]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((sums[middle] ?? 0) > value) high = middle
    else low = middle + 1
  }
  return low
}

/**
 * The fewest opened connections with which a trace of databases can be served one request after another, if `capacity`
 * databases may be connected at once. Bélády's rule: close the one that is needed again last. Only those from the request
 * `countFrom` on are counted.
 */
export function fewestOpens(
  trace: readonly number[],
  { capacity, countFrom = 0 }: { capacity: number; countFrom?: number },
): number {
  const nextUses = nextUsesOf(trace)
  const open = new Map<number, number>()
  let opens = 0
  for (const [i, database] of trace.entries()) {
    if (!open.has(database)) {
      if (i >= countFrom) opens += 1
      if (open.size >= capacity) open.delete(neededLast(open))
    }
    open.set(database, nextUses[i] ?? Number.POSITIVE_INFINITY)
  }
  return opens
}

function nextUsesOf(trace: readonly number[]): number[] {
  const next = new Map<number, number>()
  const uses = new Array<number>(trace.length)
  for (let i = trace.length - 1; i >= 0; i -= 1) {
    const database = trace[i] ?? 0
    uses[i] = next.get(database) ?? Number.POSITIVE_INFINITY
    next.set(database, i)
  }
  return uses
}

function neededLast(open: ReadonlyMap<number, number>): number {
  let [last, furthest] = [-1, -1]
  for (const [database, use] of open) if (use > furthest) [last, furthest] = [database, use]
  return last
}
