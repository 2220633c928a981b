import type { BreakerState } from './opening/breaker.ts'

/** What this process has for the database of a route. */
export interface PoolView {
  readonly open: number
  readonly idle: number
  /** Requests that wait for a connection. */
  readonly waiting: number
  /** How many of the open connections are lanes. */
  readonly lanes: number
  readonly breaker: BreakerState
  readonly backoffMs: number
  /** Null if the route leads to no database. */
  readonly server: string | null
}

/** For a route that leads to no database. */
export const NO_POOL: PoolView = {
  ...{ open: 0, idle: 0, waiting: 0, lanes: 0 },
  ...{ breaker: 'closed', backoffMs: 0, server: null },
}
