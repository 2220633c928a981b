/**
 * Reads something again, and repeats that until it succeeds. The owner calls `retry` when another attempt makes sense.
 */
export class Refresher {
  readonly #read: () => Promise<void>
  readonly #onFailure: (error: unknown) => void
  /** Requests without an answer, by number. */
  readonly #waiting = new Map<number, () => void>()
  #wanted = 0
  #done = 0

  constructor(read: () => Promise<void>, onFailure: (error: unknown) => void) {
    this.#read = read
    this.#onFailure = onFailure
  }

  /** Marks what was read before as old. Resolves when it was read again, however many attempts that takes. */
  request(): Promise<void> {
    this.#wanted += 1
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiting.set(this.#wanted, resolve)
    this.#try()
    return promise
  }

  /** Tries again if the last attempt failed. Otherwise does nothing. */
  retry(): void {
    if (this.#done < this.#wanted) this.#try()
  }

  #try(): void {
    // A read answers only the requests that came before it began.
    const wanted = this.#wanted
    this.#read().then(() => this.#answer(wanted), this.#onFailure)
  }

  #answer(upTo: number): void {
    this.#done = Math.max(this.#done, upTo)
    for (const [number, resolve] of this.#waiting) {
      if (number > upTo) return
      this.#waiting.delete(number)
      resolve()
    }
  }
}
