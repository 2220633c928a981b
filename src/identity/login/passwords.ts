import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { hash as argonHash, verify as argonVerify, type Options } from '@node-rs/argon2'
import { type FieldError, fail } from '../../errors.ts'

export const MAX_PASSWORD_BYTES = 1024
/** The share of accounts. They belong to no tenant and come from everywhere, so it is as large as those of several tenants. */
export const ACCOUNTS_SHARE = 'accounts'
const ACCOUNTS_FACTOR = 4

export interface PasswordPolicy {
  /** Characters (code points). */
  readonly minLength: number
  /** Whether a lower-case letter, an upper-case letter and a digit are needed. */
  readonly requireMixed: boolean
}

/** `memoryCost` in KiB. */
export interface HashCost {
  readonly memoryCost: number
  readonly timeCost: number
  readonly parallelism: number
}

export interface PasswordHasherOptions {
  /** Hashes at once. Each takes a thread of the pool that DNS and files also use. */
  readonly concurrency?: number
  /** Callers that may wait for a turn; the next is refused. */
  readonly maxWaiting?: number
  /** Of one share. */
  readonly maxWaitingOfShare?: number
  readonly cost?: HashCost
}

// The library's Algorithm is an ambient const enum, which type stripping cannot read.
const ARGON2ID = 2
const DEFAULT_COST: HashCost = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }
// One core stays free for other work, and so do some of the four threads that DNS and files use.
const DEFAULT_CONCURRENCY = Math.max(1, Math.min(2, availableParallelism() - 1))
const PHC = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=\d+\$/
/** The whole of a hash that is worth verifying: a salt of 8 to 64 bytes, a hash of 16 to 64. */
const WHOLE_PHC =
  /^\$argon2id\$v=19\$m=(\d{1,9}),t=(\d{1,9}),p=(\d{1,9})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/
/** A stored hash may cost this many times as much as ours, in each of its three parts. */
const MAX_COST_FACTOR = 4

/**
 * Computes Argon2id hashes, a bounded number at once. A flood of logins waits here and is refused here, so that it does not take
 * every thread that DNS and files need. Callers name the share that they use (a tenant's id). Each share has a bounded part of
 * the queue, and the shares take turns.
 */
export class PasswordHasher {
  readonly #concurrency: number
  readonly #maxWaiting: number
  readonly #maxWaitingOfShare: number
  readonly #options: Options
  readonly #cost: HashCost
  readonly #dummyHash: string
  /** By share, the one whose turn is next first. No queue in it is empty. */
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
   * The PHC text to store.
   *
   * @throws PublicError RATE_LIMITED when too many wait already.
   * @throws RangeError over `MAX_PASSWORD_BYTES`; `checkPolicy` says so first.
   */
  async hash(password: string, share: string): Promise<string> {
    const input = encode(password)
    return this.#inTurn(share, () => argonHash(input, this.#options))
  }

  /**
   * Whether the password is the stored one. With no stored hash it is not, and the answer takes as long:
   * the caller passes null for an unknown user, so that time does not tell who exists. A stored text that is no hash of
   * ours, or one that costs much more, counts as none: the owner of a dedicated database could write it to make us compute.
   *
   * @throws PublicError RATE_LIMITED when too many wait already.
   */
  async verify(storedHash: string | null, password: string, share: string): Promise<boolean> {
    const input = encode(password)
    const usable = storedHash !== null && this.#isUsable(storedHash) ? storedHash : null
    const matches = await this.#inTurn(share, () => this.check(usable ?? this.#dummyHash, input))
    return matches && usable !== null
  }

  /** Whether a stored hash is cheaper to guess against than one that `hash` would make now. */
  isWeak(storedHash: string): boolean {
    const [, memory, time] = PHC.exec(storedHash) ?? []
    if (memory === undefined || time === undefined) return true
    const { memoryCost, timeCost } = this.#cost
    return Number(memory) < memoryCost || Number(memory) * Number(time) < memoryCost * timeCost
  }

  /** The comparison itself: one Argon2id run, whatever the hash. */
  protected check(hash: string, input: Uint8Array): Promise<boolean> {
    return argonVerify(hash, input)
  }

  /** Whether a stored text is a hash that the library reads and that costs what we can bear. */
  #isUsable(storedHash: string): boolean {
    const [, m, t, p, salt, hash] = WHOLE_PHC.exec(storedHash) ?? []
    if (salt === undefined || hash === undefined || ![salt, hash].every(isCanonical)) return false
    const [memory, time, lanes] = [Number(m), Number(t), Number(p)]
    const { memoryCost, timeCost, parallelism } = this.#cost
    const isBearable =
      memory <= memoryCost * MAX_COST_FACTOR &&
      time <= timeCost * MAX_COST_FACTOR &&
      lanes <= parallelism * MAX_COST_FACTOR
    return isBearable && time >= 1 && lanes >= 1 && memory >= 8 * lanes
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

  /** The turn passes to the next waiter without becoming free in between; the waiter's share goes to the end of the line. */
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

/** What is wrong with a new password, or null. */
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

/** Whether a password is longer than anything that is ever hashed. */
export function passwordTooLong(password: string): boolean {
  return Buffer.byteLength(password.normalize('NFKC'), 'utf8') > MAX_PASSWORD_BYTES
}

/** Keyboards send different code points for the same letter. NFKC makes them equal. */
function encode(password: string): Uint8Array {
  const bytes = Buffer.from(password.normalize('NFKC'), 'utf8')
  if (bytes.length > MAX_PASSWORD_BYTES) throw new RangeError('the password is too long')
  return bytes
}

/** Whether the library takes it for base64: no length that cannot be, no bits left over. */
function isCanonical(part: string): boolean {
  return Buffer.from(part, 'base64').toString('base64').replaceAll('=', '') === part
}

/** Has the form and cost of a real hash and belongs to no password. */
function makeDummyHash({ memoryCost, timeCost, parallelism }: HashCost): string {
  const part = (bytes: number) => randomBytes(bytes).toString('base64').replaceAll('=', '')
  return `$argon2id$v=19$m=${memoryCost},t=${timeCost},p=${parallelism}$${part(16)}$${part(32)}`
}
