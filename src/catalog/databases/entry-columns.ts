import { sql } from 'drizzle-orm'
import { DATABASE_ERRORS, type DatabaseErrorCode } from './entry.ts'

/** The error columns of an entry with which nothing is wrong. */
export const noError = { lastErrorCode: null, lastErrorMessage: null, lastErrorAt: null }

/** The error columns for a code. `words` replaces the text of the code. */
export function errorColumns(code: DatabaseErrorCode, words?: string | null) {
  return {
    lastErrorCode: code,
    lastErrorMessage: words ?? DATABASE_ERRORS[code],
    lastErrorAt: sql`now()`,
  }
}

/** Drops the claim of a health check: the result of a running one does not count any more. */
export const noClaim = { claimedBy: null, claimedUntil: null }
