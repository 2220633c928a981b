import type { Cell, Opens } from '../measure/group.ts'
import { fewestOpens } from '../measure/traces.ts'

export interface OpensOptions {
  /** Connections to the databases of the trace that have been opened so far, by all services. */
  readonly countSessions: () => Promise<number>
  readonly traceOf: (round: number) => readonly number[]
  /** How many databases may be connected at once. */
  readonly capacity: number
}

/** Long enough to open all allowed connections. */
const WARM_UP_MS = 2_000

/** Counts the connections that are opened while a cell is measured, and compares them with the fewest possible. */
export function withOpens(cell: Cell, { countSessions, traceOf, capacity }: OpensOptions): Cell {
  const served: number[] = []
  let uncounted = 0
  let opened = 0
  const measure: Cell['measure'] = async (slot) => {
    const before = await countSessions()
    const harvest = await cell.measure(slot)
    const after = await countSessions()
    const trace = traceOf(slot.round)
    for (let i = 0; i < harvest.sent; i += 1) served.push(trace[i % trace.length] ?? 0)
    // All connections of the warm-up are needed.
    if (slot.round === 0) uncounted = served.length
    else opened += after - before
    return harvest
  }
  const opens = (): Opens | null => {
    const requests = served.length - uncounted
    if (requests === 0) return null
    return {
      perRequest: opened / requests,
      fewest: fewestOpens(served, { capacity, countFrom: uncounted }) / requests,
    }
  }
  const warmUp = async () => {
    await measure({ round: 0, warmUpMs: WARM_UP_MS, measureMs: 1 })
  }
  return { ...cell, measure, warmUp, opens }
}
