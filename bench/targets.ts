import type { Against, Placement, RowName } from './measure/group.ts'

/** What a comparison should reach. Ratios are of the gateway to the other service, of the same round. */
export interface Target {
  readonly row: RowName
  readonly placement: Placement
  /** Where a row is measured with several numbers of connections. */
  readonly connections?: number
  readonly against: Against
  /** Requests a second, at least. */
  readonly ratio?: number
  /** The remaining targets are upper limits. */
  readonly nodeCpu?: number
  readonly postgresCpu?: number
  readonly p99?: number
  readonly p999Ms?: number
  /** Opened connections, as a multiple of the fewest possible. */
  readonly opens?: number
}

const POINT = { row: 'point read', placement: 'shared' } as const
const BY_HAND = { against: 'hand-written' } as const

/** The first one that fits counts. */
export const TARGETS: readonly Target[] = [
  { ...POINT, ...BY_HAND, connections: 10, ratio: 1 },
  { ...POINT, ...BY_HAND, connections: 200, ratio: 1.3 },
  { ...POINT, ...BY_HAND, ratio: 1.2, nodeCpu: 0.8, postgresCpu: 1, p99: 1.2 },
  { ...POINT, against: 'platformatic', ratio: 2 },
  { ...POINT, against: 'hand-written with RLS', ratio: 3 },
  { ...POINT, against: 'drizzle', ratio: 4 },
  { row: 'list of 20', placement: 'shared', ...BY_HAND, ratio: 1.5, nodeCpu: 0.7, p99: 1.2 },
  { row: 'insert', placement: 'shared', ...BY_HAND, ratio: 1, p99: 1.2 },
  { row: 'update', placement: 'shared', ...BY_HAND, ratio: 1, p99: 1.2 },
  {
    row: 'point read beside a slow statement',
    ...{ placement: 'shared', against: 'itself', ratio: 0.9, p999Ms: 60 },
  },
  {
    row: 'point read beside 8 slow statements',
    ...{ placement: 'shared', against: 'itself', ratio: 0.8, p999Ms: 60 },
  },
  { row: 'update beside locked rows', placement: 'shared', against: 'itself', ratio: 0.8 },
  { row: 'point read', placement: 'dedicated', ...BY_HAND, ratio: 0.75 },
  { row: 'point read', placement: 'dedicated zipf', ...BY_HAND, ratio: 0.9 },
  { row: 'point read', placement: 'dedicated zipf over budget', ...BY_HAND, ratio: 0.9, opens: 1.3 },
]

export function targetText({ ratio, p99, nodeCpu, postgresCpu, p999Ms, opens }: Target): string {
  return [
    ...(ratio === undefined ? [] : [`≥ ${ratio}`]),
    ...(p99 === undefined ? [] : [`p99 ≤ ${p99}`]),
    ...(nodeCpu === undefined ? [] : [`node ≤ ${nodeCpu}`]),
    ...(postgresCpu === undefined ? [] : [`pg ≤ ${postgresCpu}`]),
    ...(p999Ms === undefined ? [] : [`p99.9 ≤ ${p999Ms} ms`]),
    ...(opens === undefined ? [] : [`opens ≤ ${opens} × the fewest`]),
  ].join(', ')
}

/** With this flush time or a longer one, writes need not reach the hand-written service. */
const SLOW_FLUSH_MS = 0.5
const SLOW_FLUSH_RATIO = 0.9

export function findTarget(
  wanted: { row: RowName; placement: Placement; connections: number; against: string },
  flushMs: number,
): Target | null {
  const found = TARGETS.find(
    ({ row, placement, connections, against }) =>
      row === wanted.row &&
      placement === wanted.placement &&
      against === wanted.against &&
      (connections === undefined || connections === wanted.connections),
  )
  if (found === undefined) return null
  const isWrite = found.row === 'insert' || found.row === 'update'
  return isWrite && flushMs >= SLOW_FLUSH_MS ? { ...found, ratio: SLOW_FLUSH_RATIO } : found
}
