import type { Harvest } from '../load/order.ts'

export type RowName =
  | 'point read'
  | 'list of 20'
  | 'insert'
  | 'update'
  | 'point read beside a slow statement'
  | 'point read beside 8 slow statements'
  | 'update beside locked rows'
  | 'cold start'
  | 'registration'
export type Placement = 'shared' | 'dedicated' | 'dedicated zipf' | 'dedicated zipf over budget'
export type Row = readonly [name: RowName, placement: Placement]
export type Against = 'hand-written' | 'hand-written with RLS' | 'drizzle' | 'platformatic' | 'itself'

export interface Slot {
  /** Counted from 1; 0 is the measurement before the first round. */
  readonly round: number
  readonly warmUpMs: number
  readonly measureMs: number
}

/** One service with one kind of request. */
export interface Cell {
  /** `gateway`, `gateway, NAME=VALUE`, a baseline's name, or one of these with `, alone`. */
  readonly service: string
  readonly measure: (slot: Slot) => Promise<Harvest>
  /** Before the first round. Absent: a measurement that is not kept. */
  readonly warmUp?: () => Promise<void>
  /** One for each round. */
  readonly samples: Harvest[]
  /** Where databases outnumber the connections. Null before the first round. */
  readonly opens?: () => Opens | null
}

/** Connections that a service opened, for each request. */
export interface Opens {
  readonly perRequest: number
  /** How many would have been enough for the same requests, had their order been known beforehand. */
  readonly fewest: number
}

/** Cells that take turns, because they are compared with each other. */
export interface Group {
  readonly row: RowName
  readonly placement: Placement
  /** Tells apart rows of the same name and placement. */
  readonly detail?: string
  readonly connections: number
  /** Printed below the row: a budget, or what is not measured. */
  readonly notes: readonly string[]
  readonly cells: readonly Cell[]
  /** Lines that can be said after the rounds only. */
  readonly conclude?: () => Promise<readonly string[]>
}

/** The service that is compared with the others. */
export const GATEWAY = 'gateway'
/** Behind the name of a service: the same requests without what disturbs them. */
export const ALONE = ', alone'

/** True for the second gateway, too, and for a gateway that runs undisturbed. */
export function isGateway(service: string): boolean {
  return service.startsWith(GATEWAY)
}

export interface Comparison {
  /** `gateway`, or with the settings of the second one behind it. */
  readonly service: string
  readonly against: string
  readonly measured: Cell
  readonly other: Cell
}

/** Each gateway with each other service, with itself where it runs undisturbed, and the second gateway with the first. */
export function comparisonsOf({ cells }: Pick<Group, 'cells'>): Comparison[] {
  const isAlone = ({ service }: Cell) => service.endsWith(ALONE)
  const gateways = cells.filter((cell) => isGateway(cell.service) && !isAlone(cell))
  const compared = gateways.flatMap((gateway) => {
    const others = cells.filter((cell) => !isAlone(cell) && !isGateway(cell.service))
    const self = cells.filter(({ service }) => service === gateway.service + ALONE)
    return [...others, ...self].map((other) =>
      pair(gateway, other, isGateway(other.service) ? 'itself' : other.service),
    )
  })
  const [first, ...more] = gateways
  const between = first === undefined ? [] : more.map((each) => pair(each, first, GATEWAY))
  return [...compared, ...between]
}

function pair(gateway: Cell, other: Cell, against: string): Comparison {
  return { service: gateway.service, against, measured: gateway, other }
}
