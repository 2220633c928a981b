import { fail } from '../../errors.ts'
import { type Clock, systemClock } from '../../lib/clock.ts'
import type { Position } from '../history.ts'

/** Says if this process may use its caches of the catalog, or must ask the catalog first. */
export interface Freshness {
  /**
   * True if this process has not asked the catalog for so long that the other replicas may have confirmed changes without it. That
   * happens when the process was stopped or its machine was paused.
   */
  readonly isOver: boolean
  /**
   * Asks the catalog. All callers share one attempt. Resolves when all changes are applied, or when the catalog does not answer;
   * then known tenants are served as in any outage.
   * @throws PublicError CATALOG_UNAVAILABLE if neither happens in time
   */
  renew(): Promise<void>
  /** How often changes were found after `isOver`. Work that began before such a moment must not go on. */
  readonly lapses: number
}

export interface FreshnessOptions {
  /** How long known values may be used after an attempt to read the changes. */
  readonly trustedMs: number
  /** Starts an attempt at once. */
  readonly wake: () => void
  readonly clock?: Clock
}

/** A moment by both clocks. The monotonic clock may stop while a machine sleeps, and the wall clock may be set. */
export interface Moment {
  readonly wall: number
  readonly monotonic: number
}

const NEVER: Moment = { wall: Number.POSITIVE_INFINITY, monotonic: Number.POSITIVE_INFINITY }
const RENEWAL_MS = 10_000
/** The first attempts after a long pause may fail because their connections did not outlive it. */
const ATTEMPTS_AFTER_LAPSE = 3

/**
 * Remembers when the changes of the catalog were last read, or when an attempt to read them last failed.
 *
 *   fresh ──trustedMs without an attempt──▶ over ──an attempt succeeds, or three fail──▶ fresh
 *
 * During an outage attempts fail all the time, so an outage does not lead to `over`.
 */
export class CatalogFreshness implements Freshness {
  readonly #options: FreshnessOptions
  readonly #clock: Clock
  /** When the last successful attempt began, or when the last failed attempt ended; the later one counts. */
  #askedAt = NEVER
  /** The last change applied at `#askedAt`. */
  #known: Position | null = null
  #lapses = 0
  #failures = 0
  #renewal: Promise<void> | null = null
  #attempt = Promise.withResolvers<void>()

  constructor(options: FreshnessOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
  }

  get isOver(): boolean {
    const { wall, monotonic } = this.#askedAt
    const { trustedMs } = this.#options
    return this.#clock.monotonic() - monotonic > trustedMs || this.#clock.now() - wall > trustedMs
  }

  get lapses(): number {
    return this.#lapses
  }

  now(): Moment {
    return { wall: this.#clock.now(), monotonic: this.#clock.monotonic() }
  }

  renew(): Promise<void> {
    this.#renewal ??= this.#renew().finally(() => {
      this.#renewal = null
    })
    return this.#renewal
  }

  /** An attempt that began at `begun` has applied all changes up to `position` and has sent a heartbeat. */
  reached(begun: Moment, position: Position): void {
    this.#note(begun, { until: begun, position })
  }

  /** An attempt has failed at `position`. An attempt that lasted across a pause says nothing about the catalog. */
  failed(begun: Moment, position: Position): void {
    const now = this.now()
    const saysNothing = this.#isLonger(begun, now)
    if (!saysNothing) this.#failures += 1
    const mayPass = this.#isLonger(this.#askedAt, begun) && this.#failures < ATTEMPTS_AFTER_LAPSE
    if (saysNothing || mayPass) this.#endAttempt()
    else this.#note(begun, { until: now, position })
  }

  #note(begun: Moment, { until, position }: { until: Moment; position: Position }): void {
    const isNews = this.#known !== null && this.#known.id !== position.id
    if (isNews && this.#isLonger(this.#askedAt, begun)) this.#lapses += 1
    this.#askedAt = until
    this.#known = position
    this.#failures = 0
    this.#endAttempt()
  }

  #endAttempt(): void {
    this.#attempt.resolve()
    this.#attempt = Promise.withResolvers()
  }

  async #renew(): Promise<void> {
    const late = Promise.withResolvers<never>()
    const timer = setTimeout(() => late.reject(fail('CATALOG_UNAVAILABLE')), RENEWAL_MS)
    try {
      while (this.isOver) {
        const { promise } = this.#attempt
        this.#options.wake()
        await Promise.race([promise, late.promise])
      }
    } finally {
      clearTimeout(timer)
    }
  }

  #isLonger(from: Moment, to: Moment): boolean {
    const { trustedMs } = this.#options
    return to.monotonic - from.monotonic > trustedMs || to.wall - from.wall > trustedMs
  }
}
