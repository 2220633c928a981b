import { LRUCache } from 'lru-cache'
import { atMost } from '../../lib/cache/at-most.ts'
import { type Clock, systemClock } from '../../lib/clock.ts'
import { Attempt } from './attempt.ts'
import { Breaker, type BreakerState, MAX_DENIALS } from './breaker.ts'

export interface BreakersOptions {
  readonly log?: {
    info(fields: object, message: string): void
    warn(fields: object, message: string): void
  }
  readonly clock?: Clock
}

/** Two backoffs in a row last more than a second, even if both are halved. So at most two attempts begin within a second. */
const BACKOFF = { firstBackoffMs: 700, maxBackoffMs: 15_000 }
/** After this long without an accepted connection, one connection tries the server before the others follow. */
const PROVEN_FOR_MS = 1_000
/**
 * An attempt without an answer stops the others only for this long, because perhaps one packet was lost. It is more than half a
 * second, so that at most two attempts at a silent server begin within a second.
 */
const COUNTED_FOR_MS = 600
const STRICTEST_FIRST: readonly BreakerState[] = ['open', 'probing', 'half-open', 'closed']
/** An unused breaker is dropped after 15 minutes: its database may be gone, and metrics must not show it forever. */
const KEPT = { ...atMost(10_000), ttl: 15 * 60_000, updateAgeOnGet: true }

/**
 * The breakers of servers (`host:port`) and databases (one version of an entry). They outlive the pools, so closing a pool and
 * opening it again does not allow more attempts. Fifty databases on one dead server together try as often as one.
 */
export class Breakers {
  readonly #options: BreakersOptions
  readonly #now: () => number
  readonly #servers = new LRUCache<string, Breaker>(KEPT)
  readonly #databases = new LRUCache<string, Breaker>(KEPT)

  constructor(options: BreakersOptions = {}) {
    this.#options = options
    const { clock = systemClock } = options
    this.#now = () => clock.monotonic()
  }

  /** The attempts to connect to one database on `server`. `database` is the key of its breaker. */
  attemptsTo(server: string, database: string): Attempts {
    return new Attempts(
      lookupIn(this.#servers, server, () => this.#createServerBreaker(server)),
      lookupIn(this.#databases, database, () => this.#createDatabaseBreaker()),
    )
  }

  /** Call after a check outside the pools has reached the database. Attempts need not wait any longer. */
  answered(server: string, database: string): void {
    this.#servers.get(server)?.answered()
    this.#databases.get(database)?.answered()
  }

  /** Drops the breaker of a database whose key is no longer used. */
  forget(database: string): void {
    const breaker = this.#databases.peek(database)
    this.#databases.delete(database)
    breaker?.answered()
  }

  /** How many servers and databases have failed and not succeeded since. */
  get failing(): { server: number; database: number } {
    const count = (breakers: Iterable<Breaker>) => [...breakers].filter(({ isFailing }) => isFailing).length
    return { server: count(this.#servers.values()), database: count(this.#databases.values()) }
  }

  #createServerBreaker(server: string): Breaker {
    const { log } = this.#options
    return new Breaker({
      ...BACKOFF,
      now: this.#now,
      maxPending: 1,
      provenForMs: PROVEN_FOR_MS,
      countedForMs: COUNTED_FOR_MS,
      onFailing: (err) => log?.warn({ server, err }, 'database server unreachable'),
      onRecovered: () => log?.info({ server }, 'database server reachable again'),
    })
  }

  /** All pending attempts may send the same wrong password, so no more than `MAX_DENIALS` may be pending. */
  #createDatabaseBreaker(): Breaker {
    return new Breaker({ ...BACKOFF, now: this.#now, maxPending: MAX_DENIALS })
  }
}

function lookupIn(breakers: LRUCache<string, Breaker>, key: string, create: () => Breaker): BreakerLookup {
  const find = () => breakers.get(key)
  const findOrCreate = () => {
    const known = find()
    if (known !== undefined) return known
    const breaker = create()
    breakers.set(key, breaker)
    return breaker
  }
  return { find, findOrCreate }
}

interface BreakerLookup {
  readonly find: () => Breaker | undefined
  readonly findOrCreate: () => Breaker
}

/** The attempts of one pool to connect. Each needs room at two breakers: its server's and its database's. */
export class Attempts {
  readonly #server: BreakerLookup
  readonly #database: BreakerLookup

  constructor(server: BreakerLookup, database: BreakerLookup) {
    this.#server = server
    this.#database = database
  }

  /** True while attempts are refused because earlier ones failed. */
  get isOpen(): boolean {
    return this.#server.find()?.isOpen === true || this.#database.find()?.isOpen === true
  }

  /** The state of the breaker that refuses more, and the milliseconds until its backoff is over. */
  get state(): { readonly breaker: BreakerState; readonly backoffMs: number } {
    const both = [this.#server.find(), this.#database.find()]
    const states = both.map((breaker) => breaker?.state ?? 'closed')
    const breaker = STRICTEST_FIRST.find((state) => states.includes(state)) ?? 'closed'
    return { breaker, backoffMs: Math.max(...both.map((each) => each?.backoffMs ?? 0)) }
  }

  /** How many attempts may begin now. */
  get room(): number {
    return Math.min(this.#server.findOrCreate().room, this.#database.findOrCreate().room)
  }

  /** Call when the server asks for a password. It is alive then, even if the attempt fails. */
  serverAnswered(): void {
    this.#server.findOrCreate().answered()
  }

  /** Calls `wake` when `room` or `isOpen` may have changed. */
  onceChanged(wake: () => void): void {
    this.#server.findOrCreate().onceChanged(wake)
    this.#database.findOrCreate().onceChanged(wake)
  }

  /** Begins an attempt. Call only when there is room. */
  begin(): Attempt {
    return new Attempt(this.#server.findOrCreate(), this.#database.findOrCreate())
  }
}
