import type pg from 'pg'
import type Pool from 'pg-pool'
import { fail } from '../errors.ts'
import { startTimeLimit, type TimeLimit } from '../lib/time-limit.ts'
import { PendingConnections, type PendingConnectionsOptions } from './opening/pending-connections.ts'
import type { BudgetedPool } from './opening/waiting-pools.ts'
import { RouteChangedError } from './route-changed.ts'
import { cleanConnection, dirtyConnections } from './wire/dirty-connections.ts'
import { isOutdated } from './wire/statement-fault.ts'

export interface TenantPoolOptions
  extends Pick<
    PendingConnectionsOptions,
    'address' | 'limits' | 'attempts' | 'budget' | 'onMismatch' | 'onViolation'
  > {
  readonly acquireTimeoutMs: number
}

interface WaitingRequest {
  readonly resolve: (client: pg.PoolClient) => void
  readonly reject: (error: Error) => void
  readonly timeLimit: TimeLimit
}

/**
 * The server decides when a connection is opened whether it may write, and when a statement is prepared what it returns. So an
 * outdated connection says nothing about a new one, and all are replaced, but not more often than this.
 */
const RENEWED_EVERY_MS = 5_000

/**
 * The connections to one tenant database. pg-pool keeps them; this class decides which request gets one: an idle one at once,
 * else a new one if the pool's size, the breakers and the budget allow, else the next one that is given back. Requests wait in
 * order, until their deadline. `#pulse` is the one place that decides; everything else changes state and calls it.
 */
export class TenantPool implements BudgetedPool {
  readonly server: string
  readonly #options: TenantPoolOptions
  readonly #pending: PendingConnections
  readonly #pool: Pool<pg.Client>
  /** When each open connection was opened, in milliseconds of `performance.now()`. No entry once it has ended. */
  readonly #openSince = new WeakMap<pg.ClientBase, number>()
  readonly #waiting: WaitingRequest[] = []
  readonly #wake = () => this.#pulse()
  /** Idle connections that are promised to a request already. */
  #claimed = 0
  /** Connections that were opened before this moment are not lent again. */
  #renewedAt = Number.NEGATIVE_INFINITY
  /** No new request will come. */
  #isRetired = false

  constructor(options: TenantPoolOptions) {
    this.#options = options
    this.#pending = new PendingConnections({
      ...options,
      onOpened: (client) => this.#openSince.set(client, performance.now()),
      onClosed: (client) => {
        this.#openSince.delete(client)
        if (this.#waiting.length > 0) this.#pulse()
      },
    })
    this.server = this.#pending.server
    this.#pool = this.#pending.createPool()
    // Also for a connection that no request waits for any more.
    this.#pool.on('release', (error, client) => this.#endPending(client, error))
  }

  /** Connections open or being opened, and requests waiting for one. */
  get stats(): { open: number; idle: number; waiting: number } {
    return { open: this.#pool.totalCount, idle: this.#pool.idleCount, waiting: this.#waiting.length }
  }

  /** True if there is no usable connection, and none may be opened because the last attempts failed. */
  get isDown(): boolean {
    return this.#options.attempts.isOpen && this.#pool.totalCount === this.#pending.byClient.size
  }

  /**
   * Lends a connection for the time of `fn`. If `fn` throws an error that `keep` recognises as an orderly answer of the database,
   * the connection stays. After any other error its state is not known, and it is closed.
   * @throws PublicError NO_CONNECTION_AVAILABLE at the deadline, TENANT_DATABASE_UNAVAILABLE if the database cannot be reached
   */
  async run<T>(fn: (client: pg.PoolClient) => Promise<T>, keep: (error: unknown) => boolean): Promise<T> {
    const client = await this.#acquire()
    let broken = true
    try {
      const result = await fn(client)
      broken = false
      return result
    } catch (error) {
      broken = !keep(error)
      if (isOutdated(error)) this.renew()
      throw error
    } finally {
      this.#giveBack(client, broken)
    }
  }

  /** Tells the waiting requests that the route has changed, so that they need not wait here until their deadline. */
  dismiss(): void {
    for (const request of this.#waiting.splice(0)) this.#refuse(request, new RouteChangedError())
  }

  /** Keeps no idle connection from now on. Requests that run or wait here are served as before. */
  retire(): void {
    this.#isRetired = true
    this.#closeAllIdle()
  }

  /** Closes the idle connections now, and the lent ones when they come back. */
  renew(): void {
    const now = performance.now()
    if (now - this.#renewedAt < RENEWED_EVERY_MS) return
    this.#renewedAt = now
    this.#closeAllIdle()
  }

  /** Ends all connections. Call only when no request uses the pool any more. */
  async close(): Promise<void> {
    this.#options.budget.waiting.remove(this)
    for (const request of this.#waiting.splice(0)) this.#refuse(request, fail('SHUTTING_DOWN'))
    await this.#pool.end()
  }

  /**
   * At the end of the process: cuts connections that are being opened for no request, because a silent server would hold up the
   * end. In other cases they may finish: how they end tells whether the server can be reached.
   */
  cutPending(): void {
    if (this.#waiting.length === 0) this.#pending.destroyAll()
  }

  get held(): number {
    return this.#pool.totalCount + this.#pending.permits
  }

  wanted(): number {
    const needed = Math.min(
      this.#waiting.length - this.#pending.requested,
      this.#options.limits.max - this.held,
    )
    if (needed <= 0) return 0
    const { room } = this.#options.attempts
    if (room === 0) this.#awaitRoom()
    return Math.min(needed, room)
  }

  openOne(): void {
    this.#pending.request()
    this.#connect((client) => {
      if (client === null) queueMicrotask(() => this.#pending.requestEnded())
      else this.#arrived(client)
    })
  }

  closeIdle(): boolean {
    if (!this.#hasIdle) return false
    this.#claimIdle((client) => client?.release(true))
    return true
  }

  #closeAllIdle(): void {
    while (this.closeIdle()) this.#options.budget.countClosing(this.server)
  }

  async #acquire(): Promise<pg.PoolClient> {
    if (this.#hasIdle && this.#waiting.length === 0) {
      const client = await new Promise<pg.PoolClient | null>((resolve) => this.#claimIdle(resolve))
      if (client !== null) return client
    }
    if (this.isDown) throw fail('TENANT_DATABASE_UNAVAILABLE')
    return new Promise((resolve, reject) => {
      const timeLimit = startTimeLimit(() => this.#expire(request), this.#options.acquireTimeoutMs)
      const request: WaitingRequest = { resolve, reject, timeLimit }
      this.#waiting.push(request)
      this.#pulse()
    })
  }

  /** True if there is an idle connection that is not promised to a request yet. */
  get #hasIdle(): boolean {
    return this.#pool.idleCount > this.#claimed
  }

  /** Gives an idle connection or, if it dies before it arrives, a new one; null if there is none of these. */
  #claimIdle(receive: (client: pg.PoolClient | null) => void): void {
    this.#claimed += 1
    this.#connect((client) => {
      this.#claimed -= 1
      receive(client)
    })
  }

  /**
   * Asks pg-pool for a connection, and calls `done` once, synchronously with pg-pool's answer: what is counted here must not
   * differ from what pg-pool holds. After a timeout pg-pool still delivers the connection once it is open. That one belongs to
   * no request, so it is handed on here.
   */
  #connect(done: (client: pg.PoolClient | null) => void): void {
    let isDone = false
    this.#pool.connect((error, client) => {
      const isLate = isDone
      isDone = true
      if (client !== undefined) this.#endPending(client)
      if (!isLate) done(client ?? null)
      else if (client !== undefined) this.#hand(client)
      // Its room is free only now. Not synchronously: a request may be in the middle of asking.
      if (client === undefined) queueMicrotask(() => this.#pulse(error))
    })
  }

  #endPending(client: pg.ClientBase, error?: unknown): void {
    if (this.#pending.byClient.size > 0) this.#pending.end(client, error)
  }

  #pulse(cause?: unknown): void {
    if (this.#isHopeless) this.#refuseAll(cause)
    while (this.wanted() > 0 && this.#options.budget.tryAdmit(this.server)) this.openOne()
    if (this.wanted() > 0) this.#options.budget.waiting.add(this)
  }

  /** The budget drops pools that want nothing now. A pool that a breaker holds back must ask again when the breaker changes. */
  #awaitRoom(): void {
    this.#options.attempts.onceChanged(this.#wake)
    if (this.#isHopeless) queueMicrotask(this.#wake)
  }

  #arrived(client: pg.PoolClient): void {
    this.#pending.requestEnded()
    this.#hand(client)
    if (this.#waiting.length > 0) this.#pulse()
  }

  /** Without a connection and with an open breaker nothing will ever be given back. */
  get #isHopeless(): boolean {
    return this.#pending.requested === 0 && this.isDown
  }

  #refuseAll(cause: unknown): void {
    for (const request of this.#waiting.splice(0)) {
      this.#refuse(request, fail('TENANT_DATABASE_UNAVAILABLE', cause === undefined ? {} : { cause }))
    }
  }

  #refuse(request: WaitingRequest, error: Error): void {
    request.timeLimit.clear()
    request.reject(error)
  }

  #expire(request: WaitingRequest): void {
    const at = this.#waiting.indexOf(request)
    if (at === -1) return
    this.#waiting.splice(at, 1)
    request.reject(fail('NO_CONNECTION_AVAILABLE'))
  }

  #hand(client: pg.PoolClient): void {
    const request = this.#waiting.shift()
    if (request === undefined) {
      this.#rest(client)
    } else {
      request.timeLimit.clear()
      request.resolve(client)
    }
  }

  #giveBack(client: pg.PoolClient, broken: boolean): void {
    if (broken || this.#mustGo(client)) {
      client.release(true)
      this.#pulse()
    } else if (dirtyConnections.has(client)) {
      // The request that used it has its answer already.
      void cleanConnection(client).then((isClean) => this.#giveBack(client, !isClean))
    } else {
      this.#hand(client)
    }
  }

  /** True if it may not be lent again: it has ended, it is outdated, or another pool may have its room. */
  #mustGo(client: pg.PoolClient): boolean {
    const { budget } = this.#options
    const since = this.#openSince.get(client)
    if (since === undefined || since < this.#renewedAt) return true
    if (budget.isShrinking && budget.mustClose(this.server)) return true
    return this.#waiting.length > 0 && budget.waiting.mustYield(this, performance.now() - since)
  }

  /** No request waits for it here. It stays idle, unless another pool waits for its room. */
  #rest(client: pg.PoolClient): void {
    const { budget } = this.#options
    if (this.#isRetired) budget.countClosing(this.server)
    const isWanted = budget.isShrinking || budget.waiting.since.size > 0
    client.release(this.#isRetired || (isWanted && budget.shouldClose(this.server)))
  }
}
