import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { hash as argonHash, verify as argonVerify, type Options } from '@node-rs/argon2'
import { type FieldError, fail } from '../../errors.ts'

export const MAX_PASSWORD_BYTES = 1024
/** The share of accounts. Accounts belong to no tenant, so their share is as large as the shares of several tenants. */
export const ACCOUNTS_SHARE = 'accounts'
const ACCOUNTS_FACTOR = 4

export interface PasswordPolicy {
  /** Characters (code points). */
  readonly minLength: number
  /** If true, a password needs a lower-case letter, an upper-case letter and a digit. */
  readonly requireMixed: boolean
}

/** `memoryCost` in KiB. */
export interface HashCost {
  readonly memoryCost: number
  readonly timeCost: number
  readonly parallelism: number
}

export interface PasswordHasherOptions {
  /** Hashes computed at the same time. Each takes a thread of the pool that DNS and files also use. */
  readonly concurrency?: number
  /** How many callers may wait. The next one is refused. */
  readonly maxWaiting?: number
  /** The same for one share. */
  readonly maxWaitingOfShare?: number
  readonly cost?: HashCost
}

// The library's Algorithm is an ambient const enum, which type stripping cannot read.
const ARGON2ID = 2
const DEFAULT_COST: HashCost = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }
// One core stays free for other work, and so do some of the four threads that DNS and files use.
const DEFAULT_CONCURRENCY = Math.max(1, Math.min(2, availableParallelism() - 1))
const PHC = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=\d+\$/
/** A complete hash, with a salt of 8 to 64 bytes and a hash of 16 to 64 bytes. */
const WHOLE_PHC =
  /^\$argon2id\$v=19\$m=(\d{1,9}),t=(\d{1,9}),p=(\d{1,9})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/
/** Each of the three costs of a stored hash may be this many times as high as ours. */
const MAX_COST_FACTOR = 4

/**
 * Computes Argon2id hashes, a limited number at the same time. More callers wait in a queue, and beyond its limit they are refused,
 * so that a flood of logins does not take all threads that DNS and files need. Callers name their share (a tenant's id). Each
 * share has a limited part of the queue, and the shares take turns.
 */
export class PasswordHasher {
  readonly #concurrency: number
  readonly #maxWaiting: number
  readonly #maxWaitingOfShare: number
  readonly #options: Options
  readonly #cost: HashCost
  readonly #dummyHash: string
  /** The queues by share, in the order of their turns. No queue is empty. */
  readonly #waiting = new Map<string, (() => void)[]>()
  #waitingInAll = 0
  #running = 0

  constructor({
    concurrency = DEFAULT_CONCURRENCY,
    maxWaiting = 128,
    maxWaitingOfShare = 16,
    cost = DEFAULT_COST,
  }: PasswordHasherOptions = {}) {
    this.#concurrency = concurrency
    this.#maxWaiting = maxWaiting
    this.#maxWaitingOfShare = maxWaitingOfShare
    this.#cost = cost
    this.#options = { algorithm: ARGON2ID, ...cost, outputLen: 32 }
    this.#dummyHash = makeDummyHash(cost)
  }

  /**
   * Returns the PHC text to store.
   *
   * @throws PublicError RATE_LIMITED when too many wait already.
   * @throws RangeError for a password over `MAX_PASSWORD_BYTES`, which `checkPolicy` refuses earlier.
   */
  async hash(password: string, share: string): Promise<string> {
    const input = encode(password)
    return this.#inTurn(share, () => argonHash(input, this.#options))
  }

  /**
   * Returns true if the password matches the stored hash. Pass null for an unknown user: the result is false after the same time,
   * so that the time does not tell whether the user exists. A stored text that is not our kind of hash, or that costs much more,
   * counts as null: the owner of a dedicated database could write it to keep us computing.
   *
   * @throws PublicError RATE_LIMITED when too many wait already.
   */
  async verify(storedHash: string | null, password: string, share: string): Promise<boolean> {
    const input = encode(password)
    const usable = storedHash !== null && this.#isUsable(storedHash) ? storedHash : null
    const matches = await this.#inTurn(share, () => this.check(usable ?? this.#dummyHash, input))
    return matches && usable !== null
  }

  /** True if passwords are cheaper to guess from this stored hash than from one that `hash` would make now. */
  isWeak(storedHash: string): boolean {
    const [, memory, time] = PHC.exec(storedHash) ?? []
    if (memory === undefined || time === undefined) return true
    const { memoryCost, timeCost } = this.#cost
    return Number(memory) < memoryCost || Number(memory) * Number(time) < memoryCost * timeCost
  }

  /** The comparison itself: one run of Argon2id for every hash. */
  protected check(hash: string, input: Uint8Array): Promise<boolean> {
    return argonVerify(hash, input)
  }

  /** True if a stored text is a hash that the library can read and whose cost is within our limits. */
  #isUsable(storedHash: string): boolean {
    const [, m, t, p, salt, hash] = WHOLE_PHC.exec(storedHash) ?? []
    if (salt === undefined || hash === undefined || ![salt, hash].every(isCanonical)) return false
    const [memory, time, lanes] = [Number(m), Number(t), Number(p)]
    const { memoryCost, timeCost, parallelism } = this.#cost
    const isWithinLimits =
      memory <= memoryCost * MAX_COST_FACTOR &&
      time <= timeCost * MAX_COST_FACTOR &&
      lanes <= parallelism * MAX_COST_FACTOR
    return isWithinLimits && time >= 1 && lanes >= 1 && memory >= 8 * lanes
  }

  async #inTurn<T>(share: string, work: () => Promise<T>): Promise<T> {
    await this.#enter(share)
    try {
      return await work()
    } finally {
      this.#leave()
    }
  }

  #enter(share: string): Promise<void> {
    if (this.#running < this.#concurrency) {
      this.#running += 1
      return Promise.resolve()
    }
    const queue = this.#waiting.get(share) ?? []
    const maxOfShare = this.#maxWaitingOfShare * (share === ACCOUNTS_SHARE ? ACCOUNTS_FACTOR : 1)
    if (this.#waitingInAll >= this.#maxWaiting || queue.length >= maxOfShare) {
      return Promise.reject(fail('RATE_LIMITED'))
    }
    this.#waiting.set(share, queue)
    this.#waitingInAll += 1
    return new Promise((resolve) => queue.push(resolve))
  }

  /** Gives the slot directly to the next waiting caller. The caller's share goes to the end of the order. */
  #leave(): void {
    const [first] = this.#waiting
    if (first === undefined) {
      this.#running -= 1
      return
    }
    const [share, queue] = first
    const next = queue.shift()
    this.#waiting.delete(share)
    if (queue.length > 0) this.#waiting.set(share, queue)
    this.#waitingInAll -= 1
    next?.()
  }
}

/** Returns what is wrong with a new password, or null. */
export function checkPolicy(
  password: string,
  policy: PasswordPolicy,
  pointer = '/password',
): FieldError | null {
  if (passwordTooLong(password)) return { pointer, message: `must not exceed ${MAX_PASSWORD_BYTES} bytes` }
  if ([...password].length < policy.minLength) {
    return { pointer, message: `must have at least ${policy.minLength} characters` }
  }
  if (policy.requireMixed && !/(?=.*\p{Ll})(?=.*\p{Lu})(?=.*\p{Nd})/su.test(password)) {
    return { pointer, message: 'must have a lower-case letter, an upper-case letter and a digit' }
  }
  return null
}

/** True if a password is longer than `hash` accepts. */
export function passwordTooLong(password: string): boolean {
  return Buffer.byteLength(password.normalize('NFKC'), 'utf8') > MAX_PASSWORD_BYTES
}

/** Keyboards send different code points for the same letter. NFKC makes them equal. */
function encode(password: string): Uint8Array {
  const bytes = Buffer.from(password.normalize('NFKC'), 'utf8')
  if (bytes.length > MAX_PASSWORD_BYTES) throw new RangeError('the password is too long')
  return bytes
}

/** True if the library accepts the text as base64: it must be the exact encoding of its bytes. */
function isCanonical(part: string): boolean {
  return Buffer.from(part, 'base64').toString('base64').replaceAll('=', '') === part
}

/** A hash with the form and cost of a real one that matches no password. */
function makeDummyHash({ memoryCost, timeCost, parallelism }: HashCost): string {
  const part = (bytes: number) => randomBytes(bytes).toString('base64').replaceAll('=', '')
  return `$argon2id$v=19$m=${memoryCost},t=${timeCost},p=${parallelism}$${part(16)}$${part(32)}`
}
