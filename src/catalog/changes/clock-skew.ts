import { type Clock, systemClock } from '../../lib/clock.ts'

export interface ClockSkewOptions {
  readonly log: { warn(fields: object, message: string): void; info(fields: object, message: string): void }
  readonly clock?: Clock
}

/** A question to the catalog under way: when it was asked, by both clocks. */
export interface Asked {
  readonly wall: number
  readonly monotonic: number
}

const TOO_MUCH_MS = 5_000
/** Below that the clocks agree again. Apart, so that a skew at the limit is not told again and again. */
const AGREED_MS = 4_000

/**
 * How far this process's clock is from the catalog's, by which replicas are counted, claims end and the audit log is dated.
 * An answer was dated at some moment between question and answer: in the middle, give or take half of the time between.
 */
export class ClockSkew {
  readonly #log: ClockSkewOptions['log']
  readonly #clock: Clock
  #aheadMs: number | null = null
  #isTold = false

  constructor({ log, clock = systemClock }: ClockSkewOptions) {
    this.#log = log
    this.#clock = clock
  }

  /** Seconds by which the catalog's clock is ahead of this process's, negative if it is behind; null before it was measured. */
  get seconds(): number | null {
    return this.#aheadMs === null ? null : this.#aheadMs / 1000
  }

  ask(): Asked {
    return { wall: this.#clock.now(), monotonic: this.#clock.monotonic() }
  }

  /** The catalog's clock said `catalogMs` (milliseconds since 1970) to a question that is answered now. */
  answered(asked: Asked, catalogMs: number): void {
    const errorMs = (this.#clock.monotonic() - asked.monotonic) / 2
    this.#aheadMs = catalogMs - (asked.wall + errorMs)
    const fields = {
      aheadSeconds: Math.round(this.#aheadMs) / 1000,
      errorSeconds: Math.round(errorMs) / 1000,
    }
    const skewMs = Math.abs(this.#aheadMs)
    // Only what is certain: a slow answer says little of the clocks.
    if (!this.#isTold && skewMs - errorMs > TOO_MUCH_MS) {
      this.#isTold = true
      this.#log.warn(fields, "this machine's clock differs from the catalog's")
    } else if (this.#isTold && skewMs + errorMs < AGREED_MS) {
      this.#isTold = false
      this.#log.info(fields, "this machine's clock agrees with the catalog's again")
    }
  }
}
