import { DrizzleQueryError, sql } from 'drizzle-orm'
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import type pg from 'pg'
import { fail, isOutcomeUnknown, PublicError } from '../errors.ts'
import { systemClock } from '../lib/clock.ts'
import { commit, UnsentError } from '../lib/postgres/outcome.ts'
import { databaseError, errorCode, type Ping, READS_ONLY } from '../lib/postgres/pg.ts'
import { isHandlerFault } from '../lib/wire/handler-fault.ts'

export type CatalogDb = NodePgDatabase

/** What runs inside a transaction. It has no `transaction` of its own: a change commits as a whole or not at all. */
export type CatalogTx = Omit<CatalogDb, 'transaction' | '$client'>

const READ_ONLY = '25006'
const PING_TIMEOUT_MS = 1000

/** The catalog. The caller provides the pool and closes it. */
export class CatalogStore {
  readonly db: CatalogDb
  readonly #pool: pg.Pool

  constructor(pool: pg.Pool) {
    this.#pool = pool
    this.db = drizzle(pool)
  }

  /**
   * Runs `fn` in one READ COMMITTED transaction: commits when it resolves, rolls back when it throws.
   *
   * @throws PublicError CATALOG_UNAVAILABLE if the catalog cannot be reached, and nothing was changed; OUTCOME_UNKNOWN if the
   *   connection was lost during COMMIT; any error that `fn` throws
   */
  async transaction<T>(fn: (tx: CatalogTx) => Promise<T>): Promise<T> {
    const client = await this.#connect()
    const tx = drizzle(client)
    let usable = true
    try {
      await catalogErrors(tx.execute(sql`begin`))
      const result = await catalogErrors(fn(tx))
      await catalogErrors(commit(client))
      return result
    } catch (error) {
      // A client that cannot roll back holds an open transaction, so the pool must not lend it again.
      usable = !isOutcomeUnknown(error) && (await succeeds(tx.execute(sql`rollback`)))
      // The server decides at connection time whether a connection may write, so a new one may be able to.
      if (databaseError(error)?.code === READ_ONLY) usable = false
      throw error
    } finally {
      client.release(!usable)
    }
  }

  /** One round trip within `timeoutMs`. */
  async ping(timeoutMs = PING_TIMEOUT_MS): Promise<Ping> {
    const begun = systemClock.monotonic()
    const question = sql.raw(`select ${READS_ONLY} as "isReadOnly"`)
    const answer = catalogErrors(this.db.execute<{ isReadOnly: boolean }>(question))
    const { rows } = await within(answer, timeoutMs)
    return { latencyMs: systemClock.monotonic() - begun, isReadOnly: rows[0]?.isReadOnly === true }
  }

  async #connect(): Promise<pg.PoolClient> {
    try {
      return await this.#pool.connect()
    } catch (cause) {
      throw fail('CATALOG_UNAVAILABLE', { cause })
    }
  }
}

/** Gives the result of `work`, but turns faults of the connection or the server into CATALOG_UNAVAILABLE. */
export async function catalogErrors<T>(work: PromiseLike<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw isOutage(error) ? fail('CATALOG_UNAVAILABLE', { cause: error }) : error
  }
}

/** True if an error from `catalogErrors` says that the catalog is unavailable. */
export function isCatalogOutage(error: unknown): boolean {
  return error instanceof PublicError && error.code === 'CATALOG_UNAVAILABLE'
}

// Connection lost, login refused, no such database, out of resources, shut down or cancelled, system error.
const OUTAGE_CLASSES = new Set(['08', '28', '3D', '53', '57', '58'])
// Read-only, as after a failover; transaction idle for too long; serialization failure and deadlock, which
// the statement did not cause.
const OUTAGES = new Set([READ_ONLY, '25P03', '40001', '40P01'])
const ERRNO = /^E[A-Z]+$/

function isOutage(error: unknown): boolean {
  if (error instanceof PublicError) return false
  if (isHandlerFault(error)) return false
  if (error instanceof UnsentError) return true
  const sqlState = databaseError(error)?.code
  if (sqlState !== undefined) return OUTAGE_CLASSES.has(sqlState.slice(0, 2)) || OUTAGES.has(sqlState)
  // Errors of the driver itself (terminated, timed out, not queryable) have no code. They are outages too, except if the
  // driver refused our arguments.
  if (error instanceof DrizzleQueryError)
    return !(error.cause instanceof TypeError || error.cause instanceof RangeError)
  const code = errorCode(error) ?? ''
  return code === 'PROTOCOL_VIOLATION' || ERRNO.test(code)
}

async function succeeds(work: Promise<unknown>): Promise<boolean> {
  return work.then(
    () => true,
    () => false,
  )
}

async function within<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  const { promise: expired, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(fail('CATALOG_UNAVAILABLE')), timeoutMs)
  try {
    return await Promise.race([work, expired])
  } finally {
    clearTimeout(timer)
    // The losing promise may still reject; catch it so that Node does not report an unhandled rejection.
    void succeeds(work)
  }
}
