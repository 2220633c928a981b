import { LRUCache } from 'lru-cache'
import { causesOf } from '../../lib/causes.ts'
import { type Clock, systemClock } from '../../lib/clock.ts'
import { databaseError, errorCode } from '../../lib/postgres/pg.ts'
import { Approach, type Passage } from './approach.ts'

export interface BreakerBookOptions {
  readonly log?: {
    info(fields: object, message: string): void
    warn(fields: object, message: string): void
  }
  readonly clock?: Clock
}

/** Keeping a password from us is our own fault (the catalog's, a key's), and says nothing about the tenant's database. */
export class PasswordFault extends Error {
  constructor(cause: unknown) {
    super('the password could not be had', { cause })
    this.name = 'PasswordFault'
  }
}

/** Long enough that two delays in a row, jittered down to half, last a second: no second sees a third attempt. */
const DELAYS = { firstDelayMs: 700, maxDelayMs: 15_000 }
/** A server that has let nobody in for so long is tried by one connection before the others follow. */
const PROVEN_FOR_MS = 1_000
/**
 * A connection of which nothing has been heard for so long holds up no other: what was lost may have been one packet. More
 * than half a second, so that no second sees a third attempt at a server that is silent.
 */
const COUNTED_FOR_MS = 600
/** The silence that says something about a server: three seconds, less the little by which a timer may be early. */
const PATIENCE_MS = 2_950
/** Wrong passwords that may be said to a server before it takes us for a burglar, or locks the account. */
const MAX_DENIALS = 3
const FIRST_DENIED_DELAY_MS = 60_000
const MAX_DENIED_DELAY_MS = 600_000
/** For faults of ours, which end by themselves and are not the database's to pay for. */
const OWN_FAULT_DELAY_MS = 1_000
/** A breaker that nobody has asked for so long is forgotten: its database may be gone, and a gauge must not tell of it for ever. */
const KEPT = { max: 10_000, ttl: 15 * 60_000, updateAgeOnGet: true }

/** Who is to blame for a failed attempt. `denied` is a database that does not take the password. */
export type Blame = 'server' | 'database' | 'denied' | 'ourselves'

/** What the other side has done until an attempt ended. */
export interface Signs {
  /** It has said something. */
  readonly wasHeard: boolean
  /** It has ended the conversation. */
  readonly wasHungUp: boolean
  /** How long it was waited for, without what we were busy meanwhile. Absent: since the attempt began. */
  readonly waitedMs?: number
}

/**
 * Decided on codes. What has no SQLSTATE counts against the server only if it has said nothing at all: one that spoke is
 * alive, and whatever followed (a certificate that this entry does not trust, a pooler whose backend is gone) may be
 * this database's trouble alone. So may a silence that another would have sat out: whoever is in a hurry must not close
 * the way to a slow server for those who are not.
 */
export function blameFor(error: unknown, signs: Signs, waitedMs: number): Blame {
  for (const e of causesOf(error)) if (e instanceof PasswordFault) return 'ourselves'
  const state = databaseError(error)?.code
  if (isDenied(error)) return 'denied'
  if (state === '57P03') return 'server'
  if (state !== undefined || signs.wasHeard) return 'database'
  const code = errorCode(error)
  const isOurTimeout = code === null && !signs.wasHungUp
  if (isOurTimeout) return waitedMs < PATIENCE_MS ? 'database' : 'server'
  return code === 'HOST_NOT_ALLOWED' ? 'database' : 'server'
}

/** Whether the server has not taken the password. */
export function isDenied(error: unknown): boolean {
  const state = databaseError(error)?.code
  return state === '28P01' || state === '28000'
}

/** The approach to a database, with the number of times in a row that it did not take the password. */
class DatabaseApproach extends Approach {
  denials = 0
}

/**
 * What is known of servers (`host:port`) and databases (an entry's version) that did not let us in. It outlives the pools:
 * one that is closed and opened again knocks no more often, and fifty databases on one dead server knock as one.
 */
export class BreakerBook {
  readonly #options: BreakerBookOptions
  readonly #now: () => number
  readonly #servers = new LRUCache<string, Approach>(KEPT)
  readonly #databases = new LRUCache<string, DatabaseApproach>(KEPT)

  constructor(options: BreakerBookOptions = {}) {
    this.#options = options
    const { clock = systemClock } = options
    this.#now = () => clock.monotonic()
  }

  /** The way to a database, by its server and its own key. */
  wayTo(server: string, database: string): Way {
    return new Way(
      { find: () => this.#servers.get(server), open: () => this.#openServer(server) },
      { find: () => this.#databases.get(database), open: () => this.#openDatabase(database) },
    )
  }

  /** A check from elsewhere has reached the database: attempts need not wait any longer. */
  answered(server: string, database: string): void {
    this.#servers.get(server)?.answered()
    const approach = this.#databases.get(database)
    if (approach === undefined) return
    approach.denials = 0
    approach.answered()
  }

  /** Forgets a database that is no longer used under this key. */
  forget(database: string): void {
    const approach = this.#databases.peek(database)
    this.#databases.delete(database)
    approach?.answered()
  }

  /** How many of each have failed and not succeeded since. */
  get broken(): { server: number; database: number } {
    const count = (approaches: Iterable<Approach>) =>
      [...approaches].filter(({ isBroken }) => isBroken).length
    return { server: count(this.#servers.values()), database: count(this.#databases.values()) }
  }

  #openServer(server: string): Approach {
    const known = this.#servers.get(server)
    if (known !== undefined) return known
    const { log } = this.#options
    const approach = new Approach({
      ...DELAYS,
      now: this.#now,
      countedForMs: COUNTED_FOR_MS,
      parallel: (sinceAnswerMs) => (sinceAnswerMs < PROVEN_FOR_MS ? Number.POSITIVE_INFINITY : 1),
      onBreak: (err) => log?.warn({ server, err }, 'database server out of reach'),
      onMend: () => log?.info({ server }, 'database server back'),
    })
    this.#servers.set(server, approach)
    return approach
  }

  #openDatabase(database: string): DatabaseApproach {
    const known = this.#databases.get(database)
    if (known !== undefined) return known
    const approach = new DatabaseApproach({ ...DELAYS, now: this.#now, parallel: () => MAX_DENIALS })
    this.#databases.set(database, approach)
    return approach
  }
}

/** Finds what is known of somewhere; the second makes a place for it where there is nothing. */
interface Lookup<A extends Approach> {
  readonly find: () => A | undefined
  readonly open: () => A
}

/** The way of one pool to its database: past the server's breaker and the database's own. */
export class Way {
  readonly #server: Lookup<Approach>
  readonly #database: Lookup<DatabaseApproach>

  constructor(server: Lookup<Approach>, database: Lookup<DatabaseApproach>) {
    this.#server = server
    this.#database = database
  }

  /** True while attempts are refused because earlier ones have failed. */
  get isOpen(): boolean {
    return this.#server.find()?.isOpen === true || this.#database.find()?.isOpen === true
  }

  /** How many attempts may begin now. */
  get room(): number {
    return Math.min(this.#server.open().room, this.#database.open().room)
  }

  /** The server asks for a password: it is alive, whatever becomes of the attempt. */
  heard(): void {
    this.#server.open().answered()
  }

  /** Calls `wake` once, as soon as there may be room, or an end to waiting for it. */
  whenChanged(wake: () => void): void {
    this.#server.open().whenChanged(wake)
    this.#database.open().whenChanged(wake)
  }

  /** Begins an attempt. Only where there is room. */
  begin(): Attempt {
    return new Attempt(this.#server.open(), this.#database.open())
  }
}

/** An attempt to connect: `connected` when the server has let it in, at its end `succeeded` or `failed`. */
export class Attempt {
  readonly #server: { readonly approach: Approach; readonly passage: Passage }
  readonly #database: { readonly approach: DatabaseApproach; readonly passage: Passage }
  readonly #begunAt = performance.now()
  #isLetIn = false

  constructor(server: Approach, database: DatabaseApproach) {
    this.#server = { approach: server, passage: server.begin() }
    this.#database = { approach: database, passage: database.begin() }
  }

  /** The server has taken the password. */
  get isLetIn(): boolean {
    return this.#isLetIn
  }

  connected(): void {
    this.#isLetIn = true
    this.#server.passage.abandoned()
    this.#server.approach.answered()
  }

  /** The connection is one to the right database: it may be used. */
  succeeded(): void {
    this.connected()
    this.#database.passage.succeeded()
    if (!this.#database.approach.isBroken) this.#database.approach.denials = 0
  }

  /** Counts against whom the error and the signs point at. */
  failed(error: unknown, signs: Signs): void {
    const blame = blameFor(error, signs, signs.waitedMs ?? performance.now() - this.#begunAt)
    if (blame === 'server') {
      this.#server.passage.failed(error)
      this.#database.passage.abandoned()
      return
    }
    if (signs.wasHeard) this.connected()
    else this.#server.passage.abandoned()
    if (blame === 'database') this.#database.passage.failed(error)
    else if (blame === 'denied') this.#denied(error)
    else this.#hold(OWN_FAULT_DELAY_MS, error)
  }

  #denied(error: unknown): void {
    const { approach, passage } = this.#database
    approach.denials += 1
    const beyond = approach.denials - MAX_DENIALS
    if (beyond < 0) passage.failed(error)
    else this.#hold(Math.min(MAX_DENIED_DELAY_MS, FIRST_DENIED_DELAY_MS * 2 ** beyond), error)
  }

  #hold(delayMs: number, error: unknown): void {
    const { approach, passage } = this.#database
    passage.abandoned()
    approach.hold(delayMs, error)
  }
}
