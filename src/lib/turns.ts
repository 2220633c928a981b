import { fail } from '../errors.ts'
import { ShareLimit, type ShareLimitOptions } from './share-limit.ts'

export interface TurnsOptions extends ShareLimitOptions {
  /** How long a caller waits in line. */
  readonly waitMs: number
}

interface Waiter {
  readonly share: string
  readonly call: () => void
}

/**
 * Lets `max` callers work at once, and `maxOfShare` of each share. The others wait in line, and are refused if they wait too
 * long. A caller that waits for its own share does not hold up callers of other shares.
 */
export class Turns {
  readonly #waitMs: number
  readonly #working: ShareLimit
  /** The callers that wait, in their order. The limits allow none of them to work now. */
  readonly #line: Waiter[] = []

  constructor({ waitMs, ...limits }: TurnsOptions) {
    this.#waitMs = waitMs
    this.#working = new ShareLimit(limits)
  }

  /**
   * Takes a turn. Call the result to end it; a second call does nothing.
   * @throws PublicError NO_CONNECTION_AVAILABLE if no turn was free in time
   */
  async take(share: string): Promise<() => void> {
    if (!this.#working.tryEnter(share)) await this.#waitInLine(share)
    let ended = false
    return () => {
      if (!ended) this.#end(share)
      ended = true
    }
  }

  /** The turn goes to the next caller in the same step, so no new caller can take it in between. */
  #end(share: string): void {
    this.#working.leave(share)
    const at = this.#line.findIndex((waiter) => this.#working.tryEnter(waiter.share))
    if (at >= 0) this.#line.splice(at, 1)[0]?.call()
  }

  #waitInLine(share: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const timer = setTimeout(() => {
      this.#line.splice(this.#line.indexOf(waiter), 1)
      reject(fail('NO_CONNECTION_AVAILABLE'))
    }, this.#waitMs)
    const call = () => {
      clearTimeout(timer)
      resolve()
    }
    const waiter = { share, call }
    this.#line.push(waiter)
    return promise
  }
}
