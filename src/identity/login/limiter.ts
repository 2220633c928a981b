import { LRUCache } from 'lru-cache'
import { fail } from '../../errors.ts'

export interface LockoutPolicy {
  /** Wrong passwords in a row before the account is locked. */
  readonly attempts: number
  /** Over how long they count, and how long the lock lasts. */
  readonly windowSeconds: number
}

/** The name that the caller typed, whether or not such a user exists. */
export interface LoginSubject {
  readonly tenantId: string
  /** Already folded to one spelling. */
  readonly identifier: string
}

interface Count {
  attempts: number
  readonly until: number
}

/**
 * Counts wrong passwords for a tenant's user, in this process. An attempt counts when it begins: guesses sent at
 * once would otherwise all pass before the first is found wrong.
 */
export class LoginLimiter {
  readonly #counts: LRUCache<string, Count>
  readonly #now: () => number

  constructor({ max = 100_000, now = () => Date.now() }: { max?: number; now?: () => number } = {}) {
    this.#counts = new LRUCache({ max })
    this.#now = now
  }

  /** @throws PublicError ACCOUNT_LOCKED, with the seconds that are left. */
  begin(subject: LoginSubject, policy: LockoutPolicy): void {
    const key = keyOf(subject)
    const count = this.#current(key) ?? { attempts: 0, until: this.#now() + policy.windowSeconds * 1000 }
    if (count.attempts >= policy.attempts) {
      throw fail('ACCOUNT_LOCKED', { retryAfterSeconds: Math.ceil((count.until - this.#now()) / 1000) })
    }
    count.attempts += 1
    this.#counts.set(key, count)
  }

  /** The password was right. */
  clear(subject: LoginSubject): void {
    this.#counts.delete(keyOf(subject))
  }

  /** The attempt came to no answer, for example because a database did not answer. It does not count. */
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
