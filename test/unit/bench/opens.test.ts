import { expect, test } from 'vitest'
import type { Harvest } from '../../../bench/load/order.ts'
import type { Cell } from '../../../bench/measure/group.ts'
import { withOpens } from '../../../bench/scenes/opens.ts'

const TRACES: readonly (readonly number[])[] = [
  [0, 1],
  [0, 1, 2, 0],
]

/** A service that answers the trace of each round once, and opens a connection for each request. */
function wasteful(sessions: { count: number }): Cell {
  const measure: Cell['measure'] = async ({ round }) => {
    const sent = TRACES[round]?.length ?? 0
    sessions.count += sent
    const nothing = { perSecond: 0, p50: 0, p99: 0, p999: 0, nodeCpu: null, postgresCpu: null }
    return { ...nothing, sent } satisfies Harvest
  }
  return { service: 'wasteful', measure, samples: [] }
}

test('opened connections are counted for the rounds only, beside the fewest for the same requests', async () => {
  const sessions = { count: 0 }
  const countSessions = async () => sessions.count
  const traceOf = (round: number) => TRACES[round] ?? []
  const cell = withOpens(wasteful(sessions), { countSessions, traceOf, capacity: 2 })
  expect(cell.opens?.()).toBeNull()
  await cell.warmUp?.()
  expect(cell.opens?.()).toBeNull()
  await cell.measure({ round: 1, warmUpMs: 0, measureMs: 0 })
  // The warm-up has connected 0 and 1. Only 2 is missing, and it takes the place of 1.
  expect(cell.opens?.()).toEqual({ perRequest: 1, fewest: 1 / 4 })
})
