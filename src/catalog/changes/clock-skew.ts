import { type Clock, systemClock } from '../../lib/clock.ts'

export interface ClockSkewOptions {
  readonly log: { warn(fields: object, message: string): void; info(fields: object, message: string): void }
  readonly clock?: Clock
}

/** When a query was sent to the catalog, by both clocks. */
export interface Asked {
  readonly wall: number
  readonly monotonic: number
}

const TOO_MUCH_MS = 5_000
/** Below this the clocks agree again. It is lower than the other limit, so that a skew at the limit is not logged again and again. */
const AGREED_MS = 4_000

/**
 * Measures how far this process's clock is from the catalog's clock, which counts live replicas, ends claims and dates the audit
 * log. The catalog reads its clock at some moment between query and answer. We take the middle of that time, so the error is at
 * most half of it.
 */
export class ClockSkew {
  readonly #log: ClockSkewOptions['log']
  readonly #clock: Clock
  #aheadMs: number | null = null
  #isReported = false

  constructor({ log, clock = systemClock }: ClockSkewOptions) {
    this.#log = log
    this.#clock = clock
  }

  /** Seconds by which the catalog's clock is ahead of this process's; negative if it is behind, null before the first measurement. */
  get seconds(): number | null {
    return this.#aheadMs === null ? null : this.#aheadMs / 1000
  }

  ask(): Asked {
    return { wall: this.#clock.now(), monotonic: this.#clock.monotonic() }
  }

  /** Takes the answer to a query, received now. `catalogMs` is the catalog's clock in milliseconds since 1970. */
  answered(asked: Asked, catalogMs: number): void {
    const errorMs = (this.#clock.monotonic() - asked.monotonic) / 2
    this.#aheadMs = catalogMs - (asked.wall + errorMs)
    const fields = {
      aheadSeconds: Math.round(this.#aheadMs) / 1000,
      errorSeconds: Math.round(errorMs) / 1000,
    }
    const skewMs = Math.abs(this.#aheadMs)
    // Warn only if the skew exceeds the error, because a slow answer says little about the clocks.
    if (!this.#isReported && skewMs - errorMs > TOO_MUCH_MS) {
      this.#isReported = true
      this.#log.warn(fields, "this machine's clock differs from the catalog's")
    } else if (this.#isReported && skewMs + errorMs < AGREED_MS) {
      this.#isReported = false
      this.#log.info(fields, "this machine's clock agrees with the catalog's again")
    }
  }
}
