import type pg from 'pg'
import type Pool from 'pg-pool'
import { IdentityMismatchError } from '../../lib/postgres/database-identity.ts'
import { GuardedClient } from '../../lib/postgres/guarded-client.ts'
import { createPool, errorCode, type PoolLimits, type ServerAddress } from '../../lib/postgres/pg.ts'
import { newServerTraits } from '../../lib/postgres/server-traits.ts'
import { isHandlerFault } from '../../lib/wire/handler-fault.ts'
import type { ConnectionBudget } from '../budget.ts'
import { type Attempt, isDenied, PasswordUnavailableError } from './attempt.ts'
import type { Attempts } from './breakers.ts'
import { CutOffError, verifyIdentity } from './verify-identity.ts'

export interface PendingConnectionsOptions {
  readonly address: ServerAddress
  readonly limits: PoolLimits
  readonly attempts: Attempts
  readonly budget: ConnectionBudget
  /** Called for each new connection that leads to another database. `isNews` is true for the first in a row. */
  readonly onMismatch?: (isNews: boolean) => void
  /** Called for each connection whose server broke the protocol, with the error. The connection has ended. */
  readonly onViolation?: (error: unknown) => void
  /** Called for each connection that has ended because of a fault of ours. */
  readonly onFault?: (error: unknown) => void
  readonly onOpened: (client: pg.ClientBase) => void
  readonly onClosed: (client: pg.ClientBase) => void
}

/** If more connections than this are cut off in a row, the database has failed. */
const MAX_CUT_OFFS = 5

/**
 * The connections of one pool that are being opened. Each needs a permit, room for an attempt, the password, and the proof that
 * it leads to the right database. The end of each attempt is reported to the breakers once. pg-pool keeps the connections.
 */
export class PendingConnections {
  /**
   * The attempt of each connection that is not open yet, or not yet known to lead to the right database. A plain field, so
   * that a request that needs no new connection runs no code here.
   */
  readonly byClient = new Map<pg.ClientBase, Attempt>()
  readonly server: string
  readonly #options: PendingConnectionsOptions
  /** Connections that the pool has asked pg-pool to open and has not received yet. */
  #requested = 0
  /** Permits that are counted for connections that pg-pool has not begun to open. */
  #permits = 0
  /** True if the last connection led to another database. */
  #isMismatched = false
  /** How many connections in a row ended before they could be used. */
  #cutOffs = 0

  constructor(options: PendingConnectionsOptions) {
    this.#options = options
    this.server = `${options.address.host}:${options.address.port}`
  }

  get requested(): number {
    return this.#requested
  }

  get permits(): number {
    return this.#permits
  }

  /** Makes the pool whose new connections are tracked here. */
  createPool(): Pool<pg.Client> {
    const { address, limits } = this.#options
    const traits = address.traits ?? newServerTraits()
    return createPool({ ...address, traits, password: () => this.#readPassword() }, limits, {
      Client: this.#trackedClient(),
      ...(address.expected !== undefined && {
        verify: (client) => this.#verify(client as GuardedClient),
      }),
    })
  }

  /** Call before pg-pool is asked for a new connection. The permit must be counted already. */
  request(): void {
    this.#requested += 1
    this.#permits += 1
  }

  /** Call after pg-pool has answered. Returns the permits that it did not use. */
  requestEnded(): void {
    this.#requested -= 1
    while (this.#permits > this.#requested) this.#returnPermit()
  }

  /** Ends the attempt of a connection that may be used, or that failed with `error`. Ignores one whose attempt has ended. */
  end(client: pg.ClientBase, error?: unknown): void {
    const attempt = this.byClient.get(client)
    if (attempt === undefined) return
    this.byClient.delete(client)
    const isCutOff = error instanceof CutOffError && attempt.isConnected
    this.#cutOffs = isCutOff ? this.#cutOffs + 1 : 0
    // pg-pool passes `true` as the error when the pool itself closes a sound connection.
    const isSound =
      !(error instanceof Error) ||
      (client as GuardedClient).wasRefusedSettings ||
      (isCutOff && this.#cutOffs <= MAX_CUT_OFFS)
    if (isSound) attempt.succeeded()
    else attempt.failed(error, client as GuardedClient)
    if (isDenied(error)) this.#options.address.onDenied?.()
  }

  /** Cuts all connections that are being opened. */
  destroyAll(): void {
    for (const client of this.byClient.keys()) (client as GuardedClient).destroy()
  }

  /**
   * Called before every socket connects, also when pg-pool replaces a dead connection by itself. Takes a permit for the socket and
   * gives it back when the socket has closed. False if no socket may be opened now.
   */
  #begin(client: GuardedClient): boolean {
    const { attempts, budget, onClosed } = this.#options
    if (attempts.room === 0) {
      // An attempt that must wait must not keep a permit from another pool.
      this.#returnPermit()
      return false
    }
    if (!this.#takePermit()) return false
    this.byClient.set(client, attempts.begin())
    client.once('end', () => {
      this.end(client, new CutOffError('ended before it could be used'))
      budget.release(this.server)
      onClosed(client)
    })
    return true
  }

  /** True if a permit is counted already, or the budget has one left. */
  #takePermit(): boolean {
    if (this.#permits === 0) return this.#options.budget.tryAdmit(this.server)
    this.#permits -= 1
    return true
  }

  #returnPermit(): void {
    if (this.#permits === 0) return
    this.#permits -= 1
    this.#options.budget.release(this.server)
  }

  #connected(client: GuardedClient, error: Error | null): void {
    if (error) {
      this.#report(error)
      this.end(client, error)
    } else {
      this.#options.onOpened(client)
      this.byClient.get(client)?.connected()
    }
  }

  async #verify(client: GuardedClient): Promise<void> {
    const { address, limits, onMismatch } = this.#options
    try {
      await verifyIdentity(client, address.expected?.() ?? null, limits.connectTimeoutMs)
      this.#isMismatched = false
    } catch (error) {
      if (error instanceof IdentityMismatchError) {
        onMismatch?.(!this.#isMismatched)
        this.#isMismatched = true
      }
      throw error
    }
  }

  async #readPassword(): Promise<string> {
    this.#options.attempts.serverAnswered()
    try {
      return await this.#options.address.password()
    } catch (error) {
      throw new PasswordUnavailableError(error)
    }
  }

  #report(error: Error): void {
    if (isHandlerFault(error)) this.#options.onFault?.(error)
    if (errorCode(error) === 'PROTOCOL_VIOLATION') this.#options.onViolation?.(error)
  }

  #trackedClient(): typeof GuardedClient {
    const begin = (client: GuardedClient) => this.#begin(client)
    const connected = (client: GuardedClient, error: Error | null) => this.#connected(client, error)
    const report = (error: Error) => this.#report(error)
    class TrackedClient extends GuardedClient {
      override connect(callback?: unknown): never {
        const done = callback as (error: Error | null) => void
        if (!begin(this)) {
          done(Object.assign(new Error('no connection permit'), { code: 'NO_PERMIT' }))
          return undefined as never
        }
        this.on('error', report)
        const reportAndFinish = (error: Error | null) => {
          connected(this, error)
          done(error)
        }
        return super.connect(reportAndFinish as never) as never
      }
    }
    return TrackedClient as unknown as typeof GuardedClient
  }
}
