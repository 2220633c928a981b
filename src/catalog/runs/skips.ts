import { sql } from 'drizzle-orm'

/** Why a run leaves a database out, by code, with the text that operators see. */
export const SKIPPED = {
  DATABASE_REMOVED: 'The database is no longer registered',
  DATABASE_NOT_SERVING: 'The database does not serve its tenant',
  TENANT_SUSPENDED: 'The tenant is suspended',
  CANCELLED: 'The migration was cancelled',
} as const

export type SkipCode = keyof typeof SKIPPED

/** The columns of a database that a run leaves out. */
export function skipped(code: SkipCode) {
  return {
    state: 'skipped' as const,
    errorCode: code,
    errorMessage: SKIPPED[code],
    finishedAt: sql`now()`,
  }
}
