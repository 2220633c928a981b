import { fail } from '../errors.ts'

export interface TurnsOptions {
  /** Who may work at once. */
  readonly max: number
  /** Of one share. */
  readonly maxOfShare: number
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
  readonly #options: TurnsOptions
  readonly #takenOf = new Map<string, number>()
  /** Nobody in it could work now. */
  readonly #line: Waiter[] = []
  #taken = 0

  constructor(options: TurnsOptions) {
    this.#options = options
  }

  /**
   * Takes a turn, and gives what ends it; ending it again does nothing.
   * @throws PublicError NO_CONNECTION_AVAILABLE when none was free in time
   */
  async take(share: string): Promise<() => void> {
    if (this.#isFree(share)) this.#begin(share)
    else await this.#waitInLine(share)
    let ended = false
    return () => {
      if (!ended) this.#end(share)
      ended = true
    }
  }

  #isFree(share: string): boolean {
    const { max, maxOfShare } = this.#options
    return this.#taken < max && (this.#takenOf.get(share) ?? 0) < maxOfShare
  }

  #begin(share: string): void {
    this.#taken += 1
    this.#takenOf.set(share, (this.#takenOf.get(share) ?? 0) + 1)
  }

  /** A turn goes from hand to hand, so nobody gets in between. */
  #end(share: string): void {
    this.#taken -= 1
    const left = (this.#takenOf.get(share) ?? 1) - 1
    if (left > 0) this.#takenOf.set(share, left)
    else this.#takenOf.delete(share)
    const at = this.#line.findIndex((waiter) => this.#isFree(waiter.share))
    const [next] = at < 0 ? [] : this.#line.splice(at, 1)
    if (next === undefined) return
    this.#begin(next.share)
    next.call()
  }

  #waitInLine(share: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const timer = setTimeout(() => {
      this.#line.splice(this.#line.indexOf(waiter), 1)
      reject(fail('NO_CONNECTION_AVAILABLE'))
    }, this.#options.waitMs)
    const call = () => {
      clearTimeout(timer)
      resolve()
    }
    const waiter = { share, call }
    this.#line.push(waiter)
    return promise
  }
}
