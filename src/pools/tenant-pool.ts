import type pg from 'pg'
import type Pool from 'pg-pool'
import { fail } from '../errors.ts'
import { startTimeLimit, type TimeLimit } from '../lib/time-limit.ts'
import type { Bidder, ConnectionBudget } from './budget.ts'
import { RouteChangedError } from './connection-target.ts'
import { Arrivals, type ArrivalsOptions } from './opening/arrivals.ts'
import { cleanConnection, dirtyConnections } from './wire/dirty-connections.ts'
import { isOutdated } from './wire/statement-fault.ts'

export interface TenantPoolOptions
  extends Pick<ArrivalsOptions, 'address' | 'limits' | 'way' | 'onMismatch' | 'onViolation'> {
  readonly acquireTimeoutMs: number
  readonly budget: ConnectionBudget
}

interface Waiter {
  readonly resolve: (client: pg.PoolClient) => void
  readonly reject: (error: Error) => void
  readonly patience: TimeLimit
}

/**
 * Whether a connection may write by default is decided when it is opened, and what its statements return when they are
 * prepared. So one that is outdated says nothing of a new one: all are opened anew, but no more often than this.
 */
const RENEWED_EVERY_MS = 5_000

/**
 * The connections to one tenant database. pg-pool keeps them; this class decides who gets one: an idle one at once,
 * else a new one if the pool's size and the budget allow, else the next that is given back, first come first served,
 * until the deadline. `#pulse` is the one place that decides, everything else changes state and calls it.
 */
export class TenantPool implements Bidder {
  readonly server: string
  readonly #options: TenantPoolOptions
  readonly #arrivals: Arrivals
  readonly #pool: Pool<pg.Client>
  readonly #waiters: Waiter[] = []
  readonly #wake = () => this.#pulse()
  #opening = 0
  #claimed = 0
  /** Permits counted for connections that pg-pool has not begun to open yet. */
  #permits = 0
  /** Connections that were opened before this moment serve nobody again. */
  #renewedAt = Number.NEGATIVE_INFINITY
  /** Nobody else will come. */
  #isRetired = false

  constructor(options: TenantPoolOptions) {
    this.#options = options
    this.server = `${options.address.host}:${options.address.port}`
    this.#arrivals = new Arrivals({
      ...options,
      takePermit: () => this.#takePermit(),
      onHeldBack: () => this.#returnPermit(),
      onClosed: () => {
        options.budget.release(this.server)
        if (this.#waiters.length > 0) this.#pulse()
      },
    })
    this.#pool = this.#arrivals.createPool()
  }

  /** Connections open or being opened, and requests waiting for one. */
  get stats(): { open: number; idle: number; waiting: number } {
    return { open: this.#pool.totalCount, idle: this.#pool.idleCount, waiting: this.#waiters.length }
  }

  /** True while attempts to connect are refused because the last ones failed. */
  get isDown(): boolean {
    return this.#options.way.isOpen && this.#established === 0
  }

  /**
   * Lends a connection for the time of `fn`. If `fn` throws something marked by `keep` as the database's orderly answer
   * the connection stays, else it is destroyed: a connection whose state is not known serves nobody.
   * @throws PublicError NO_CONNECTION_AVAILABLE at the deadline, TENANT_DATABASE_UNAVAILABLE if the database is out of reach
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

  /** Sends away those who wait for a connection: the way leads elsewhere, and they need not wait for the end of this one. */
  dismiss(): void {
    for (const waiter of this.#waiters.splice(0)) this.#settle(waiter, new RouteChangedError())
  }

  /** Keeps nothing idle from now on; who runs or waits here is served as before. */
  retire(): void {
    this.#isRetired = true
    while (this.closeIdle()) this.#options.budget.countClosing(this.server)
  }

  /** Has what idles now closed, and what is lent when it comes back. */
  renew(): void {
    const now = performance.now()
    if (now - this.#renewedAt < RENEWED_EVERY_MS) return
    this.#renewedAt = now
    while (this.closeIdle()) this.#options.budget.countClosing(this.server)
  }

  /** Ends all connections. Call only when nobody runs on the pool any more. */
  async close(): Promise<void> {
    this.#options.budget.forget(this)
    for (const waiter of this.#waiters.splice(0)) this.#settle(waiter, fail('SHUTTING_DOWN'))
    await this.#pool.end()
  }

  /**
   * Cuts what is on its way to nobody: a server that is silent would hold up the end of the process. Whoever else ends a
   * pool lets it come to its end, which tells of the server, and keeps others from knocking.
   */
  giveUp(): void {
    if (this.#waiters.length > 0) return
    this.#arrivals.giveUp()
  }

  get held(): number {
    return this.#pool.totalCount + this.#permits
  }

  wanted(): number {
    const needed = Math.min(this.#waiters.length - this.#opening, this.#options.limits.max - this.held)
    if (needed <= 0) return 0
    const { room } = this.#options.way
    if (room === 0) this.#awaitRoom()
    return Math.min(needed, room)
  }

  openOne(): void {
    this.#permits += 1
    this.#open()
  }

  closeIdle(): boolean {
    if (!this.#hasIdle) return false
    this.#claimIdle((client) => client?.release(true))
    return true
  }

  async #acquire(): Promise<pg.PoolClient> {
    if (this.#hasIdle && this.#waiters.length === 0) {
      const client = await new Promise<pg.PoolClient | null>((resolve) => this.#claimIdle(resolve))
      if (client !== null) return client
    }
    if (this.isDown) throw fail('TENANT_DATABASE_UNAVAILABLE')
    return new Promise((resolve, reject) => {
      const patience = startTimeLimit(() => this.#expire(waiter), this.#options.acquireTimeoutMs)
      const waiter: Waiter = { resolve, reject, patience }
      this.#waiters.push(waiter)
      this.#pulse()
    })
  }

  /** True if a connection idles that is not promised to anybody yet. */
  get #hasIdle(): boolean {
    return this.#pool.idleCount > this.#claimed
  }

  /** Brings an idle connection or, should it die on the way, a new one; null if that cannot be had either. */
  #claimIdle(receive: (client: pg.PoolClient | null) => void): void {
    this.#claimed += 1
    this.#connect((client) => {
      this.#claimed -= 1
      receive(client)
    })
  }

  /**
   * Has pg-pool bring a connection, and tells once what came of it, at the very moment: what is counted here and what
   * pg-pool holds must not differ for whoever comes between. Where pg-pool has given up waiting it still brings the
   * connection when that is there at last; it would be nobody's, and never come back.
   */
  #connect(settle: (client: pg.PoolClient | null) => void): void {
    let isSettled = false
    this.#pool.connect((error, client) => {
      const isLate = isSettled
      isSettled = true
      if (client !== undefined) this.#arrivals.settle(client)
      if (!isLate) settle(client ?? null)
      else if (client !== undefined) this.#hand(client)
      // Only now is the room free that it took; and not in the middle of the work of whoever has just asked.
      if (client === undefined) queueMicrotask(() => this.#pulse(error))
    })
  }

  #pulse(cause?: unknown): void {
    if (this.#isHopeless) this.#refuseWaiters(cause)
    while (this.wanted() > 0 && this.#options.budget.tryAdmit(this.server)) this.openOne()
    if (this.wanted() > 0) this.#options.budget.enqueue(this)
  }

  /** The budget forgets who wants nothing, so whoever is held back sees to it that it is asked again. */
  #awaitRoom(): void {
    this.#options.way.whenChanged(this.#wake)
    if (this.#isHopeless) queueMicrotask(this.#wake)
  }

  #open(): void {
    this.#opening += 1
    this.#connect((client) => {
      if (client === null) queueMicrotask(() => this.#endOpening())
      else this.#endOpening(client)
    })
  }

  #endOpening(client?: pg.PoolClient): void {
    this.#opening -= 1
    this.#returnUnusedPermits()
    if (client === undefined) return
    this.#hand(client)
    if (this.#waiters.length > 0) this.#pulse()
  }

  /** With no connection and an open breaker nothing will ever be given back. */
  get #isHopeless(): boolean {
    return this.#opening === 0 && this.isDown
  }

  #refuseWaiters(cause: unknown): void {
    for (const waiter of this.#waiters.splice(0)) {
      this.#settle(waiter, fail('TENANT_DATABASE_UNAVAILABLE', cause === undefined ? {} : { cause }))
    }
  }

  /** Connections that serve, or could. */
  get #established(): number {
    return this.#pool.totalCount - this.#arrivals.size
  }

  #hand(client: pg.PoolClient): void {
    const waiter = this.#waiters.shift()
    if (waiter === undefined) {
      this.#rest(client)
    } else {
      waiter.patience.clear()
      waiter.resolve(client)
    }
  }

  #giveBack(client: pg.PoolClient, broken: boolean): void {
    if (broken || this.#mustGo(client)) {
      client.release(true)
      this.#pulse()
    } else if (dirtyConnections.has(client)) {
      // Who ran on it has the answer already.
      void cleanConnection(client).then((isClean) => this.#giveBack(client, !isClean))
    } else {
      this.#hand(client)
    }
  }

  /** True if nobody here may have it next: it has ended, or it takes room that is not ours (any more). */
  #mustGo(client: pg.PoolClient): boolean {
    const since = this.#arrivals.openSince(client)
    if (since === undefined || since < this.#renewedAt || this.#options.budget.mustClose(this.server))
      return true
    return this.#waiters.length > 0 && this.#options.budget.mustYield(this, performance.now() - since)
  }

  /** Nobody here needs it: it idles, unless another pool waits for the room it takes. */
  #rest(client: pg.PoolClient): void {
    if (this.#isRetired) this.#options.budget.countClosing(this.server)
    client.release(this.#isRetired || this.#options.budget.shouldClose(this.server))
  }

  #expire(waiter: Waiter): void {
    const at = this.#waiters.indexOf(waiter)
    if (at === -1) return
    this.#waiters.splice(at, 1)
    waiter.reject(fail('NO_CONNECTION_AVAILABLE'))
  }

  #settle(waiter: Waiter, error: Error): void {
    waiter.patience.clear()
    waiter.reject(error)
  }

  #returnUnusedPermits(): void {
    while (this.#permits > this.#opening) this.#returnPermit()
  }

  #returnPermit(): void {
    if (this.#permits === 0) return
    this.#permits -= 1
    this.#options.budget.release(this.server)
  }

  /** True if a connection may be opened: a permit waits for it, or the budget has one left. */
  #takePermit(): boolean {
    if (this.#permits === 0) return this.#options.budget.tryAdmit(this.server)
    this.#permits -= 1
    return true
  }
}
