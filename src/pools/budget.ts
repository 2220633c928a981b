import { type Clock, systemClock } from '../lib/clock.ts'
import { type BudgetedPool, WaitingPools } from './opening/waiting-pools.ts'

/** How many connections the process may have open, in total and to each server. */
export interface BudgetLimits {
  readonly max: number
  readonly maxPerServer: number
}

export interface BudgetOptions extends BudgetLimits {
  /** Pools in the order in which they should lose idle connections: those first that were used least often lately. */
  readonly victims: () => Iterable<BudgetedPool>
  readonly clock?: Clock
}

interface ServerCount {
  open: number
  /** How many of the open ones were told to close. */
  closing: number
}

/** Up to this share of the permits a pool may keep its only connection for reads. */
const PLENTY = 0.75

/**
 * Counts the connections of the whole process and of each database server, and never lets either exceed its limit.
 * A permit is counted before a socket is opened and given back when it has closed. `waiting` decides which pool gets a freed
 * permit.
 */
export class ConnectionBudget {
  /** The pools that wait for a permit. */
  readonly waiting: WaitingPools
  /**
   * True while more connections are open than `resize` allows. A plain field like `waiting.since`, so that a request that gives a
   * connection back usually runs no code of this class.
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

  /** The most connections that one server may have. */
  get mostTo(): number {
    return Math.min(this.#limits.max, this.#limits.maxPerServer)
  }

  /** True while a good part of the permits is free, in all and for this server. */
  hasPlenty(server: string): boolean {
    const { max, maxPerServer } = this.#limits
    return this.#open <= max * PLENTY && this.#countOf(server).open <= maxPerServer * PLENTY
  }

  /** True if no further connection to this server may be opened. */
  isFull(server: string): boolean {
    return this.#countOf(server).open >= this.#limits.maxPerServer
  }

  /** False while more connections are open than allowed, in total or to one server. Closing connections count too. */
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
   * Asked when a connection is given back. True if more connections are open than allowed: the pool must then close this one, even
   * if a request waits for it. It counts as closing from now on.
   */
  mustClose(server: string): boolean {
    if (!this.#isExceeded(server)) return false
    this.countClosing(server)
    return true
  }

  /** Counts a connection as closing. Call before the pool closes it. */
  countClosing(server: string): void {
    const count = this.#countOf(server)
    // The connection has ended already, so `release` will not be called for it again.
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

  /** Only `resize` sets `isShrinking`, because permits never exceed the limits. */
  #noteShrinking(): void {
    if (this.isShrinking) this.isShrinking = this.#isExceededAnywhere()
  }

  #isExceededAnywhere(): boolean {
    return [...this.#servers.keys()].some((server) => this.#isExceeded(server))
  }

  /** True if more connections stay open than allowed, in total or to this server. */
  #isExceeded(server: string): boolean {
    const { open, closing } = this.#countOf(server)
    const { max, maxPerServer } = this.#limits
    return this.#open - this.#closing > max || open - closing > maxPerServer
  }

  #countOf(server: string): ServerCount {
    return this.#servers.get(server) ?? { open: 0, closing: 0 }
  }
}
