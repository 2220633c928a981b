/** How a breaker waits. Milliseconds. */
export interface BreakerOptions {
  readonly firstDelayMs: number
  readonly maxDelayMs: number
  readonly now?: () => number
  readonly random?: () => number
}

/**
 *   closed ──failure──▶ open(delay) ──delay over──▶ half open (one probe) ──success──▶ closed
 *                          ▲                              │
 *                          └──────────failure, delay × 2──┘
 *
 * Delays are jittered down to half, so that many gateways do not knock at the same moment.
 */
export class Breaker {
  readonly #options: BreakerOptions
  #failures = 0
  #openUntil = 0
  #probing = false

  constructor(options: BreakerOptions) {
    this.#options = options
  }

  /** True if an attempt may be made now. When half open only the first caller gets true, until it reports. */
  tryEnter(): boolean {
    if (this.#failures === 0) return true
    if (this.#probing || this.#now() < this.#openUntil) return false
    this.#probing = true
    return true
  }

  /** True while attempts are refused; asks without taking the probe. */
  get isOpen(): boolean {
    return this.#failures > 0 && (this.#probing || this.#now() < this.#openUntil)
  }

  succeeded(): void {
    this.#failures = 0
    this.#probing = false
  }

  failed(): void {
    const { firstDelayMs, maxDelayMs } = this.#options
    const delay = Math.min(maxDelayMs, firstDelayMs * 2 ** Math.min(this.#failures, 20))
    const random = this.#options.random ?? Math.random
    this.#failures += 1
    this.#probing = false
    this.#openUntil = this.#now() + delay * (0.5 + random() / 2)
  }

  #now(): number {
    return (this.#options.now ?? performance.now.bind(performance))()
  }
}
