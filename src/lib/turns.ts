import { fail } from '../errors.ts'

/** Lets so many work at once; the others wait in line, and are turned away when it takes too long. */
export class Turns {
  readonly #max: number
  readonly #waitMs: number
  readonly #line: (() => void)[] = []
  #taken = 0

  constructor(max: number, waitMs: number) {
    this.#max = max
    this.#waitMs = waitMs
  }

  /**
   * Takes a turn, and gives what ends it; ending it again does nothing.
   * @throws PublicError NO_CONNECTION_AVAILABLE when none was free in time
   */
  async take(): Promise<() => void> {
    if (this.#taken < this.#max) this.#taken += 1
    else await this.#waitInLine()
    let ended = false
    return () => {
      if (!ended) this.#passOn()
      ended = true
    }
  }

  /** A turn goes from hand to hand, so nobody gets in between. */
  #passOn(): void {
    const next = this.#line.shift()
    if (next === undefined) this.#taken -= 1
    else next()
  }

  #waitInLine(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const timer = setTimeout(() => {
      this.#line.splice(this.#line.indexOf(called), 1)
      reject(fail('NO_CONNECTION_AVAILABLE'))
    }, this.#waitMs)
    const called = () => {
      clearTimeout(timer)
      resolve()
    }
    this.#line.push(called)
    return promise
  }
}
