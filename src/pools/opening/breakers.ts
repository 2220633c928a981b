import { LRUCache } from 'lru-cache'
import { type Clock, systemClock } from '../../lib/clock.ts'
import { Attempt } from './attempt.ts'
import { Breaker, MAX_DENIALS } from './breaker.ts'

export interface BreakersOptions {
  readonly log?: {
    info(fields: object, message: string): void
    warn(fields: object, message: string): void
  }
  readonly clock?: Clock
}

/** Two backoffs in a row last longer than a second, even shortened to half: no second sees a third attempt. */
const BACKOFF = { firstBackoffMs: 700, maxBackoffMs: 15_000 }
/** A server that has accepted no connection for this long is tried by one connection before the others follow. */
const PROVEN_FOR_MS = 1_000
/**
 * An attempt without an answer stops the others for this long only: perhaps one packet was lost. It is more than half a
 * second, so that no second sees a third attempt at a silent server.
 */
const COUNTED_FOR_MS = 600
/** An unused breaker is dropped after 15 minutes: its database may be gone, and metrics must not show it forever. */
const KEPT = { max: 10_000, ttl: 15 * 60_000, updateAgeOnGet: true }

/**
 * The breakers of servers (`host:port`) and databases (one version of an entry). They outlive the pools: a pool that is
 * closed and opened again tries no more often, and fifty databases on one dead server try as often as one.
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

  /** The attempts to connect to a database, which is named by its server and its own key. */
  attemptsTo(server: string, database: string): Attempts {
    return new Attempts(
      lookupIn(this.#servers, server, () => this.#createServerBreaker(server)),
      lookupIn(this.#databases, database, () => this.#createDatabaseBreaker()),
    )
  }

  /** A check outside the pools has reached the database: attempts need not wait any longer. */
  answered(server: string, database: string): void {
    this.#servers.get(server)?.answered()
    this.#databases.get(database)?.answered()
  }

  /** Drops the breaker of a database that is no longer used under this key. */
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

  /** No more attempts at once than wrong passwords may be sent. */
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

/** The attempts of one pool to connect: each needs room at the breaker of its server and at that of its database. */
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

  /** How many attempts may begin now. */
  get room(): number {
    return Math.min(this.#server.findOrCreate().room, this.#database.findOrCreate().room)
  }

  /** The server asked for a password: it is alive, whether or not the attempt succeeds. */
  serverAnswered(): void {
    this.#server.findOrCreate().answered()
  }

  /** Calls `wake` once, when there may be room or when waiting may be pointless. */
  onceChanged(wake: () => void): void {
    this.#server.findOrCreate().onceChanged(wake)
    this.#database.findOrCreate().onceChanged(wake)
  }

  /** Begins an attempt. Call only when there is room. */
  begin(): Attempt {
    return new Attempt(this.#server.findOrCreate(), this.#database.findOrCreate())
  }
}
