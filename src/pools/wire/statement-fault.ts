import { causesOf } from '../../lib/causes.ts'
import { isRefusal } from '../../lib/postgres/outcome.ts'
import { databaseError } from '../../lib/postgres/pg.ts'

/** `cached plan must not change result type`: the table was changed after the statement was prepared. */
const CACHED_PLAN = '0A000'
/** Behind a pooler: the transaction's isolation level or its database is not the one that its preamble demands. */
const NOT_PROVEN = '25001'
/** SQLSTATEs that prove that the connection leads to another database, or holds other prepared statements than we recorded. */
const OUT_OF_STEP = new Set(['26000', '42P05', CACHED_PLAN, NOT_PROVEN])

const READ_ONLY = '25006'

/** The driver or the connection failed while a statement ran. The caller's code made no mistake. */
export class StatementFault extends Error {
  /** False if nothing of the statement and its transaction was sent. Then nothing was done. */
  readonly hasBegun: boolean

  constructor(hasBegun: boolean, cause: unknown) {
    super('the statement failed', { cause })
    this.hasBegun = hasBegun
  }
}

/**
 * The database refused the tenant check, so nothing of the statement itself has run. The SQLSTATE alone does not prove that: SQL
 * of an application can raise any SQLSTATE after the tenant check.
 */
export class TenantCheckRefused extends Error {
  constructor(cause: unknown) {
    super('the tenant check was refused', { cause })
  }
}

export function isTenantCheckRefused(error: unknown): boolean {
  for (const e of causesOf(error)) {
    if (e instanceof TenantCheckRefused) return true
  }
  return false
}

/** True if the database sent a complete answer, so that the connection may serve the next request. */
export function isOrderly(error: unknown): boolean {
  if (faultIn(error) !== null) return false
  return isRefusal(error) && !OUT_OF_STEP.has(databaseError(error)?.code ?? '')
}

/** True if the connection is outdated. Other connections of the pool are probably outdated too, and new ones are not. */
export function isOutdated(error: unknown): boolean {
  return isReadOnly(error) || databaseError(error)?.code === CACHED_PLAN
}

/** True if the database refuses writes: a standby, or a database whose default is a read-only transaction. */
export function isReadOnly(error: unknown): boolean {
  return databaseError(error)?.code === READ_ONLY
}

/** True if the error is one of the driver's, or of the connection. */
export function isDriverFault(error: unknown): boolean {
  return faultIn(error) !== null
}

/** True if nothing was sent to the server. */
export function isUnbegun(error: unknown): boolean {
  return faultIn(error)?.hasBegun === false
}

/** True if a statement was sent and no answer shows its outcome. */
export function isLost(error: unknown): boolean {
  const fault = faultIn(error)
  return fault === null ? databaseError(error) !== null && !isRefusal(error) : fault.hasBegun
}

function faultIn(error: unknown): StatementFault | null {
  for (const e of causesOf(error)) {
    if (e instanceof StatementFault) return e
  }
  return null
}
