import { type Clock, systemClock } from '../lib/clock.ts'
import { type BudgetedPool, WaitingPools } from './opening/waiting-pools.ts'

/** How many connections may be open: of the process, and to each server. */
export interface BudgetLimits {
  readonly max: number
  readonly maxPerServer: number
}

export interface BudgetOptions extends BudgetLimits {
  /** Pools in the order in which they should lose idle connections: least recently used first. */
  readonly victims: () => Iterable<BudgetedPool>
  readonly clock?: Clock
}

interface ServerCount {
  open: number
  /** How many of the open ones were told to close. */
  closing: number
}

/**
 * Counts the connections of the whole process and of each database server, and never lets either exceed its limit.
 * A permit is counted before a socket is opened and given back when it has closed. Which pool gets a freed permit is
 * decided by `waiting`.
 */
export class ConnectionBudget {
  /** The pools that wait for a permit. */
  readonly waiting: WaitingPools
  /**
   * True from the moment at which the limits shrink below what is open until enough has closed. A plain field like
   * `waiting.since`: while neither asks for connections, a request that gives one back runs no code here.
   */
  isShrinking = false
  readonly #victims: () => Iterable<BudgetedPool>
  readonly #servers = new Map<string, ServerCount>()
  #limits: BudgetLimits
  #open = 0
  #closing = 0
  #emptied: PromiseWithResolvers<void> | null = null

  constructor({ max, maxPerServer, victims, clock = systemClock }: BudgetOptions) {
    this.#limits = { max, maxPerServer }
    this.#victims = victims
    this.waiting = new WaitingPools({ permits: this, victims, clock })
  }

  get open(): number {
    return this.#open
  }

  get max(): number {
    return this.#limits.max
  }

  /** Connections that were told to close and are still open. */
  get closing(): number {
    return this.#closing
  }

  closingTo(server: string): number {
    return this.#countOf(server).closing
  }

  /** True if no further connection to this server may be opened. */
  isFull(server: string): boolean {
    return this.#countOf(server).open >= this.#limits.maxPerServer
  }

  /** False while more connections are open than allowed, in all or to a server. Closing ones count too. */
  get isKept(): boolean {
    const { max, maxPerServer } = this.#limits
    return this.#open <= max && [...this.#servers.values()].every(({ open }) => open <= maxPerServer)
  }

  /** Changes the limits. Idle connections beyond them are closed now, those in use when they are given back. */
  resize(limits: BudgetLimits): void {
    this.#limits = limits
    for (const victim of this.#victims()) {
      while (this.#isExceeded(victim.server) && victim.closeIdle()) this.countClosing(victim.server)
    }
    this.isShrinking = this.#isExceededAnywhere()
    this.waiting.serve()
  }

  /** Counts a permit for a connection to `server` if both limits allow it. */
  tryAdmit(server: string): boolean {
    const count = this.#countOf(server)
    if (this.#open >= this.#limits.max || count.open >= this.#limits.maxPerServer) return false
    this.#open += 1
    count.open += 1
    this.#servers.set(server, count)
    return true
  }

  /** Gives a permit back, and lets the next waiting pool have it. */
  release(server: string): void {
    const count = this.#countOf(server)
    this.#open -= 1
    count.open -= 1
    if (count.closing > 0) {
      count.closing -= 1
      this.#closing -= 1
    }
    if (count.open <= 0) this.#servers.delete(server)
    this.#noteShrinking()
    if (this.#open === 0) this.#emptied?.resolve()
    this.waiting.serve()
  }

  /**
   * For a connection that was given back. True if it must be closed, even if its own pool can use it, because more are open
   * than allowed. It then counts as closing.
   */
  mustClose(server: string): boolean {
    if (!this.#isExceeded(server)) return false
    this.countClosing(server)
    return true
  }

  /** For a connection that its own pool cannot use now. True if another pool waits for its room. It then counts as closing. */
  shouldClose(server: string): boolean {
    if (this.mustClose(server)) return true
    if (!this.waiting.wantRoomOf(server)) return false
    this.countClosing(server)
    return true
  }

  /** Counts a connection as closing that its pool is about to close by itself. */
  countClosing(server: string): void {
    const count = this.#countOf(server)
    // No more can be closing than are open: this one has ended already, and nothing would count it back.
    if (count.closing >= count.open) return
    count.closing += 1
    this.#closing += 1
    this.#noteShrinking()
  }

  /** Resolves when no connection is open any more. */
  async emptied(): Promise<void> {
    if (this.#open === 0) return
    this.#emptied ??= Promise.withResolvers()
    await this.#emptied.promise
  }

  /** Only `resize` can begin it: no permit is counted beyond the limits. */
  #noteShrinking(): void {
    if (this.isShrinking) this.isShrinking = this.#isExceededAnywhere()
  }

  #isExceededAnywhere(): boolean {
    return [...this.#servers.keys()].some((server) => this.#isExceeded(server))
  }

  /** True if more connections stay open than allowed, in all or to this server. */
  #isExceeded(server: string): boolean {
    const { open, closing } = this.#countOf(server)
    const { max, maxPerServer } = this.#limits
    return this.#open - this.#closing > max || open - closing > maxPerServer
  }

  #countOf(server: string): ServerCount {
    return this.#servers.get(server) ?? { open: 0, closing: 0 }
  }
}
