import { Breaker, type BreakerOptions } from '../lib/breaker.ts'

export interface ApproachOptions extends BreakerOptions {
  /** How many attempts may be under way while nothing has failed; `sinceAnswerMs` is infinite before the first answer. */
  readonly parallel: (sinceAnswerMs: number) => number
  /** Told when it breaks, with what broke it, and when it is whole again. */
  readonly onBreak?: (error: unknown) => void
  readonly onMend?: () => void
}

/** An attempt that is under way, until the first of these is said. */
export interface Passage {
  /** Counts unless the breaker has opened since it began. */
  succeeded(): void
  failed(error: unknown): void
  /** It came to nothing that says anything. */
  abandoned(): void
}

/**
 * How one server, or one database, may be approached: its breaker, how many attempts are under way, and who waits until
 * one more may be made. Whoever waits is called again after everything that can change the answer.
 */
export class Approach {
  readonly #options: ApproachOptions
  readonly #breaker: Breaker
  readonly #waiting = new Set<() => void>()
  #underWay = 0
  #answeredAt = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | null = null
  #isWaking = false

  constructor(options: ApproachOptions) {
    this.#options = options
    this.#breaker = new Breaker(options)
  }

  /** True while attempts are refused because earlier ones have failed. */
  get isOpen(): boolean {
    return this.#breaker.isOpen
  }

  /** True until an attempt succeeds after one has failed. */
  get isBroken(): boolean {
    return this.#breaker.hasFailed
  }

  /** How many attempts may begin now. */
  get room(): number {
    if (this.isOpen) return 0
    if (this.isBroken) return 1
    return Math.max(0, this.#options.parallel(this.#now() - this.#answeredAt) - this.#underWay)
  }

  /** Begins an attempt. Only where there is room. */
  begin(): Passage {
    const entry = this.#breaker.tryEnter()
    if (entry === null) throw new Error('there is no room for an attempt')
    this.#underWay += 1
    let isUnderWay = true
    const end = (report: () => void, error?: unknown) => {
      if (!isUnderWay) return
      isUnderWay = false
      this.#underWay -= 1
      this.#change(report, error)
    }
    return {
      succeeded: () => end(() => this.#breaker.succeeded(entry)),
      failed: (error) => end(() => this.#breaker.failed(entry), error),
      abandoned: () => end(() => this.#breaker.abandoned(entry)),
    }
  }

  /** Refuses attempts for `delayMs`. */
  hold(delayMs: number, error: unknown): void {
    this.#change(() => this.#breaker.hold(delayMs), error)
  }

  /** A sign of life, from an attempt that has not ended or from elsewhere. */
  answered(): void {
    this.#answeredAt = this.#now()
    this.#change(() => this.#breaker.reset())
  }

  /** Calls `wake` once, as soon as it may be worth asking again. */
  whenChanged(wake: () => void): void {
    this.#waiting.add(wake)
    this.#setTimer()
  }

  #change(report: () => void, error?: unknown): void {
    const wasBroken = this.isBroken
    report()
    // It was set for what is no longer so, and whoever still has to wait sets it anew.
    this.#clearTimer()
    if (!wasBroken && this.isBroken) this.#options.onBreak?.(error)
    if (wasBroken && !this.isBroken) this.#options.onMend?.()
    this.#wake()
  }

  /** Later, when whoever reports is done with it: to be called in the middle of one's own work is a trap. */
  #wake(): void {
    if (this.#isWaking || this.#waiting.size === 0) return
    this.#isWaking = true
    queueMicrotask(() => {
      this.#isWaking = false
      const woken = [...this.#waiting]
      this.#waiting.clear()
      for (const wake of woken) wake()
    })
  }

  /** That a delay is over happens by itself; who waits for a connection under use would wait for its end instead. */
  #setTimer(): void {
    const { delayMs } = this.#breaker
    if (this.#timer !== null || delayMs === 0) return
    this.#timer = setTimeout(() => {
      this.#timer = null
      if (this.#breaker.delayMs > 0) this.#setTimer()
      else this.#wake()
    }, Math.ceil(delayMs))
    this.#timer.unref()
  }

  #clearTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }

  #now(): number {
    return (this.#options.now ?? performance.now.bind(performance))()
  }
}
