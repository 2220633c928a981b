/**
 * Has something read anew, and again until that has worked. Whoever knows when another try makes sense calls `retry`.
 */
export class Refresher {
  readonly #read: () => Promise<void>
  readonly #onFailure: (error: unknown) => void
  #wanted = 0
  #done = 0

  constructor(read: () => Promise<void>, onFailure: (error: unknown) => void) {
    this.#read = read
    this.#onFailure = onFailure
  }

  /** What was read up to now is old. */
  request(): void {
    this.#wanted += 1
    this.#try()
  }

  /** Tries again what failed; nothing, if nothing did. */
  retry(): void {
    if (this.#done < this.#wanted) this.#try()
  }

  #try(): void {
    // A reading answers only those requests that came before it began.
    const wanted = this.#wanted
    this.#read().then(() => {
      this.#done = Math.max(this.#done, wanted)
    }, this.#onFailure)
  }
}
