import { gt, type SQL, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'

/** A statement may see rows that were written up to this long after it started. */
const SLACK_MS = 60_000

/** The catalog's time in `ms` milliseconds. */
export function fromNow(ms: number): SQL<Date> {
  return sql<Date>`now() + ${ms} * interval '1 millisecond'`
}

/**
 * True for a moment more than `mostMs` in the future, with a margin for slow statements. It was written before the catalog's
 * clock was set back, so do not wait for it.
 */
export function isTooFarAhead(moment: PgColumn, mostMs: number): SQL<boolean> {
  return gt(moment, fromNow(mostMs + SLACK_MS)) as SQL<boolean>
}
