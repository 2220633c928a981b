import { LRUCache } from 'lru-cache'
import { atMost } from './cache/at-most.ts'

export interface RateLimit {
  /** Calls in a window. */
  readonly limit: number
  readonly windowMs: number
}

/** The state of one key in its current window. */
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

/** Counts calls by key in fixed windows, in this process. A call costs one lookup and never waits. */
export class RateLimiter {
  readonly #limit: RateLimit
  readonly #windows: LRUCache<string, Window>
  readonly #now: () => number

  /** `max` keys are remembered; `now` in milliseconds, from any starting point. */
  constructor(limit: RateLimit, { max = 100_000, now = () => performance.now() } = {}) {
    this.#limit = limit
    this.#windows = new LRUCache(atMost(max))
    this.#now = now
  }

  /** Counts one call, if it is allowed. */
  take(key: string): Allowance {
    const now = this.#now()
    const window = this.#windowAt(key, now)
    const { limit } = this.#limit
    const isAllowed = window.used < limit
    if (isAllowed) window.used += 1
    // Rounded first: otherwise the clock's fractions could make a full window one second longer.
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
