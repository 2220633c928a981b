import { and, eq, inArray, lt, notInArray, or, sql } from 'drizzle-orm'
import type { DatabaseErrorCode } from '../databases/entry.ts'
import { errorColumns, noError } from '../databases/entry-columns.ts'
import { fromNow, isTooFarAhead } from '../moments.ts'
import { type CatalogStore, catalogErrors } from '../store.ts'
import { type ServerRow, servers } from './schema.ts'

export interface DueServers {
  /** Servers are due whose last check began longer ago than this. */
  readonly minAgeMs: number
  /** Ids of servers that this round has checked. */
  readonly without: readonly string[]
  readonly limit: number
}

/** Claims servers that are due for a check. A claimed server is due again after `minAgeMs`, even if the check never ends. */
export async function claimServerChecks(
  { db }: CatalogStore,
  { minAgeMs, without, limit }: DueServers,
): Promise<ServerRow[]> {
  const { id, lastCheckedAt } = servers
  const old = or(
    sql`${lastCheckedAt} is null`,
    lt(lastCheckedAt, fromNow(-minAgeMs)),
    isTooFarAhead(lastCheckedAt, 0),
  )
  const due = and(old, without.length === 0 ? undefined : notInArray(id, [...without]))
  // A CTE that locks runs once. A subselect could run again, and claim more servers than were asked for.
  const oldest = db
    .$with('due')
    .as(
      db
        .select({ id })
        .from(servers)
        .where(due)
        .orderBy(sql`${lastCheckedAt} nulls first`)
        .limit(limit)
        .for('update', { skipLocked: true }),
    )
  const claimed = db
    .with(oldest)
    .update(servers)
    // In milliseconds, which is what a Date can hold. So the moment identifies the check.
    .set({ lastCheckedAt: sql`date_trunc('milliseconds', now())` })
    .where(inArray(id, db.select({ id: oldest.id }).from(oldest)))
  return catalogErrors(claimed.returning())
}

/** What is wrong with a server. `words` replaces the text of the code. */
export interface ServerFault {
  readonly code: DatabaseErrorCode
  readonly words: string | null
}

/**
 * Records what a check has found; null if the server can be used. Does nothing if the server was changed, or claimed again, after
 * the check began.
 */
export async function recordServerCheck(
  { db }: CatalogStore,
  { id, rowVersion, lastCheckedAt }: ServerRow,
  fault: ServerFault | null,
): Promise<void> {
  if (lastCheckedAt === null) throw new Error('the server was not claimed')
  const sameCheck = and(eq(servers.rowVersion, rowVersion), eq(servers.lastCheckedAt, lastCheckedAt))
  const set = fault === null ? noError : errorColumns(fault.code, fault.words)
  await catalogErrors(
    db
      .update(servers)
      .set(set)
      .where(and(eq(servers.id, id), sameCheck)),
  )
}
