/** How a breaker waits. Milliseconds. */
export interface BreakerOptions {
  readonly firstDelayMs: number
  readonly maxDelayMs: number
  readonly now?: () => number
  readonly random?: () => number
}

/** Shown by an attempt when it reports, so that what it says is taken for the time at which it began. */
export type Entry = number

/**
 *   closed ──failure──▶ open(delay) ──delay over──▶ half open (one probe) ──success──▶ closed
 *                          ▲                              │
 *                          └──────────failure, delay × 2──┘
 *
 * Delays are jittered down to half, so that many gateways do not knock at the same moment. Attempts may be under way when
 * the breaker opens: they began before it was known, so they neither double the delay nor close it again.
 */
export class Breaker {
  readonly #options: BreakerOptions
  #failures = 0
  #openUntil = 0
  #probing = false
  #generation: Entry = 0

  constructor(options: BreakerOptions) {
    this.#options = options
  }

  /** What to report with, or null if no attempt may be made now. When half open only the first caller gets one. */
  tryEnter(): Entry | null {
    if (this.isOpen) return null
    this.#probing = this.hasFailed
    return this.#generation
  }

  /** True while attempts are refused; asks without taking the probe. */
  get isOpen(): boolean {
    return this.hasFailed && (this.#probing || this.#now() < this.#openUntil)
  }

  /** True while open or half open: until an attempt has succeeded. */
  get hasFailed(): boolean {
    return this.#failures > 0
  }

  /** Milliseconds until a probe may be made. 0 if nothing but the probe that is under way stands against it. */
  get delayMs(): number {
    return this.hasFailed ? Math.max(0, this.#openUntil - this.#now()) : 0
  }

  succeeded(entry: Entry): void {
    if (entry === this.#generation) this.reset()
  }

  failed(entry: Entry): void {
    if (entry !== this.#generation) return
    const { firstDelayMs, maxDelayMs, random = Math.random } = this.#options
    const delayMs = Math.min(maxDelayMs, firstDelayMs * 2 ** Math.min(this.#failures, 20))
    this.hold(delayMs * (0.5 + random() / 2))
  }

  /** The attempt came to nothing that says anything: if it was the probe, the next caller may make it. */
  abandoned(entry: Entry): void {
    if (entry === this.#generation) this.#probing = false
  }

  /** Opens for `delayMs`, whatever was before; what stays open for longer than that stays so. */
  hold(delayMs: number): void {
    const until = this.#now() + delayMs
    this.#openUntil = this.hasFailed ? Math.max(this.#openUntil, until) : until
    this.#failures += 1
    this.#generation += 1
    this.#probing = false
  }

  /** Closes it: there is news from elsewhere. */
  reset(): void {
    this.#failures = 0
    this.#probing = false
  }

  #now(): number {
    return (this.#options.now ?? performance.now.bind(performance))()
  }
}
