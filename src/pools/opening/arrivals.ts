import type pg from 'pg'
import type Pool from 'pg-pool'
import { assertIdentity, IdentityMismatchError } from '../../lib/postgres/database-identity.ts'
import {
  createPool,
  databaseError,
  errorCode,
  GuardedClient,
  type PoolLimits,
  type ServerAddress,
} from '../../lib/postgres/pg.ts'
import { newServerTraits } from '../../lib/postgres/server-traits.ts'
import { startTimeLimit } from '../../lib/time-limit.ts'
import { type Attempt, isDenied, PasswordFault, type Way } from './breakers.ts'

export interface ArrivalsOptions {
  readonly address: ServerAddress
  readonly limits: PoolLimits
  readonly way: Way
  /** Told of each new connection that led to another database; `isNews` is true for the first since one led to ours. */
  readonly onMismatch?: (isNews: boolean) => void
  /** Told of each connection whose server broke the protocol, with what it was; the connection is gone. */
  readonly onViolation?: (error: unknown) => void
  /** Asked before each socket; one for which it says false is not opened. */
  readonly takePermit: () => boolean
  /** Told of a socket that may not be tried yet, whatever permits there are. */
  readonly onHeldBack: () => void
  /** Told of each socket that has closed: its permit comes back. */
  readonly onClosed: () => void
}

/** A connection was there, and gone before it was of use. Says nothing of whether the next one can be had. */
class CutOffError extends Error {}

/** One after the other; with more of them the database counts as one that cannot be had. */
const MAX_CUT_OFFS = 5
const CONNECTION_ENDED = /^(?:57P0|08)/

/**
 * The way of each new connection of a pool: a permit, room on the way to its server, the password, and the proof that it
 * leads to the right database. What becomes of it is told to the breakers, once. pg-pool keeps the connections.
 */
export class Arrivals {
  readonly #options: ArrivalsOptions
  /** Those that are not open yet, or open and not yet known to be to the right database. */
  readonly #attempts = new Map<GuardedClient, Attempt>()
  /** When each was opened, in milliseconds of `performance.now()`; there is no entry once its end was heard. */
  readonly #openSince = new WeakMap<pg.ClientBase, number>()
  /** The last one led to another database. */
  #isMisled = false
  /** So many in a row were cut off before they were of use. */
  #cutOffs = 0

  constructor(options: ArrivalsOptions) {
    this.#options = options
  }

  /** How many are on their way. */
  get size(): number {
    return this.#attempts.size
  }

  /** When an open connection was opened, in milliseconds of `performance.now()`; undefined once it has ended. */
  openSince(client: pg.ClientBase): number | undefined {
    return this.#openSince.get(client)
  }

  /** Makes the pool whose connections arrive here. */
  createPool(): Pool<pg.Client> {
    const { address, limits } = this.#options
    const traits = address.traits ?? newServerTraits()
    const pool = createPool({ ...address, traits, password: () => this.#askPassword() }, limits, {
      Client: this.#countedClient(),
      ...(address.expected !== undefined && {
        verify: (client) => this.#verify(client as GuardedClient),
      }),
    })
    // Also of one that nobody waited for any more.
    pool.on('release', (error, client) => {
      if (this.#attempts.size > 0) this.settle(client, error)
    })
    return pool
  }

  /** The connection may be used, or there is something against it. Says nothing of one that has arrived before. */
  settle(client: pg.ClientBase, error?: unknown): void {
    const attempt = this.#attempts.get(client as GuardedClient)
    if (attempt === undefined) return
    this.#attempts.delete(client as GuardedClient)
    const isCutOff = error instanceof CutOffError && attempt.isLetIn
    this.#cutOffs = isCutOff ? this.#cutOffs + 1 : 0
    // `true` is how a sound one is closed.
    const isSound =
      !(error instanceof Error) ||
      (client as GuardedClient).wasRefusedSettings ||
      (isCutOff && this.#cutOffs <= MAX_CUT_OFFS)
    if (isSound) attempt.succeeded()
    else attempt.failed(error, client as GuardedClient)
    if (isDenied(error)) this.#options.address.onDenied?.()
  }

  /** Cuts what is on its way. */
  giveUp(): void {
    for (const client of this.#attempts.keys()) client.destroy()
  }

  /**
   * Every socket begins here, also one that pg-pool opens in a dead one's place. The permit belongs to the socket: taken
   * before it connects, given back when it has closed. False if none may be opened now.
   */
  #depart(client: GuardedClient): boolean {
    const { way, takePermit, onHeldBack, onClosed } = this.#options
    if (way.room === 0) {
      onHeldBack()
      return false
    }
    if (!takePermit()) return false
    this.#attempts.set(client, way.begin())
    client.once('end', () => {
      this.#openSince.delete(client)
      this.settle(client, new CutOffError('ended before it could be used'))
      onClosed()
    })
    return true
  }

  #connected(client: GuardedClient, error: Error | null): void {
    if (error) {
      this.settle(client, error)
    } else {
      this.#openSince.set(client, performance.now())
      this.#attempts.get(client)?.connected()
    }
  }

  /**
   * A connection stays with its database, whatever becomes of the name; what a new one leads to has to be asked. The stamp
   * inside is not enough: a copy has it too.
   */
  async #verify(client: GuardedClient): Promise<void> {
    const { address, limits, onMismatch } = this.#options
    try {
      await withPatience(assertIdentity(client, address.expected?.() ?? null), limits.connectTimeoutMs)
      this.#isMisled = false
    } catch (error) {
      if (error instanceof IdentityMismatchError) {
        onMismatch?.(!this.#isMisled)
        this.#isMisled = true
      }
      throw wasCutOff(client, error) ? new CutOffError('cut off', { cause: error }) : error
    }
  }

  async #askPassword(): Promise<string> {
    this.#options.way.heard()
    try {
      return await this.#options.address.password()
    } catch (error) {
      throw new PasswordFault(error)
    }
  }

  #failed(error: Error): void {
    if (errorCode(error) === 'PROTOCOL_VIOLATION') this.#options.onViolation?.(error)
  }

  #countedClient(): typeof GuardedClient {
    const depart = (client: GuardedClient) => this.#depart(client)
    const connected = (client: GuardedClient, error: Error | null) => this.#connected(client, error)
    const failed = (error: Error) => this.#failed(error)
    class CountedClient extends GuardedClient {
      override connect(callback?: unknown): never {
        const settle = callback as (error: Error | null) => void
        if (!depart(this)) {
          settle(Object.assign(new Error('no connection permit'), { code: 'NO_PERMIT' }))
          return undefined as never
        }
        this.on('error', failed)
        const told = (error: Error | null) => {
          if (error) failed(error)
          connected(this, error)
          settle(error)
        }
        return super.connect(told as never) as never
      }
    }
    return CountedClient as unknown as typeof GuardedClient
  }
}

/** Settles as `work` does, unless that takes longer than it may. What we were busy meanwhile does not count. */
async function withPatience<T>(work: Promise<T>, ms: number): Promise<T> {
  const { promise: expired, reject } = Promise.withResolvers<never>()
  const patience = startTimeLimit(() => reject(new Error('no answer in time')), ms)
  // The losing promise may still reject; catch it so that Node does not report an unhandled rejection.
  work.catch(() => undefined)
  try {
    return await Promise.race([work, expired])
  } finally {
    patience.clear()
  }
}

/** False where the server said why it does not answer, and where it said nothing at all. */
function wasCutOff(client: GuardedClient, error: unknown): boolean {
  if (error instanceof IdentityMismatchError || client.isOwedAnAnswer) return false
  const code = databaseError(error)?.code
  return code === undefined || CONNECTION_ENDED.test(code)
}
