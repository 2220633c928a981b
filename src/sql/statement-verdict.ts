import { fail, PublicError } from '../errors.ts'
import { databaseError } from '../lib/postgres/pg.ts'
import {
  isDriverFault,
  isEntranceRefused,
  isLost,
  isReadOnly,
  isUnbegun,
} from '../pools/wire/statement-fault.ts'
import type { StatementKind } from './statement-kind.ts'

/** `stale`: the route is wrong. `fenced`: the tenant is being moved. `again`: another attempt may succeed. `final`: it may not. */
export type Verdict = 'stale' | 'fenced' | 'again' | 'final'
/** SQLSTATEs that prove that the server has undone the unit, or never begun it. */
const REPEATABLE = new Set(['26000', '42P05', '0A000', '25001', '40001', '40P01'])
/** Those that are about the connection alone: on another connection the unit may succeed. */
const OF_THE_CONNECTION = new Set(['26000', '42P05', '0A000', '25001'])
/** RAISE and ASSERT in a trigger of the database's owner. */
const RAISED = /^P0/
const RULE_OF_ITS_OWN = 'A rule of the database refuses this change.'
/** A table, column or function is missing: a migration that is not applied yet may create it. */
const NOT_THERE = new Set(['42P01', '42703', '42883'])
/** Data exceptions: a caller's values can cause them. */
const ABOUT_VALUES = /^22/
/** Broken constraints: only a write can cause them. */
const ABOUT_CONSTRAINTS = /^23/
const READ_ONLY = "The tenant's database is read-only at the moment: it serves reads, and takes no changes."

/** What has failed. */
export interface Attempted {
  readonly kind: StatementKind
  /** Attempts so far, with this one. */
  readonly attempts: number
  readonly ownSql: boolean
}

/** What a session does next, after an attempt has failed. */
export function verdictOn(error: unknown, { kind, attempts, ownSql }: Attempted): Verdict {
  const code = databaseError(error)?.code
  const isRefused = isEntranceRefused(error)
  if (isRefused && (code === 'FH001' || code === 'FH002')) return 'stale'
  if (isRefused && code === 'FH003') return 'fenced'
  if (error instanceof PublicError) return 'final'
  if (isUnbegun(error)) return 'again'
  const isRead = kind === 'read'
  // It was refused, so nothing was done. The connection may be from the time when the database was read-only (`TenantPool`).
  if (!isRead && isReadOnly(error)) return attempts === 1 ? 'again' : 'final'
  if (code !== undefined && REPEATABLE.has(code)) {
    // SQL of an application can raise any code, also after it has committed something.
    const isUndone = OF_THE_CONNECTION.has(code) && (isRefused || !ownSql)
    return isRead || isUndone ? 'again' : 'final'
  }
  // A read whose connection was lost is worth a second try; a write may have happened.
  return isRead && (code === undefined || isLost(error)) ? 'again' : 'final'
}

/**
 * What a caller is told of an error. Errors about values and constraints pass unchanged, because a handler may translate them.
 * Everything else is told as trouble of the database: it may have been replaced by another one, or changed by its owner.
 */
export function publicError(error: unknown, kind: StatementKind, isBehind: () => boolean): unknown {
  if (error instanceof PublicError) return error
  // A single write commits with its own Sync. A transaction reports the outcome of its COMMIT itself.
  if (kind === 'write' && isLost(error)) return fail('OUTCOME_UNKNOWN', { cause: error })
  if (isDriverFault(error)) return fail('TENANT_DATABASE_UNAVAILABLE', { cause: error })
  const code = databaseError(error)?.code
  if (code === undefined) return error
  if (kind !== 'read' && isReadOnly(error))
    return fail('TENANT_DATABASE_UNAVAILABLE', { detail: READ_ONLY, cause: error })
  if (kind !== 'read' && RAISED.test(code)) return fail('CONFLICT', { detail: RULE_OF_ITS_OWN, cause: error })
  if (code === '53300') return fail('NO_CONNECTION_AVAILABLE', { cause: error })
  if (NOT_THERE.has(code) && isBehind()) return fail('TENANT_SCHEMA_OUT_OF_DATE', { cause: error })
  const isInterpreted = ABOUT_VALUES.test(code) || (kind !== 'read' && ABOUT_CONSTRAINTS.test(code))
  return isInterpreted ? error : fail('TENANT_DATABASE_UNAVAILABLE', { cause: error })
}
