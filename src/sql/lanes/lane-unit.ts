import type { CurrentRoute } from '../current-route.ts'
import type { WireStatement } from '../wire/wire-statement.ts'
import type { Lane, SentUnit } from './lane.ts'

/** What a lane is asked. */
export interface LaneQuestion {
  readonly current: CurrentRoute
  readonly statement: WireStatement
  readonly values: readonly unknown[]
}

/** A unit on its way: it waits for a lane, or runs on one. */
export interface LaneUnit extends SentUnit {
  /** When it was asked, in milliseconds of `performance.now()`. */
  readonly askedAt: number
  /** The lane that it was given to. */
  lane: Lane | null
}
