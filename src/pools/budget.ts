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

/** How many connections may be open: of the process, and to each server. */
export interface BudgetLimits {
  readonly max: number
  readonly maxPerServer: number
}

export interface BudgetOptions extends BudgetLimits {
  /** Pools in the order in which they should lose idle connections: least recently used first. */
  readonly victims: () => Iterable<Bidder>
}

interface ServerCount {
  open: number
  /** Of these, told to close. */
  closing: number
}

/**
 * Counts the connections of the whole process and of each database server, and never lets either exceed its limit.
 * A permit is counted before a socket is opened and given back when it is closed. Who gets no permit waits in a ring:
 * each freed permit goes to the next pool, so one busy tenant cannot take all of them.
 */
export class ConnectionBudget {
  readonly #victims: () => Iterable<Bidder>
  #limits: BudgetLimits
  readonly #servers = new Map<string, ServerCount>()
  readonly #ring = new Set<Bidder>()
  #open = 0
  #closing = 0
  #pulsing = false
  #emptied: PromiseWithResolvers<void> | null = null

  constructor({ max, maxPerServer, victims }: BudgetOptions) {
    this.#limits = { max, maxPerServer }
    this.#victims = victims
  }

  get open(): number {
    return this.#open
  }

  get max(): number {
    return this.#limits.max
  }

  /** Changes the limits: idle connections beyond them are closed now, those in use when they are given back. */
  resize(limits: BudgetLimits): void {
    this.#limits = limits
    for (const victim of this.#victims()) {
      while (this.#isExceeded(victim.server) && victim.closeIdle()) this.#countClosing(victim.server)
    }
    this.pulse()
  }

  /**
   * Asked of a connection that is given back: true if it has to be closed, also where its own pool has a use for it,
   * because more are open than may be. It then counts as on its way out.
   */
  mustClose(server: string): boolean {
    if (!this.#isExceeded(server)) return false
    this.#countClosing(server)
    return true
  }

  /** Asked of a connection that its pool has no use for now: true if another pool waits for what it takes; counts as above. */
  shouldClose(server: string): boolean {
    if (this.mustClose(server)) return true
    if (this.#ring.size <= this.#closing || !this.#isContested(server)) return false
    this.#countClosing(server)
    return true
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
    if (this.#open === 0) this.#emptied?.resolve()
    this.pulse()
  }

  /** False while more is open than may be, in all or to a server, also where it is on its way out. */
  get isKept(): boolean {
    const { max, maxPerServer } = this.#limits
    return this.#open <= max && [...this.#servers.values()].every(({ open }) => open <= maxPerServer)
  }

  /** Resolves once no connection is open any more. */
  async emptied(): Promise<void> {
    if (this.#open === 0) return
    this.#emptied ??= Promise.withResolvers()
    await this.#emptied.promise
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
    const serverIsFull = this.#countOf(bidder.server).open >= this.#limits.maxPerServer
    for (const victim of this.#victims()) {
      if (victim === bidder || (serverIsFull && victim.server !== bidder.server)) continue
      if (victim.closeIdle()) {
        this.#countClosing(victim.server)
        return true
      }
    }
    return false
  }

  /** True if other pools wait for a permit that this server's connection would free. */
  #isContested(server: string): boolean {
    for (const bidder of this.#ring) {
      if (bidder.wanted() > 0 && (bidder.server === server || this.#open >= this.#limits.max)) return true
    }
    return false
  }

  /** True if more stay open, of all or to this server, than may. */
  #isExceeded(server: string): boolean {
    const { open, closing } = this.#countOf(server)
    const { max, maxPerServer } = this.#limits
    return this.#open - this.#closing > max || open - closing > maxPerServer
  }

  #countClosing(server: string): void {
    this.#countOf(server).closing += 1
    this.#closing += 1
  }

  #countOf(server: string): ServerCount {
    return this.#servers.get(server) ?? { open: 0, closing: 0 }
  }
}
