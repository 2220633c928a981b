import { causesOf } from '../../lib/causes.ts'
import { databaseError, errorCode } from '../../lib/postgres/pg.ts'
import { isHandlerFault } from '../../lib/wire/handler-fault.ts'
import type { Breaker } from './breaker.ts'

/** The password could not be read from the catalog or decrypted. That says nothing about the tenant's database. */
export class PasswordUnavailableError extends Error {
  constructor(cause: unknown) {
    super('the password could not be read', { cause })
    this.name = 'PasswordUnavailableError'
  }
}

/** A server that is silent for this long is blamed. A timer of three seconds may fire a little early. */
const SILENCE_MS = 2_950
/** The backoff after a fault of ours. It does not double, because the database did not fail. */
const OWN_FAULT_BACKOFF_MS = 1_000

/** What a failed attempt counts against. `denied` counts against the database: it refused the password. */
export type Blame = 'server' | 'database' | 'denied' | 'ourselves'

/** What the server did before an attempt failed. */
export interface ServerSigns {
  /** The server has sent something. */
  readonly wasHeard: boolean
  /** The server has closed the connection. */
  readonly wasHungUp: boolean
  /** How long we waited for the server, without the time in which our event loop was busy. By default since the attempt began. */
  readonly waitedMs?: number
}

/**
 * Decides by codes. Without an SQLSTATE only a server that has sent nothing is blamed. A server that has sent something is alive,
 * and the fault may be this database's alone (a certificate that its entry does not trust, a pooler that lost its backend). A
 * short silence counts against the database too, so that a tenant with a short timeout cannot open the breaker of a slow server
 * for tenants that would wait longer.
 */
export function blameFor(error: unknown, signs: ServerSigns, waitedMs: number): Blame {
  for (const e of causesOf(error)) if (e instanceof PasswordUnavailableError) return 'ourselves'
  if (isHandlerFault(error)) return 'ourselves'
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
