import type pg from 'pg'
import { fail } from '../errors.ts'
import { startTimeLimit, type TimeLimit } from '../lib/time-limit.ts'

interface WaitingRequest {
  readonly resolve: (client: pg.PoolClient) => void
  readonly reject: (error: Error) => void
  readonly timeLimit: TimeLimit
}

/** The requests that wait for a connection of one pool, in the order in which they came. Each waits until its deadline. */
export class WaitingRequests {
  /** A plain field, so that a request that need not wait runs no code of this class. */
  readonly all: WaitingRequest[] = []
  readonly #timeoutMs: number

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs
  }

  /** @throws PublicError NO_CONNECTION_AVAILABLE at the deadline; what `refuseAll` is called with */
  add(): Promise<pg.PoolClient> {
    return new Promise((resolve, reject) => {
      const timeLimit = startTimeLimit(() => this.#expire(request), this.#timeoutMs)
      const request: WaitingRequest = { resolve, reject, timeLimit }
      this.all.push(request)
    })
  }

  /** Gives the connection to the first request. */
  serve(client: pg.PoolClient): void {
    const request = this.all.shift()
    request?.timeLimit.clear()
    request?.resolve(client)
  }

  /** `error` is called for each request, because every caller gets an error of its own. */
  refuseAll(error: () => Error): void {
    for (const request of this.all.splice(0)) {
      request.timeLimit.clear()
      request.reject(error())
    }
  }

  #expire(request: WaitingRequest): void {
    const at = this.all.indexOf(request)
    if (at === -1) return
    this.all.splice(at, 1)
    request.reject(fail('NO_CONNECTION_AVAILABLE'))
  }
}
