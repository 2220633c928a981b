import type pg from 'pg'
import type Pool from 'pg-pool'
import { fail } from '../errors.ts'
import type { PoolLimits } from '../lib/postgres/pg.ts'
import { KeptConnections } from './kept-connections.ts'
import { PendingConnections, type PendingConnectionsOptions } from './opening/pending-connections.ts'
import type { BudgetedPool } from './opening/waiting-pools.ts'
import { RouteChangedError } from './route-changed.ts'
import { WaitingRequests } from './waiting-requests.ts'
import { cleanConnection, dirtyConnections } from './wire/dirty-connections.ts'
import { isOutdated } from './wire/statement-fault.ts'

export interface TenantPoolOptions
  extends Pick<
    PendingConnectionsOptions,
    'address' | 'limits' | 'attempts' | 'budget' | 'onMismatch' | 'onViolation' | 'onFault'
  > {
  readonly acquireTimeoutMs: number
}

/**
 * A connection stays read-only if the server was read-only when it was opened, and a prepared statement keeps its old result
 * type. New connections have neither fault, so an outdated connection makes the pool replace all of them, at most this often.
 */
const RENEWED_EVERY_MS = 5_000

/**
 * The connections to one tenant database. pg-pool keeps them; this class decides which request gets one: an idle one at once,
 * else a new one if the pool's size, the breakers and the budget allow, else the next one that is given back. Requests wait in
 * order, until their deadline. `#pulse` is the one place that decides; everything else changes state and calls it.
 */
export class TenantPool implements BudgetedPool {
  readonly server: string
  readonly limits: PoolLimits
  readonly kept = new KeptConnections()
  /** True if no new request will come. */
  isRetired = false
  readonly #options: TenantPoolOptions
  readonly #pending: PendingConnections
  readonly #pool: Pool<pg.Client>
  /** When each connection was opened, in milliseconds of `performance.now()`. A connection that has ended is not here. */
  readonly #openSince = new WeakMap<pg.ClientBase, number>()
  readonly #waiting: WaitingRequests
  readonly #wake = () => this.#pulse()
  /** How many idle connections a request has claimed and not received yet. */
  #claimed = 0
  /** Connections that were opened before this moment are not lent again. */
  #renewedAt = Number.NEGATIVE_INFINITY

  constructor(options: TenantPoolOptions) {
    this.#options = options
    this.#waiting = new WaitingRequests(options.acquireTimeoutMs)
    this.#pending = new PendingConnections({
      ...options,
      onOpened: (client) => this.#openSince.set(client, performance.now()),
      onClosed: (client) => {
        this.#openSince.delete(client)
        if (this.#waiting.all.length > 0) this.#pulse()
      },
    })
    this.server = this.#pending.server
    this.limits = options.limits
    this.#pool = this.#pending.createPool()
    // Needed for a connection that no request waits for any more.
    this.#pool.on('release', (error, client) => this.#endPending(client, error))
  }

  /** Connections that are open or being opened, and requests that wait for one. */
  get stats(): { open: number; idle: number; waiting: number } {
    return { open: this.#pool.totalCount, idle: this.#pool.idleCount, waiting: this.#waiting.all.length }
  }

  /** True if there is no usable connection, and none may be opened because the last attempts failed. */
  get isDown(): boolean {
    return this.#options.attempts.isOpen && this.#pool.totalCount === this.#pending.byClient.size
  }

  /**
   * Lends a connection to `fn`. If `fn` throws, `keep` tells whether the error was a complete answer of the database. If it was
   * not, the state of the connection is unknown and the pool closes it.
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

  /** True if a request may keep a connection: no other pool waits for its permit, and another connection serves the others. */
  get maySpareOne(): boolean {
    if (this.isRetired || this.mustSpare) return false
    const { budget } = this.#options
    return this.#pool.totalCount - this.kept.size > 1 || (this.hasIdle && budget.hasPlenty(this.server))
  }

  /** True if connections must be closed, so that another pool gets their permits. */
  get mustSpare(): boolean {
    const { budget } = this.#options
    return budget.isShrinking || budget.waiting.since.size > 0
  }

  /** Call regularly while connections are kept, and when one is idle and `mustSpare`. */
  reviewKept(): void {
    this.kept.closeThose((client) => this.#mustGo(client, true))
    this.#takeBackKept()
    if (this.mustSpare) this.#options.budget.waiting.serve()
  }

  /** Rejects the waiting requests with RouteChangedError, so that they need not wait here until their deadline. */
  dismiss(): void {
    this.#waiting.refuseAll(() => new RouteChangedError())
  }

  /** Keeps no idle connection from now on. Requests that run or wait here are served as before. */
  retire(): void {
    this.isRetired = true
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
    this.isRetired = true
    this.#options.budget.waiting.remove(this)
    this.#waiting.refuseAll(() => fail('SHUTTING_DOWN'))
    await this.#pool.end()
  }

  /**
   * Call at shutdown. Cuts connections that are being opened for no request, because a silent server would delay the shutdown. At
   * other times they may finish, because their outcome tells the breakers whether the server can be reached.
   */
  cutPending(): void {
    if (this.#waiting.all.length === 0) this.#pending.destroyAll()
  }

  get held(): number {
    return this.#pool.totalCount + this.#pending.permits
  }

  wanted(): number {
    const needed = Math.min(this.#waiting.all.length - this.#pending.requested, this.limits.max - this.held)
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
    if (!this.hasIdle) return this.kept.closeIdle()
    this.#claimIdle((client) => client?.release(true))
    return true
  }

  #closeAllIdle(): void {
    while (this.closeIdle()) this.#options.budget.countClosing(this.server)
    this.kept.closeThose(() => true)
  }

  async #acquire(): Promise<pg.PoolClient> {
    if (this.hasIdle && this.#waiting.all.length === 0) {
      const client = await new Promise<pg.PoolClient | null>((resolve) => this.#claimIdle(resolve))
      if (client !== null) return client
    }
    if (this.isDown) throw fail('TENANT_DATABASE_UNAVAILABLE')
    const received = this.#waiting.add()
    this.#pulse()
    return received
  }

  /** True if there is an idle connection that no request has claimed. */
  get hasIdle(): boolean {
    return this.#pool.idleCount > this.#claimed
  }

  /** Passes an idle connection to `receive`. If that one dies first, pg-pool opens a new one; null if it cannot. */
  #claimIdle(receive: (client: pg.PoolClient | null) => void): void {
    this.#claimed += 1
    this.#connect((client) => {
      this.#claimed -= 1
      receive(client)
    })
  }

  /**
   * Asks pg-pool for a connection and calls `done` once, in the same tick as pg-pool's answer, so that our counters always agree
   * with pg-pool's. After a timeout pg-pool calls a second time when the connection is open. No request owns that connection, so
   * it goes to the next waiting one.
   */
  #connect(done: (client: pg.PoolClient | null) => void): void {
    let isDone = false
    this.#pool.connect((error, client) => {
      const isLate = isDone
      isDone = true
      if (client !== undefined) this.#endPending(client)
      if (!isLate) done(client ?? null)
      else if (client !== undefined) this.#hand(client)
      // pg-pool has room only from now on. This runs in a microtask, because a request may be in the middle of `#acquire`.
      if (client === undefined) queueMicrotask(() => this.#pulse(error))
    })
  }

  #endPending(client: pg.ClientBase, error?: unknown): void {
    if (this.#pending.byClient.size > 0) this.#pending.end(client, error)
  }

  #pulse(cause?: unknown): void {
    if (this.#isHopeless)
      this.#waiting.refuseAll(() => fail('TENANT_DATABASE_UNAVAILABLE', cause === undefined ? {} : { cause }))
    while (this.wanted() > 0 && this.#options.budget.tryAdmit(this.server)) this.openOne()
    this.#takeBackKept()
    if (this.wanted() > 0) this.#options.budget.waiting.add(this)
  }

  /** For a request that waits for a connection while none is being opened. */
  #takeBackKept(): void {
    if (this.#waiting.all.length > this.#pending.requested && this.kept.size > 0)
      this.kept.takeBack(this.held === this.kept.size)
  }

  /** The budget drops a pool that wants nothing. A pool that a breaker stops must ask again when the breaker changes. */
  #awaitRoom(): void {
    this.#options.attempts.onceChanged(this.#wake)
    if (this.#isHopeless) queueMicrotask(this.#wake)
  }

  #arrived(client: pg.PoolClient): void {
    this.#pending.requestEnded()
    this.#hand(client)
    if (this.#waiting.all.length > 0) this.#pulse()
  }

  /** True if waiting is useless: no connection exists that could be given back, and the breaker allows no new one. */
  get #isHopeless(): boolean {
    return this.#pending.requested === 0 && this.isDown
  }

  #hand(client: pg.PoolClient): void {
    if (this.#waiting.all.length > 0) this.#waiting.serve(client)
    else this.#rest(client)
  }

  #giveBack(client: pg.PoolClient, broken: boolean): void {
    if (broken || this.#mustGo(client)) {
      client.release(true)
      this.#pulse()
    } else if (dirtyConnections.has(client)) {
      // The request that used the connection does not wait for this.
      void cleanConnection(client).then((isClean) => this.#giveBack(client, !isClean))
    } else {
      this.#hand(client)
    }
  }

  /** True if the connection may not be lent again: it has ended, it is outdated, or another pool gets its permit. */
  #mustGo(client: pg.ClientBase, isWanted = this.#waiting.all.length > 0): boolean {
    const { budget } = this.#options
    const since = this.#openSince.get(client)
    if (since === undefined || since < this.#renewedAt) return true
    if (budget.isShrinking && budget.mustClose(this.server)) return true
    return isWanted && budget.waiting.mustYield(this, performance.now() - since)
  }

  /** Keeps a connection idle that no request waits for. If another pool waits for a permit, an idle one is closed: perhaps this one. */
  #rest(client: pg.PoolClient): void {
    const { budget } = this.#options
    const mustClose = this.isRetired || (budget.isShrinking && budget.mustClose(this.server))
    if (this.isRetired) budget.countClosing(this.server)
    client.release(mustClose)
    if (budget.waiting.since.size > 0) budget.waiting.serve()
  }
}
