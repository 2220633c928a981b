/**
 * Has something read anew, and again until that has worked. Whoever knows when another try makes sense calls `retry`.
 */
export class Refresher {
  readonly #read: () => Promise<void>
  readonly #onFailure: (error: unknown) => void
  /** Requests without an answer, by their number. */
  readonly #waiting = new Map<number, () => void>()
  #wanted = 0
  #done = 0

  constructor(read: () => Promise<void>, onFailure: (error: unknown) => void) {
    this.#read = read
    this.#onFailure = onFailure
  }

  /** What was read up to now is old. Resolves once it has been read anew, however many tries that takes. */
  request(): Promise<void> {
    this.#wanted += 1
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiting.set(this.#wanted, resolve)
    this.#try()
    return promise
  }

  /** Tries again what failed; nothing, if nothing did. */
  retry(): void {
    if (this.#done < this.#wanted) this.#try()
  }

  #try(): void {
    // A reading answers only those requests that came before it began.
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
