import { sql } from 'drizzle-orm'
import { DATABASE_ERRORS, type DatabaseErrorCode } from './entry.ts'

/** The error columns of an entry without an error. */
export const noError = { lastErrorCode: null, lastErrorMessage: null, lastErrorAt: null }

/** The error columns for a code. `words` replaces the text of the code. */
export function errorColumns(code: DatabaseErrorCode, words?: string | null) {
  return {
    lastErrorCode: code,
    lastErrorMessage: words ?? DATABASE_ERRORS[code],
    lastErrorAt: sql`now()`,
  }
}

/** Drops the claim of a health check, so the result of a running one no longer counts. */
export const noClaim = { claimedBy: null, claimedUntil: null }
