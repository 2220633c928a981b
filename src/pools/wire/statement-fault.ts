import { causesOf } from '../../lib/causes.ts'
import { isRefusal } from '../../lib/postgres/outcome.ts'
import { databaseError } from '../../lib/postgres/pg.ts'

/** `cached plan must not change result type`: the table was changed after the statement was prepared. */
const CACHED_PLAN = '0A000'
/** The transaction is at another level, or in another database, than what goes before a statement behind a pooler proves. */
const NOT_PROVEN = '25001'
/** SQLSTATEs of a connection that leads elsewhere, or holds other statements than we believe. */
const OUT_OF_STEP = new Set(['26000', '42P05', CACHED_PLAN, NOT_PROVEN])

const READ_ONLY = '25006'

/** What the driver threw while a statement was under way, as apart from a mistake in the caller's code. */
export class StatementFault extends Error {
  /** False where nothing went out of the statement, nor of what came before it in its transaction: it has not happened. */
  readonly hasBegun: boolean

  constructor(hasBegun: boolean, cause: unknown) {
    super('the statement failed', { cause })
    this.hasBegun = hasBegun
  }
}

/**
 * The database refused to let the statement in: of the statement itself nothing has run. SQL of an application can raise any
 * SQLSTATE, and none of those says so much.
 */
export class EntranceRefused extends Error {
  constructor(cause: unknown) {
    super('the entrance was refused', { cause })
  }
}

export function isEntranceRefused(error: unknown): boolean {
  for (const e of causesOf(error)) {
    if (e instanceof EntranceRefused) return true
  }
  return false
}

/** True if the database answered in order, so that the connection may serve the next request. */
export function isOrderly(error: unknown): boolean {
  if (faultIn(error) !== null) return false
  return isRefusal(error) && !OUT_OF_STEP.has(databaseError(error)?.code ?? '')
}

/** True if other connections of the pool are likely to say the same, and new ones are not: they are from before a change. */
export function isOutdated(error: unknown): boolean {
  return isReadOnly(error) || databaseError(error)?.code === CACHED_PLAN
}

/** True if the database let nothing be written: a standby, or one whose default is a read-only transaction. */
export function isReadOnly(error: unknown): boolean {
  return databaseError(error)?.code === READ_ONLY
}

/** True if the error is one of the driver's, or of the connection. */
export function isDriverFault(error: unknown): boolean {
  return faultIn(error) !== null
}

/** True if certainly nothing has reached the server. */
export function isUnbegun(error: unknown): boolean {
  return faultIn(error)?.hasBegun === false
}

/** True if a statement went out and no answer says what became of it. */
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
