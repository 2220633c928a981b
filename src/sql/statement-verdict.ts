import { fail, PublicError } from '../errors.ts'
import { databaseError } from '../lib/postgres/pg.ts'
import { isHandlerFault } from '../lib/wire/handler-fault.ts'
import {
  isDriverFault,
  isLost,
  isReadOnly,
  isTenantCheckRefused,
  isUnbegun,
} from '../pools/wire/statement-fault.ts'
import type { StatementKind } from './statement-kind.ts'

/** `stale`: the route is wrong. `fenced`: the tenant is being moved. `again`: try again. `final`: report the error. */
export type Verdict = 'stale' | 'fenced' | 'again' | 'final'
/** SQLSTATEs that prove that the server rolled the unit back or never began it. */
const REPEATABLE = new Set(['26000', '42P05', '0A000', '25001', '40001', '40P01'])
/** The `REPEATABLE` SQLSTATEs whose cause is the connection: on another connection the unit may succeed. */
const OF_THE_CONNECTION = new Set(['26000', '42P05', '0A000', '25001'])
/** SQLSTATEs of RAISE and ASSERT in a trigger of the database's owner. */
const RAISED = /^P0/
const OWN_RULE = 'A rule of the database refuses this change.'
/** A table, column or function is missing. A migration that is not applied yet may create it. */
const MISSING_OBJECT = new Set(['42P01', '42703', '42883'])
/** Data exceptions: a caller's values can cause them. */
const ABOUT_VALUES = /^22/
/** Broken constraints: only a write can cause them. */
const ABOUT_CONSTRAINTS = /^23/
const READ_ONLY = "The tenant's database is read-only now: it allows reads but no changes."

/** The failed attempt. */
export interface Attempted {
  readonly kind: StatementKind
  /** Attempts so far, with this one. */
  readonly attempts: number
  readonly ownSql: boolean
}

/** What a session does next, after an attempt has failed. */
export function verdictOn(error: unknown, { kind, attempts, ownSql }: Attempted): Verdict {
  const code = databaseError(error)?.code
  const isRefused = isTenantCheckRefused(error)
  if (isRefused && (code === 'FH001' || code === 'FH002')) return 'stale'
  if (isRefused && code === 'FH003') return 'fenced'
  if (error instanceof PublicError) return 'final'
  if (isUnbegun(error)) return 'again'
  if (isHandlerFault(error)) return 'final'
  const isRead = kind === 'read'
  // The write was refused, so nothing was done. The connection may have been opened while the database was read-only; see
  // `TenantPool`.
  if (!isRead && isReadOnly(error)) return attempts === 1 ? 'again' : 'final'
  if (code !== undefined && REPEATABLE.has(code)) {
    // SQL of an application can raise any SQLSTATE, also after it has committed something.
    const isUndone = OF_THE_CONNECTION.has(code) && (isRefused || !ownSql)
    return isRead || isUndone ? 'again' : 'final'
  }
  // After a lost connection a read may be repeated; a write may have happened.
  return isRead && (code === undefined || isLost(error)) ? 'again' : 'final'
}

/**
 * The error that a caller gets. Errors about values and constraints pass unchanged, because a handler may translate them. All
 * other SQLSTATEs become TENANT_DATABASE_UNAVAILABLE: the database may have been replaced, or changed by its owner.
 */
export function publicError(error: unknown, kind: StatementKind, isBehind: () => boolean): unknown {
  if (error instanceof PublicError) return error
  // A single write commits with its own Sync. A transaction reports the outcome of its COMMIT itself.
  if (kind === 'write' && isLost(error)) return fail('OUTCOME_UNKNOWN', { cause: error })
  if (isHandlerFault(error)) return error
  if (isDriverFault(error)) return fail('TENANT_DATABASE_UNAVAILABLE', { cause: error })
  const code = databaseError(error)?.code
  if (code === undefined) return error
  if (kind !== 'read' && isReadOnly(error)) return readOnlyRefusal(error)
  if (kind !== 'read' && RAISED.test(code)) return fail('CONFLICT', { detail: OWN_RULE, cause: error })
  if (code === '53300') return fail('NO_CONNECTION_AVAILABLE', { cause: error })
  if (MISSING_OBJECT.has(code) && isBehind()) return fail('TENANT_SCHEMA_OUT_OF_DATE', { cause: error })
  const isInterpreted = ABOUT_VALUES.test(code) || (kind !== 'read' && ABOUT_CONSTRAINTS.test(code))
  return isInterpreted ? error : fail('TENANT_DATABASE_UNAVAILABLE', { cause: error })
}

/** What a write gets while the database is read-only. */
export function readOnlyRefusal(cause?: unknown): PublicError {
  return fail('TENANT_DATABASE_UNAVAILABLE', { detail: READ_ONLY, cause })
}
