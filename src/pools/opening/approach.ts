import { Breaker, type BreakerOptions } from './breaker.ts'

export interface ApproachOptions extends BreakerOptions {
  /** How many attempts may be under way while nothing has failed; `sinceAnswerMs` is infinite before the first answer. */
  readonly parallel: (sinceAnswerMs: number) => number
  /** For how long an attempt counts as one that is under way, in `parallel`. By default until its end. */
  readonly countedForMs?: number
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
  /** When they began: the oldest is first. */
  readonly #underWay = new Map<Passage, number>()
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
    const most = this.#options.parallel(this.#now() - this.#answeredAt)
    return most === Number.POSITIVE_INFINITY ? most : Math.max(0, most - this.#counted.length)
  }

  /** Begins an attempt. Only where there is room. */
  begin(): Passage {
    const entry = this.#breaker.tryEnter()
    if (entry === null) throw new Error('there is no room for an attempt')
    const end = (report: () => void, error?: unknown) => {
      if (this.#underWay.delete(passage)) this.#change(report, error)
    }
    const passage: Passage = {
      succeeded: () => end(() => this.#breaker.succeeded(entry)),
      failed: (error) => end(() => this.#breaker.failed(entry), error),
      abandoned: () => end(() => this.#breaker.abandoned(entry)),
    }
    this.#underWay.set(passage, this.#now())
    return passage
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

  /** When those began that count, the oldest first. */
  get #counted(): number[] {
    const { countedForMs = Number.POSITIVE_INFINITY } = this.#options
    const now = this.#now()
    return [...this.#underWay.values()].filter((begunAt) => now - begunAt < countedForMs)
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

  /**
   * What happens by itself is reported by nobody: that a delay is over, or that an attempt no longer counts. Nothing but
   * a change makes it happen sooner, so a timer that is set is early enough.
   */
  #setTimer(): void {
    if (this.#timer !== null || this.room > 0) return
    const delayMs = this.#nextMs()
    if (delayMs === Number.POSITIVE_INFINITY) return
    this.#timer = setTimeout(() => {
      this.#timer = null
      if (this.room > 0) this.#wake()
      else this.#setTimer()
    }, Math.ceil(delayMs))
    this.#timer.unref()
  }

  #clearTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }

  /** Milliseconds until there may be room without anything being reported; infinite if there will not be. */
  #nextMs(): number {
    const { delayMs } = this.#breaker
    // With no delay left a probe is under way, and its end will be reported.
    if (this.isBroken) return delayMs > 0 ? delayMs : Number.POSITIVE_INFINITY
    const { countedForMs = Number.POSITIVE_INFINITY } = this.#options
    const [oldest = this.#now()] = this.#counted
    return oldest + countedForMs - this.#now()
  }

  #now(): number {
    return (this.#options.now ?? performance.now.bind(performance))()
  }
}
