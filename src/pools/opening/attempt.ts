import { causesOf } from '../../lib/causes.ts'
import { databaseError, errorCode } from '../../lib/postgres/pg.ts'
import type { Breaker } from './breaker.ts'

/** The password could not be read. That is a fault of ours (the catalog, a key) and says nothing about the tenant's database. */
export class PasswordUnavailableError extends Error {
  constructor(cause: unknown) {
    super('the password could not be read', { cause })
    this.name = 'PasswordUnavailableError'
  }
}

/** A silence of this length counts against the server: three seconds, less the little by which a timer may be early. */
const SILENCE_MS = 2_950
/** The backoff after a fault of ours. It ends by itself, and the database must not pay for it. */
const OWN_FAULT_BACKOFF_MS = 1_000

/** What a failed attempt counts against. `denied`: against the database, which refused the password. */
export type Blame = 'server' | 'database' | 'denied' | 'ourselves'

/** What the server has done until an attempt failed. */
export interface ServerSigns {
  /** It has sent something. */
  readonly wasHeard: boolean
  /** It has closed the connection. */
  readonly wasHungUp: boolean
  /** How long we waited for it, without the time in which we were busy. Absent: since the attempt began. */
  readonly waitedMs?: number
}

/**
 * Decides by codes. Without an SQLSTATE only a server that has sent nothing at all is blamed: one that has sent something is
 * alive, and the rest (a certificate that this database's entry does not trust, a pooler that lost its backend) may be the
 * trouble of this database alone. A short silence counts against the database too: a tenant with a short timeout must not
 * open the breaker of a slow server for the tenants that would have waited.
 */
export function blameFor(error: unknown, signs: ServerSigns, waitedMs: number): Blame {
  for (const e of causesOf(error)) if (e instanceof PasswordUnavailableError) return 'ourselves'
  const state = databaseError(error)?.code
  if (isDenied(error)) return 'denied'
  if (state === '57P03') return 'server'
  if (state !== undefined || signs.wasHeard) return 'database'
  const code = errorCode(error)
  const isOurTimeout = code === null && !signs.wasHungUp
  if (isOurTimeout) return waitedMs < SILENCE_MS ? 'database' : 'server'
  return code === 'HOST_NOT_ALLOWED' ? 'database' : 'server'
}

/** True if the server refused the password. */
export function isDenied(error: unknown): boolean {
  const state = databaseError(error)?.code
  return state === '28P01' || state === '28000'
}

/**
 * One attempt to open a connection. It reports to the breakers of its server and of its database: `connected` when the server
 * has accepted the password, and at its end either `succeeded` or `failed`.
 */
export class Attempt {
  readonly #server: Breaker
  readonly #database: Breaker
  readonly #begunAt = performance.now()
  #isConnected = false

  constructor(server: Breaker, database: Breaker) {
    this.#server = server
    this.#database = database
    server.begin(this)
    database.begin(this)
  }

  /** True once the server has accepted the password. */
  get isConnected(): boolean {
    return this.#isConnected
  }

  connected(): void {
    this.#isConnected = true
    this.#server.abandoned(this)
    this.#server.answered()
  }

  /** The connection leads to the right database and may be used. */
  succeeded(): void {
    this.connected()
    this.#database.succeeded(this)
  }

  /** Reports the failure to the breaker that it counts against. */
  failed(error: unknown, signs: ServerSigns): void {
    const blame = blameFor(error, signs, signs.waitedMs ?? performance.now() - this.#begunAt)
    if (blame === 'server') {
      this.#server.failed(this, error)
      this.#database.abandoned(this)
      return
    }
    if (signs.wasHeard) this.connected()
    else this.#server.abandoned(this)
    if (blame === 'database') this.#database.failed(this, error)
    else if (blame === 'denied') this.#database.denied(this, error)
    else this.#database.postponed(this, OWN_FAULT_BACKOFF_MS, error)
  }
}
