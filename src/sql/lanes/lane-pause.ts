const SHORTEST_MS = 1_000
const LONGEST_MS = 60_000

/**
 * The time for which no lane is opened after one has ended. It doubles each time that the server has broken the protocol again, so
 * that such a server costs few connections. It is short again if the server has kept to the protocol for a minute.
 */
export class LanePause {
  readonly #now: () => number
  #until = 0
  /** The last pause after a violation. */
  #lastMs = 0

  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  get isOver(): boolean {
    return this.#now() >= this.#until
  }

  /** A lane has ended, or could not be opened. */
  begin(): void {
    this.#until = Math.max(this.#until, this.#now() + SHORTEST_MS)
  }

  /** The server has broken the protocol. Lanes on which it does that during a pause make the pause no longer. */
  beginAfterViolation(): void {
    const now = this.#now()
    if (now < this.#until) return
    const isForgotten = this.#lastMs === 0 || now - this.#until > LONGEST_MS
    this.#lastMs = isForgotten ? SHORTEST_MS : Math.min(2 * this.#lastMs, LONGEST_MS)
    this.#until = now + this.#lastMs
  }
}
