/** A pool as the budget sees it: it wants connections, holds idle ones, and can be told to open or close one. */
export interface Bidder {
  /** `host:port` */
  readonly server: string
  /** How many more connections it would open now if it might. */
  wanted(): number
  /** Opens one connection; its permit has been counted already. */
  openOne(): void
  /** Closes one idle connection, if it has one. Its permit comes back when the socket is closed. */
  closeIdle(): boolean
}

export interface BudgetOptions {
  readonly max: number
  readonly maxPerServer: number
  /** Pools in the order in which they should lose idle connections: least recently used first. */
  readonly victims: () => Iterable<Bidder>
}

/**
 * Counts the connections of the whole process and of each database server, and never lets either exceed its limit.
 * A permit is counted before a socket is opened and given back when it is closed. Who gets no permit waits in a ring:
 * each freed permit goes to the next pool, so one busy tenant cannot take all of them.
 */
export class ConnectionBudget {
  readonly #options: BudgetOptions
  readonly #perServer = new Map<string, number>()
  readonly #ring = new Set<Bidder>()
  #open = 0
  #closing = 0
  #pulsing = false

  constructor(options: BudgetOptions) {
    this.#options = options
  }

  get open(): number {
    return this.#open
  }

  get max(): number {
    return this.#options.max
  }

  /** True if other pools wait for a permit that this server's connection would free. */
  isContested(server: string): boolean {
    for (const bidder of this.#ring) {
      if (bidder.wanted() > 0 && (bidder.server === server || this.#open >= this.#options.max)) return true
    }
    return false
  }

  /** Counts a permit for a connection to `server` if both limits allow it. */
  tryAdmit(server: string): boolean {
    if (this.#open >= this.#options.max || this.#openAt(server) >= this.#options.maxPerServer) return false
    this.#open += 1
    this.#perServer.set(server, this.#openAt(server) + 1)
    return true
  }

  /** Gives a permit back, and lets the next waiting pool have it. */
  release(server: string): void {
    this.#open -= 1
    this.#closing = Math.max(0, this.#closing - 1)
    const left = this.#openAt(server) - 1
    if (left > 0) this.#perServer.set(server, left)
    else this.#perServer.delete(server)
    this.pulse()
  }

  /** Puts a pool that wants connections into the ring, and serves it as far as that is possible now. */
  enqueue(bidder: Bidder): void {
    this.#ring.add(bidder)
    this.pulse()
  }

  forget(bidder: Bidder): void {
    this.#ring.delete(bidder)
  }

  /** The one place that decides who may open a connection next. */
  pulse(): void {
    if (this.#pulsing) return
    this.#pulsing = true
    try {
      while (this.#serveRing()) {
        // Another lap: each lap gives every waiting pool at most one connection.
      }
      this.#makeRoom()
    } finally {
      this.#pulsing = false
    }
  }

  #serveRing(): boolean {
    let served = false
    for (const bidder of [...this.#ring]) {
      const wants = bidder.wanted() > 0
      // Who is not served keeps its place; who is goes to the end.
      if (wants && !this.tryAdmit(bidder.server)) continue
      this.#ring.delete(bidder)
      if (!wants) continue
      served = true
      bidder.openOne()
      if (bidder.wanted() > 0) this.#ring.add(bidder)
    }
    return served
  }

  /** Closes as many idle connections of others as there are pools still waiting, not counting those on their way out. */
  #makeRoom(): void {
    let needed = this.#ring.size - this.#closing
    for (const bidder of this.#ring) {
      if (needed <= 0) return
      if (this.#closeIdleFor(bidder)) needed -= 1
    }
  }

  #closeIdleFor(bidder: Bidder): boolean {
    const serverIsFull = this.#openAt(bidder.server) >= this.#options.maxPerServer
    for (const victim of this.#options.victims()) {
      if (victim === bidder || (serverIsFull && victim.server !== bidder.server)) continue
      if (victim.closeIdle()) {
        this.#closing += 1
        return true
      }
    }
    return false
  }

  #openAt(server: string): number {
    return this.#perServer.get(server) ?? 0
  }
}
