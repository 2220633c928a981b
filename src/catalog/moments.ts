import { gt, type SQL, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'

/** A statement may see rows that were written after it started, but not by so much. */
const SLACK_MS = 60_000

/** A moment that many milliseconds from now, by the catalog's clock. */
export function fromNow(ms: number): SQL<Date> {
  return sql<Date>`now() + ${ms} * interval '1 millisecond'`
}

/**
 * True for a moment more than `mostMs` ahead, with a margin for slow statements. It was written before the catalog's clock was
 * set back, and must not be waited for.
 */
export function isTooFarAhead(moment: PgColumn, mostMs: number): SQL<boolean> {
  return gt(moment, fromNow(mostMs + SLACK_MS)) as SQL<boolean>
}
