import { gt, type SQL, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'

/** Statements begin before those whose rows they see, though not by so much. */
const SLACK_MS = 60_000

/** So many milliseconds from now, by the catalog's clock. */
export function fromNow(ms: number): SQL<Date> {
  return sql<Date>`now() + ${ms} * interval '1 millisecond'`
}

/**
 * True for a moment further ahead than `mostMs`, in milliseconds, and than any statement could have written: it was written
 * before the catalog's clock was set back, and nobody is to wait for it.
 */
export function isTooFarAhead(moment: PgColumn, mostMs: number): SQL<boolean> {
  return gt(moment, fromNow(mostMs + SLACK_MS)) as SQL<boolean>
}
