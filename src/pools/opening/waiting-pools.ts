import type { Clock } from '../../lib/clock.ts'

/** What the budget knows of a pool, and what it can ask the pool to do. */
export interface BudgetedPool {
  /** `host:port` */
  readonly server: string
  /** Connections that are open or being opened, without those that are closing. */
  readonly held: number
  /** How many more connections it would open now if it had permits. */
  wanted(): number
  /** Opens one connection. Its permit has been counted already. */
  openOne(): void
  /** Closes one idle connection, if it has one. Its permit comes back when the socket has closed. */
  closeIdle(): boolean
}

/** The budget's counters that `WaitingPools` needs. */
export interface PermitCounter {
  /** Connections that were told to close, of all servers. */
  readonly closing: number
  closingTo(server: string): number
  /** True if no further connection to this server may be opened. */
  isFull(server: string): boolean
  tryAdmit(server: string): boolean
  countClosing(server: string): void
}

export interface WaitingPoolsOptions {
  readonly permits: PermitCounter
  /** Pools in the order in which they should lose idle connections: those first that were used least often lately. */
  readonly victims: () => Iterable<BudgetedPool>
  readonly clock: Clock
}

/**
 * How long a busy pool may keep all its connections while another pool waits. Opening a connection costs as much as dozens of
 * requests, so a connection must serve some before it is closed.
 */
const SLICE_MS = 100

/**
 * Decides which pool opens a connection next. Pools without a permit wait in a ring: each freed permit goes to the next pool, and
 * each lap gives every pool at most one. If no permit is free, an idle connection of another pool is closed: of the one that was
 * used least often lately. If there is no idle one, a busy pool gives up a connection to a pool that has none or far fewer. So one
 * busy tenant cannot have all connections.
 */
export class WaitingPools {
  /**
   * When each pool began to wait, in the order of their turns. A plain field, so that a request that needs no permit runs no code
   * of this class.
   */
  readonly since = new Map<BudgetedPool, number>()
  readonly #options: WaitingPoolsOptions
  #isServing = false

  constructor(options: WaitingPoolsOptions) {
    this.#options = options
  }

  /** Adds a pool that wants connections, and serves it as far as possible now. */
  add(pool: BudgetedPool): void {
    if (!this.since.has(pool)) this.#append(pool)
    this.serve()
  }

  remove(pool: BudgetedPool): void {
    this.since.delete(pool)
  }

  /** The one place that decides which pool opens a connection next. */
  serve(): void {
    if (this.#isServing) return
    this.#isServing = true
    try {
      while (this.#serveLap()) {
        // Another lap: each lap gives every waiting pool at most one connection.
      }
      this.#closeIdle()
    } finally {
      this.#isServing = false
    }
  }

  /**
   * Asked when a request gives a connection back to a busy pool, `holder`, which has had it for `servedMs`. True if another pool
   * has waited long enough for its permit. Then the connection counts as closing, the other pool is next, and `holder` must wait
   * for its turn.
   */
  mustYield(holder: BudgetedPool, servedMs: number): boolean {
    if (this.since.size === 0 || servedMs < SLICE_MS) return false
    const overdue = this.#options.clock.monotonic() - SLICE_MS
    const next = this.#unserved().find(
      ([pool, since]) => since <= overdue && hasClaim(pool, holder) && this.#makesRoom(holder.server, pool),
    )
    if (next === undefined) return false
    this.#options.permits.countClosing(holder.server)
    this.since.delete(holder)
    this.#moveToFront(next)
    return true
  }

  #append(pool: BudgetedPool): void {
    this.since.set(pool, this.#options.clock.monotonic())
  }

  #moveToFront(next: [BudgetedPool, number]): void {
    const waiting = [...this.since]
    this.since.clear()
    for (const [pool, since] of [next, ...waiting]) this.since.set(pool, since)
  }

  #serveLap(): boolean {
    const { permits } = this.#options
    let served = false
    for (const pool of [...this.since.keys()]) {
      const wants = pool.wanted() > 0
      // A pool that gets no permit keeps its turn. A pool that gets one goes to the end.
      if (wants && !permits.tryAdmit(pool.server)) continue
      this.since.delete(pool)
      if (!wants) continue
      served = true
      pool.openOne()
      if (pool.wanted() > 0) this.#append(pool)
    }
    return served
  }

  /** Closes one idle connection for each waiting pool that it makes room for. */
  #closeIdle(): void {
    const unserved = this.#unserved()
    if (unserved.length === 0) return
    const victims = new Set(this.#options.victims())
    for (const [pool] of unserved) this.#closeIdleFor(pool, victims)
  }

  /** Removes those from `victims` that have no idle connection. */
  #closeIdleFor(pool: BudgetedPool, victims: Set<BudgetedPool>): void {
    for (const victim of victims) {
      if (victim === pool || !this.#makesRoom(victim.server, pool)) continue
      if (victim.closeIdle()) {
        this.#options.permits.countClosing(victim.server)
        return
      }
      victims.delete(victim)
    }
  }

  /** The waiting pools in turn, without those that will get the permit of a closing connection. */
  #unserved(): [BudgetedPool, number][] {
    const { permits } = this.#options
    let closing = permits.closing
    const takenOf = new Map<string, number>()
    return [...this.since].filter(([pool]) => {
      if (pool.wanted() <= 0) return false
      const { server } = pool
      const taken = takenOf.get(server) ?? 0
      const isFull = permits.isFull(server)
      if (closing === 0 || (isFull && taken >= permits.closingTo(server))) return true
      closing -= 1
      if (isFull) takenOf.set(server, taken + 1)
      return false
    })
  }

  /** True if closing a connection to `server` makes room for what `pool` wants. */
  #makesRoom(server: string, pool: BudgetedPool): boolean {
    return server === pool.server || !this.#options.permits.isFull(pool.server)
  }
}

/** A busy pool gives up nothing for a difference of one: closing and opening a connection would cost more than it helps. */
function hasClaim(pool: BudgetedPool, holder: BudgetedPool): boolean {
  return pool !== holder && (pool.held === 0 || holder.held - pool.held >= 2)
}
