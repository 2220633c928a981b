import { type Clock, systemClock } from '../lib/clock.ts'

/** A pool as the budget sees it: it wants connections, holds idle ones, and can be told to open or close one. */
export interface Bidder {
  /** `host:port` */
  readonly server: string
  /** Connections it has or is opening, without those on their way out. */
  readonly held: number
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
  readonly clock?: Clock
}

/**
 * How long a pool that has a use for its connections may keep all of them while another has none, in milliseconds. To open
 * one costs as much as dozens of requests, so it has to serve some before it goes.
 */
const SLICE_MS = 100

interface ServerCount {
  open: number
  /** Of these, told to close. */
  closing: number
}

/**
 * Counts the connections of the whole process and of each database server, and never lets either exceed its limit.
 * A permit is counted before a socket is opened and given back when it is closed. Who gets no permit waits in a ring:
 * each freed permit goes to the next pool; and a busy pool gives connections up from time to time to one that has none, or
 * far fewer. So one busy tenant cannot have all of them.
 */
export class ConnectionBudget {
  readonly #victims: () => Iterable<Bidder>
  #limits: BudgetLimits
  readonly #servers = new Map<string, ServerCount>()
  readonly #clock: Clock
  /** Who waits, in turn, and since when. */
  #ring = new Map<Bidder, number>()
  #open = 0
  #closing = 0
  #pulsing = false
  #emptied: PromiseWithResolvers<void> | null = null

  constructor({ max, maxPerServer, victims, clock = systemClock }: BudgetOptions) {
    this.#limits = { max, maxPerServer }
    this.#clock = clock
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
      while (this.#isExceeded(victim.server) && victim.closeIdle()) this.countClosing(victim.server)
    }
    this.pulse()
  }

  /**
   * Asked of a connection that is given back: true if it has to be closed, also where its own pool has a use for it,
   * because more are open than may be. It then counts as on its way out.
   */
  mustClose(server: string): boolean {
    if (!this.#isExceeded(server)) return false
    this.countClosing(server)
    return true
  }

  /** Asked of a connection that its pool has no use for now: true if another pool waits for what it takes; counts as above. */
  shouldClose(server: string): boolean {
    if (this.mustClose(server)) return true
    if (!this.#unserved().some(([bidder]) => this.#serves(server, bidder))) return false
    this.countClosing(server)
    return true
  }

  /**
   * Asked of a connection that is given back to a pool with a use for it, and has served it for `servedMs`: true if another
   * one has waited long enough for what it takes. That one is next; `holder` waits for its turn like everybody else.
   */
  mustYield(holder: Bidder, servedMs: number): boolean {
    if (this.#ring.size === 0 || servedMs < SLICE_MS) return false
    const overdue = this.#clock.monotonic() - SLICE_MS
    const next = this.#unserved().find(
      ([bidder, since]) =>
        since <= overdue && hasClaim(bidder, holder) && this.#serves(holder.server, bidder),
    )
    if (next === undefined) return false
    this.countClosing(holder.server)
    this.#ring.delete(holder)
    this.#ring = new Map([next, ...this.#ring])
    return true
  }

  /** Told of a connection whose pool closes it of its own accord, before it is closed. */
  countClosing(server: string): void {
    const count = this.#countOf(server)
    // More than are open cannot be on their way out: it has ended already, and nothing would ever be counted back.
    if (count.closing >= count.open) return
    count.closing += 1
    this.#closing += 1
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
    if (!this.#ring.has(bidder)) this.#ring.set(bidder, this.#clock.monotonic())
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
    for (const bidder of [...this.#ring.keys()]) {
      const wants = bidder.wanted() > 0
      // Who is not served keeps its place; who is goes to the end.
      if (wants && !this.tryAdmit(bidder.server)) continue
      this.#ring.delete(bidder)
      if (!wants) continue
      served = true
      bidder.openOne()
      if (bidder.wanted() > 0) this.#ring.set(bidder, this.#clock.monotonic())
    }
    return served
  }

  #makeRoom(): void {
    for (const [bidder] of this.#unserved()) this.#closeIdleFor(bidder)
  }

  #closeIdleFor(bidder: Bidder): void {
    for (const victim of this.#victims()) {
      if (victim === bidder || !this.#serves(victim.server, bidder) || !victim.closeIdle()) continue
      this.countClosing(victim.server)
      return
    }
  }

  /** Who waits, in turn, without those for whom one of the connections on their way out makes room. */
  #unserved(): [Bidder, number][] {
    let coming = this.#closing
    const taken = new Map<string, number>()
    return [...this.#ring].filter(([bidder]) => {
      if (bidder.wanted() <= 0) return false
      const { server } = bidder
      const used = taken.get(server) ?? 0
      const isFull = this.#isFull(server)
      if (coming === 0 || (isFull && used >= this.#countOf(server).closing)) return true
      coming -= 1
      if (isFull) taken.set(server, used + 1)
      return false
    })
  }

  /** True if a connection to `server` that is closed makes room for what `bidder` wants. */
  #serves(server: string, bidder: Bidder): boolean {
    return server === bidder.server || !this.#isFull(bidder.server)
  }

  #isFull(server: string): boolean {
    return this.#countOf(server).open >= this.#limits.maxPerServer
  }

  /** True if more stay open, of all or to this server, than may. */
  #isExceeded(server: string): boolean {
    const { open, closing } = this.#countOf(server)
    const { max, maxPerServer } = this.#limits
    return this.#open - this.#closing > max || open - closing > maxPerServer
  }

  #countOf(server: string): ServerCount {
    return this.#servers.get(server) ?? { open: 0, closing: 0 }
  }
}

/** Where shares differ by one only, to pass it round would cost more than it is worth. */
function hasClaim(bidder: Bidder, holder: Bidder): boolean {
  return bidder !== holder && (bidder.held === 0 || holder.held - bidder.held >= 2)
}
