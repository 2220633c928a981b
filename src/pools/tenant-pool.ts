import type pg from 'pg'
import type Pool from 'pg-pool'
import { fail } from '../errors.ts'
import type { Breaker } from '../lib/breaker.ts'
import { assertIdentity, IdentityMismatchError } from '../lib/database-identity.ts'
import { createPool, databaseError, GuardedClient, type PoolLimits, type ServerAddress } from '../lib/pg.ts'
import type { Bidder, ConnectionBudget } from './budget.ts'
import { RouteChangedError } from './heading.ts'

export interface TenantPoolOptions {
  readonly address: ServerAddress
  readonly limits: PoolLimits
  readonly acquireTimeoutMs: number
  readonly budget: ConnectionBudget
  readonly breaker: Breaker
  /** Told of each new connection that led to another database; `isNews` is true for the first since one led to ours. */
  readonly onMismatch?: (isNews: boolean) => void
}

interface Waiter {
  readonly resolve: (client: pg.PoolClient) => void
  readonly reject: (error: Error) => void
  readonly timer: NodeJS.Timeout
  /** How many connections were cut off that were opened while it came next. */
  cutOffs: number
}

/** A connection was there, and gone before it was of use. Says nothing of whether the next one can be had. */
class CutOffError extends Error {}

const MAX_CUT_OFFS = 2
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
  #opening = 0
  #claimed = 0
  /** Permits counted for connections that pg-pool has not begun to open yet. */
  #permits = 0
  /** The last new connection led to another database. */
  #isMisled = false

  constructor(options: TenantPoolOptions) {
    this.#options = options
    this.server = `${options.address.host}:${options.address.port}`
    this.#pool = createPool(options.address, options.limits, {
      Client: this.#countedClient(),
      ...(options.address.expected !== undefined && {
        verify: (client) => this.#verify(client as GuardedClient),
      }),
    })
  }

  /** Connections open or being opened, and requests waiting for one. */
  get stats(): { open: number; idle: number; waiting: number } {
    return { open: this.#pool.totalCount, idle: this.#pool.idleCount, waiting: this.#waiters.length }
  }

  /** True while attempts to connect are refused because the last ones failed. */
  get isDown(): boolean {
    return this.#options.breaker.isOpen && this.#pool.totalCount === 0
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

  /** Ends all connections. Call only when nobody runs on the pool any more. */
  async close(): Promise<void> {
    this.#options.budget.forget(this)
    for (const waiter of this.#waiters.splice(0)) this.#settle(waiter, fail('SHUTTING_DOWN'))
    await this.#pool.end()
  }

  wanted(): number {
    if (this.#options.breaker.isOpen) return 0
    const room = this.#options.limits.max - this.#pool.totalCount - this.#permits
    return Math.min(this.#waiters.length - this.#opening, room)
  }

  openOne(): void {
    this.#permits += 1
    this.#options.breaker.tryEnter()
    this.#open()
  }

  closeIdle(): boolean {
    if (this.#pool.idleCount <= this.#claimed) return false
    this.#claimed += 1
    void this.#pool.connect().then(
      (client) => {
        this.#claimed -= 1
        client.release(true)
      },
      () => {
        this.#claimed -= 1
      },
    )
    return true
  }

  async #acquire(): Promise<pg.PoolClient> {
    if (this.#pool.idleCount > this.#claimed && this.#waiters.length === 0) {
      const client = await this.#takeIdle()
      if (client !== null) return client
    }
    if (this.#options.breaker.isOpen && this.#pool.totalCount === 0) throw fail('TENANT_DATABASE_UNAVAILABLE')
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#expire(waiter), this.#options.acquireTimeoutMs)
      const waiter: Waiter = { resolve, reject, timer, cutOffs: 0 }
      this.#waiters.push(waiter)
      this.#pulse()
    })
  }

  /** Null if the idle connection died between the look and the take. */
  async #takeIdle(): Promise<pg.PoolClient | null> {
    this.#claimed += 1
    try {
      return await this.#pool.connect()
    } catch {
      return null
    } finally {
      this.#claimed -= 1
    }
  }

  #pulse(): void {
    if (this.#options.breaker.isOpen) this.#failIfHopeless()
    while (this.wanted() > 0 && this.#options.budget.tryAdmit(this.server)) this.openOne()
    if (this.wanted() > 0) this.#options.budget.enqueue(this)
  }

  #open(): void {
    this.#opening += 1
    this.#pool.connect().then(
      (client) => {
        this.#opening -= 1
        this.#returnUnusedPermits()
        this.#options.breaker.succeeded()
        this.#hand(client)
      },
      (error: Error) => {
        this.#opening -= 1
        this.#returnUnusedPermits()
        const wasCutOff = error instanceof CutOffError
        if (wasCutOff) this.#options.breaker.succeeded()
        else this.#options.breaker.failed()
        this.#disappoint(error, wasCutOff)
        this.#pulse()
      },
    )
  }

  /** Whoever came next is told why there is no connection, unless it may just as well wait for another one. */
  #disappoint(cause: Error, mayWait: boolean): void {
    const waiter = this.#waiters[0]
    if (waiter === undefined) return
    if (mayWait && waiter.cutOffs < MAX_CUT_OFFS) {
      waiter.cutOffs += 1
      return
    }
    this.#waiters.shift()
    this.#settle(waiter, fail('TENANT_DATABASE_UNAVAILABLE', { cause }))
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

  /** With no connection and an open breaker nothing will ever be given back: answer now. */
  #failIfHopeless(): void {
    if (this.#pool.totalCount > 0 || this.#opening > 0) return
    for (const waiter of this.#waiters.splice(0)) this.#settle(waiter, fail('TENANT_DATABASE_UNAVAILABLE'))
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
    if (broken) {
      client.release(true)
      this.#pulse()
    } else {
      this.#hand(client)
    }
  }

  /** Nobody here needs it: it idles, unless another pool waits for the room it takes. */
  #rest(client: pg.PoolClient): void {
    client.release(this.#options.budget.isContested(this.server))
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
    while (this.#permits > this.#opening) {
      this.#permits -= 1
      this.#options.budget.release(this.server)
    }
  }

  /** True if a connection may be opened: a permit waits for it, or the budget has one left. */
  #takePermit(): boolean {
    if (this.#permits === 0) return this.#options.budget.tryAdmit(this.server)
    this.#permits -= 1
    return true
  }

  /** The permit belongs to the socket: taken before it connects, given back when it has closed. */
  #countedClient(): typeof GuardedClient {
    const takePermit = () => this.#takePermit()
    const givePermit = () => this.#options.budget.release(this.server)
    class CountedClient extends GuardedClient {
      override connect(callback?: unknown): never {
        if (!takePermit()) {
          const refuse = callback as (error: Error) => void
          refuse(Object.assign(new Error('no connection permit'), { code: 'NO_PERMIT' }))
          return undefined as never
        }
        this.once('end', givePermit)
        return super.connect(callback as never) as never
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
