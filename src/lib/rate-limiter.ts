import { LRUCache } from 'lru-cache'

export interface RateLimit {
  /** Calls in a window. */
  readonly limit: number
  readonly windowMs: number
}

/** Where somebody stands within their window. */
export interface Allowance {
  readonly isAllowed: boolean
  readonly limit: number
  readonly remaining: number
  /** Whole seconds until the window ends, at least 1. */
  readonly resetSeconds: number
}

interface Window {
  used: number
  readonly endsAt: number
}

/** Counts calls by key in fixed windows, in this process. A call costs one look-up and waits for nothing. */
export class RateLimiter {
  readonly #limit: RateLimit
  readonly #windows: LRUCache<string, Window>
  readonly #now: () => number

  /** `max` keys are remembered; `now` in milliseconds, from any beginning. */
  constructor(limit: RateLimit, { max = 100_000, now = () => performance.now() } = {}) {
    this.#limit = limit
    this.#windows = new LRUCache({ max })
    this.#now = now
  }

  /** Counts one call, if it is allowed. */
  take(key: string): Allowance {
    const now = this.#now()
    const window = this.#windowAt(key, now)
    const { limit } = this.#limit
    const isAllowed = window.used < limit
    if (isAllowed) window.used += 1
    // Rounded first: the clock has fractions, and their sum and difference would make a second more of a full window.
    const resetSeconds = Math.max(1, Math.ceil(Math.round(window.endsAt - now) / 1000))
    return { isAllowed, limit, remaining: limit - window.used, resetSeconds }
  }

  #windowAt(key: string, now: number): Window {
    const known = this.#windows.get(key)
    if (known !== undefined && now < known.endsAt) return known
    const window = { used: 0, endsAt: now + this.#limit.windowMs }
    this.#windows.set(key, window)
    return window
  }
}
