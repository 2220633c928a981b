import { LRUCache } from 'lru-cache'
import { fail } from '../../errors.ts'
import { atMost } from '../../lib/cache/at-most.ts'

export interface LockoutPolicy {
  /** Wrong passwords in a row before the account is locked. */
  readonly attempts: number
  /** For how long attempts count, and how long the lock lasts. */
  readonly windowSeconds: number
}

/** The name that the caller typed, whether or not such a user exists. */
export interface LoginSubject {
  readonly tenantId: string
  /** In its one spelling (`typedName`). */
  readonly identifier: string
}

interface Count {
  attempts: number
  readonly until: number
}

/**
 * Counts wrong passwords for a user, in this process. An attempt counts when it begins. Otherwise many guesses sent at the same
 * time would all be checked before the first one is counted.
 */
export class LoginLimiter {
  readonly #counts: LRUCache<string, Count>
  readonly #now: () => number

  constructor({ max = 100_000, now = () => Date.now() }: { max?: number; now?: () => number } = {}) {
    this.#counts = new LRUCache(atMost(max))
    this.#now = now
  }

  /** @throws PublicError ACCOUNT_LOCKED, with the remaining seconds. */
  begin(subject: LoginSubject, policy: LockoutPolicy): void {
    const key = keyOf(subject)
    const count = this.#current(key) ?? { attempts: 0, until: this.#now() + policy.windowSeconds * 1000 }
    if (count.attempts >= policy.attempts) {
      throw fail('ACCOUNT_LOCKED', { retryAfterSeconds: Math.ceil((count.until - this.#now()) / 1000) })
    }
    count.attempts += 1
    this.#counts.set(key, count)
  }

  /** Call this after a right password. */
  clear(subject: LoginSubject): void {
    this.#counts.delete(keyOf(subject))
  }

  /** Takes back an attempt that failed for another reason than a wrong password, for example an outage of a database. */
  refund(subject: LoginSubject): void {
    const count = this.#current(keyOf(subject))
    if (count && count.attempts > 0) count.attempts -= 1
  }

  #current(key: string): Count | undefined {
    const count = this.#counts.get(key)
    return count && count.until > this.#now() ? count : undefined
  }
}

function keyOf({ tenantId, identifier }: LoginSubject): string {
  return `${tenantId} ${identifier}`
}
