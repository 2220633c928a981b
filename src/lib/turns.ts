import { fail } from '../errors.ts'
import { ShareLimit, type ShareLimitOptions } from './share-limit.ts'

export interface TurnsOptions extends ShareLimitOptions {
  /** How long the others wait in line. */
  readonly waitMs: number
}

interface Waiter {
  readonly share: string
  readonly call: () => void
}

/**
 * Lets so many work at once, of each share so many; the others wait in line, and are turned away when it takes too long.
 * Whoever waits for their own share holds up nobody of another.
 */
export class Turns {
  readonly #waitMs: number
  readonly #working: ShareLimit
  /** Nobody in it could work now. */
  readonly #line: Waiter[] = []

  constructor({ waitMs, ...limits }: TurnsOptions) {
    this.#waitMs = waitMs
    this.#working = new ShareLimit(limits)
  }

  /**
   * Takes a turn, and gives what ends it; ending it again does nothing.
   * @throws PublicError NO_CONNECTION_AVAILABLE when none was free in time
   */
  async take(share: string): Promise<() => void> {
    if (!this.#working.tryEnter(share)) await this.#waitInLine(share)
    let ended = false
    return () => {
      if (!ended) this.#end(share)
      ended = true
    }
  }

  /** A turn goes from hand to hand, so nobody gets in between. */
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
