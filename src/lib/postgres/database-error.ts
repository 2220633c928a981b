import type pg from 'pg'
import { causesOf } from '../causes.ts'
import { HandlerFault } from '../wire/handler-fault.ts'

const SQLSTATE = /^[0-9A-Z]{5}$/

/** The SQLSTATE or errno-like code of an error or of what caused it, or null. Decisions are made on it, never on messages. */
export function errorCode(error: unknown): string | null {
  for (const e of causesOf(error)) {
    const { code } = e as { code?: unknown }
    if (typeof code === 'string') return code
  }
  return null
}

/**
 * The database's own error behind `error`, if a database sent it (and not a socket or a library). What our own code threw while it
 * handled an answer is never the answer, whatever it carries.
 */
export function databaseError(error: unknown): pg.DatabaseError | null {
  for (const e of causesOf(error)) {
    if (e instanceof HandlerFault) return null
    const candidate = e as pg.DatabaseError
    if (typeof candidate.code === 'string' && SQLSTATE.test(candidate.code) && 'severity' in candidate)
      return candidate
  }
  return null
}
