import type { Caller } from './gateway.ts'

/** What `/metrics` says of the lanes of a gateway. */
export interface LaneNumbers {
  readonly open: number
  readonly units: number
  readonly waiters: number
  /** Reads that lanes have answered. */
  readonly reads: number
  /** Reads that ran again on a connection of their own, by reason. */
  readonly reruns: Readonly<Record<string, number>>
}

export async function laneNumbers(caller: Caller): Promise<LaneNumbers> {
  const { text } = await caller.call('GET', '/metrics')
  const numberOf = (name: string) => Number(new RegExp(`^freehold_${name} (\\d+)$`, 'm').exec(text)?.[1] ?? 0)
  const reruns = [...text.matchAll(/^freehold_lane_reruns_total\{reason="(\w+)"\} (\d+)$/gm)]
  return {
    open: numberOf('lanes_open'),
    units: numberOf('lane_units'),
    waiters: numberOf('lane_waiters'),
    reads: numberOf('lane_reads_total'),
    reruns: Object.fromEntries(reruns.map(([, reason, count]) => [reason, Number(count)])),
  }
}

/** Repeats a read until a lane answers it. */
export async function ridesLane(caller: Caller, read: () => Promise<unknown>): Promise<void> {
  const { reads: before } = await laneNumbers(caller)
  const deadline = performance.now() + 60_000
  do {
    if (performance.now() > deadline) throw new Error('no lane has answered')
    await read()
  } while ((await laneNumbers(caller)).reads === before)
}
