/** A request as the load generator sends it. */
export interface WireRequest {
  readonly method: 'GET' | 'POST' | 'PATCH'
  readonly path: string
  readonly token: string
  readonly body?: string
}

/** Which requests to send, and for how long. */
export interface Order {
  readonly port: number
  readonly requests: readonly WireRequest[]
  /** The order of the requests, as indexes, repeated to the end of the time. Absent: one after another. */
  readonly trace?: readonly number[]
  /** True: each request is sent once, and the time counts until the last answer. */
  readonly isOnce?: boolean
  readonly connections: number
  /** Requests that are sent over and over at the same time, each on a connection of its own. They are not counted. */
  readonly beside?: readonly WireRequest[]
  readonly warmUpMs: number
  readonly measureMs: number
  /** The service's process, and those whose children are PostgreSQL's backends. */
  readonly pid: number
  readonly postmasters: readonly number[]
}

/** The result of the measured time. Latencies in ms, CPU in µs a request (null if the system does not tell). */
export interface Harvest {
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
  readonly p999: number
  readonly nodeCpu: number | null
  readonly postgresCpu: number | null
  /** Requests sent, those before the measured time included. */
  readonly sent: number
}
