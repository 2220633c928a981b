import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { hash as argonHash, verify as argonVerify, type Options } from '@node-rs/argon2'
import { type FieldError, fail } from '../errors.ts'

export const MAX_PASSWORD_BYTES = 1024

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
  readonly cost?: HashCost
}

// The library's Algorithm is an ambient const enum, which type stripping cannot read.
const ARGON2ID = 2
const DEFAULT_COST: HashCost = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }
// One core is left to everybody else, and of the four threads that DNS and files use some stay free.
const DEFAULT_CONCURRENCY = Math.max(1, Math.min(2, availableParallelism() - 1))
const PHC = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=\d+\$/

/**
 * Argon2id, a bounded number at once: a flood of logins waits here, and is refused here, instead of
 * taking every thread that look-ups and files need.
 */
export class PasswordHasher {
  readonly #concurrency: number
  readonly #maxWaiting: number
  readonly #options: Options
  readonly #cost: HashCost
  readonly #dummyHash: string
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor({
    concurrency = DEFAULT_CONCURRENCY,
    maxWaiting = 64,
    cost = DEFAULT_COST,
  }: PasswordHasherOptions = {}) {
    this.#concurrency = concurrency
    this.#maxWaiting = maxWaiting
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
  async hash(password: string): Promise<string> {
    const input = encode(password)
    return this.#inTurn(() => argonHash(input, this.#options))
  }

  /**
   * Whether the password is the stored one. With no stored hash it is not, and the answer takes as long:
   * the caller passes null for an unknown user, so that time does not tell who exists.
   *
   * @throws PublicError RATE_LIMITED when too many wait already.
   */
  async verify(storedHash: string | null, password: string): Promise<boolean> {
    const input = encode(password)
    const matches = await this.#inTurn(() => this.check(storedHash ?? this.#dummyHash, input))
    return matches && storedHash !== null
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

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    await this.#enter()
    try {
      return await work()
    } finally {
      this.#leave()
    }
  }

  #enter(): Promise<void> {
    if (this.#running < this.#concurrency) {
      this.#running += 1
      return Promise.resolve()
    }
    if (this.#waiting.length >= this.#maxWaiting) return Promise.reject(fail('RATE_LIMITED'))
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** The turn passes to the next waiter without becoming free in between. */
  #leave(): void {
    const next = this.#waiting.shift()
    if (next) next()
    else this.#running -= 1
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

/** One key press may reach us as different code points, depending on the keyboard: NFKC makes them one. */
function encode(password: string): Uint8Array {
  const bytes = Buffer.from(password.normalize('NFKC'), 'utf8')
  if (bytes.length > MAX_PASSWORD_BYTES) throw new RangeError('the password is too long')
  return bytes
}

/** Has the form and cost of a real hash and belongs to no password. */
function makeDummyHash({ memoryCost, timeCost, parallelism }: HashCost): string {
  const part = (bytes: number) => randomBytes(bytes).toString('base64').replaceAll('=', '')
  return `$argon2id$v=19$m=${memoryCost},t=${timeCost},p=${parallelism}$${part(16)}$${part(32)}`
}
