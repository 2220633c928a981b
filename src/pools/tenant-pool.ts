import type pg from 'pg'
import type Pool from 'pg-pool'
import { fail } from '../errors.ts'
import { assertIdentity, IdentityMismatchError } from '../lib/database-identity.ts'
import { createPool, databaseError, GuardedClient, type PoolLimits, type ServerAddress } from '../lib/pg.ts'
import { type Attempt, PasswordFault, type Way } from './breakers.ts'
import type { Bidder, ConnectionBudget } from './budget.ts'
import { RouteChangedError } from './heading.ts'

export interface TenantPoolOptions {
  readonly address: ServerAddress
  readonly limits: PoolLimits
  readonly acquireTimeoutMs: number
  readonly budget: ConnectionBudget
  readonly way: Way
  /** Told of each new connection that led to another database; `isNews` is true for the first since one led to ours. */
  readonly onMismatch?: (isNews: boolean) => void
}

interface Waiter {
  readonly resolve: (client: pg.PoolClient) => void
  readonly reject: (error: Error) => void
  readonly timer: NodeJS.Timeout
}

/** A connection was there, and gone before it was of use. Says nothing of whether the next one can be had. */
class CutOffError extends Error {}

/** One after the other; with more of them the database counts as one that cannot be had. */
const MAX_CUT_OFFS = 5
const CONNECTION_ENDED = /^(?:57P0|08)/

/**
 * The connections to one tenant database. pg-pool keeps them; this class decides who gets one: an idle one at once,
 * else a new one if the pool's size and the budget allow, else the next that is given back, first come first served,
 * until the deadline. `#pulse` is the one place that decides, everything else changes state and calls it.
 */
export class TenantPool implements Bidder {
  readonly server: string
  readonly #options: TenantPoolOptions
  readonly #pool: Pool<pg.Client>
  readonly #waiters: Waiter[] = []
  /** Connections on their way: not open yet, or open and not yet known to be to the right database. */
  readonly #attempts = new Map<GuardedClient, Attempt>()
  /** When each connection was opened, in milliseconds of `performance.now()`; there is no entry once its end was heard. */
  readonly #openSince = new WeakMap<pg.ClientBase, number>()
  readonly #wake = () => this.#pulse()
  #opening = 0
  #claimed = 0
  /** Permits counted for connections that pg-pool has not begun to open yet. */
  #permits = 0
  /** Nobody else will come. */
  #isRetired = false
  /** The last new connection led to another database. */
  #isMisled = false
  /** Connections in a row that were cut off before they were of use. */
  #cutOffs = 0

  constructor(options: TenantPoolOptions) {
    this.#options = options
    this.server = `${options.address.host}:${options.address.port}`
    const address = { ...options.address, password: () => this.#askPassword() }
    this.#pool = createPool(address, options.limits, {
      Client: this.#countedClient(),
      ...(address.expected !== undefined && {
        verify: (client) => this.#verify(client as GuardedClient),
      }),
    })
    // Also of one that nobody waited for any more.
    this.#pool.on('release', (error, client) => {
      if (this.#attempts.size > 0) this.#arrive(client, error)
    })
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
    for (const client of this.#attempts.keys()) client.destroy()
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
      const timer = setTimeout(() => this.#expire(waiter), this.#options.acquireTimeoutMs)
      const waiter: Waiter = { resolve, reject, timer }
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
      if (client !== undefined) this.#arrive(client)
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
    return this.#pool.totalCount - this.#attempts.size
  }

  /**
   * A connection stays with its database, whatever becomes of the name; what a new one leads to has to be asked. The stamp
   * inside is not enough: a copy has it too.
   */
  async #verify(client: GuardedClient): Promise<void> {
    const { address, limits, onMismatch } = this.#options
    try {
      await assertIdentity(client, address.expected?.() ?? null, { timeoutMs: limits.connectTimeoutMs })
      this.#isMisled = false
    } catch (error) {
      if (error instanceof IdentityMismatchError) {
        onMismatch?.(!this.#isMisled)
        this.#isMisled = true
      }
      throw wasCutOff(client, error) ? new CutOffError('cut off', { cause: error }) : error
    }
  }

  #hand(client: pg.PoolClient): void {
    const waiter = this.#waiters.shift()
    if (waiter === undefined) {
      this.#rest(client)
    } else {
      clearTimeout(waiter.timer)
      waiter.resolve(client)
    }
  }

  #giveBack(client: pg.PoolClient, broken: boolean): void {
    if (broken || this.#mustGo(client)) {
      client.release(true)
      this.#pulse()
    } else {
      this.#hand(client)
    }
  }

  /** True if nobody here may have it next: it has ended, or it takes room that is not ours (any more). */
  #mustGo(client: pg.PoolClient): boolean {
    const since = this.#openSince.get(client)
    if (since === undefined || this.#options.budget.mustClose(this.server)) return true
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
    clearTimeout(waiter.timer)
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

  /**
   * Every socket begins here, also one that pg-pool opens in a dead one's place. The permit belongs to the socket: taken
   * before it connects, given back when it has closed. False if none may be opened now.
   */
  #depart(client: GuardedClient): boolean {
    const { way, budget } = this.#options
    if (way.room === 0) {
      this.#returnPermit()
      return false
    }
    if (!this.#takePermit()) return false
    this.#attempts.set(client, way.begin())
    client.once('end', () => {
      this.#openSince.delete(client)
      this.#arrive(client, new CutOffError('ended before it could be used'))
      budget.release(this.server)
      if (this.#waiters.length > 0) this.#pulse()
    })
    return true
  }

  /** The connection may be used, or there is something against it. */
  #arrive(client: pg.ClientBase, error?: unknown): void {
    const attempt = this.#attempts.get(client as GuardedClient)
    if (attempt === undefined) return
    this.#attempts.delete(client as GuardedClient)
    const isCutOff = error instanceof CutOffError && attempt.isLetIn
    this.#cutOffs = isCutOff ? this.#cutOffs + 1 : 0
    // `true` is how a sound one is closed.
    const isSound = !(error instanceof Error) || (isCutOff && this.#cutOffs <= MAX_CUT_OFFS)
    if (isSound) attempt.succeeded()
    else attempt.failed(error, client as GuardedClient)
  }

  async #askPassword(): Promise<string> {
    this.#options.way.heard()
    try {
      return await this.#options.address.password()
    } catch (error) {
      throw new PasswordFault(error)
    }
  }

  #countedClient(): typeof GuardedClient {
    const depart = (client: GuardedClient) => this.#depart(client)
    const report = (client: GuardedClient, error: Error | null) => {
      if (error) return this.#arrive(client, error)
      this.#openSince.set(client, performance.now())
      this.#attempts.get(client)?.connected()
    }
    class CountedClient extends GuardedClient {
      override connect(callback?: unknown): never {
        const settle = callback as (error: Error | null) => void
        if (!depart(this)) {
          settle(Object.assign(new Error('no connection permit'), { code: 'NO_PERMIT' }))
          return undefined as never
        }
        const connected = (error: Error | null) => {
          report(this, error)
          settle(error)
        }
        return super.connect(connected as never) as never
      }
    }
    return CountedClient as unknown as typeof GuardedClient
  }
}

/** False where the server said why it does not answer, and where it said nothing at all. */
function wasCutOff(client: GuardedClient, error: unknown): boolean {
  if (error instanceof IdentityMismatchError || client.isOwedAnAnswer) return false
  const code = databaseError(error)?.code
  return code === undefined || CONNECTION_ENDED.test(code)
}
