import { and, gt, or, type SQLWrapper, sql } from 'drizzle-orm'
import { fromNow, isTooFarAhead } from '../moments.ts'
import type { Connections, ReplicaLimits } from './connection-shares.ts'
import { catalogChanges, replicas } from './schema.ts'

/**
 * True for a replica whose last change is in the log with the same id. Otherwise the replica follows a log that a failover or a
 * restore has replaced, or an older release has stored the number only. In both cases the number proves nothing.
 */
export const FOLLOWS_PRESENT_LOG = sql`(${replicas.appliedSeq} = 0 or exists (
  select from ${catalogChanges}
  where ${catalogChanges.seq} = ${replicas.appliedSeq} and ${catalogChanges.id} = ${replicas.appliedId}))`

/**
 * A number that no other advisory lock of the catalog has: 'fhlv' in ASCII. Each replica holds such a lock. The server releases
 * it as soon as the process ends, which is sooner than a missing heartbeat shows it.
 */
export const LIFE_LOCKS = 0x66686c76
const lockOf = (id: SQLWrapper) => sql`hashtext(${id}::text)`
export const beatWithin = (ms: number) => gt(replicas.heartbeatAt, fromNow(-ms))
const hasLock = sql`exists (
  select from pg_locks
  where locktype = 'advisory' and objsubid = 2 and classid = ${LIFE_LOCKS}::bigint::oid
    and objid = (${lockOf(replicas.id)}::bigint & 4294967295)::oid
    and database = (select oid from pg_database where datname = current_database()))`
/** A catalog that was down has no locks, and no replica could send it a heartbeat meanwhile. */
const wasJustStarted = sql`pg_postmaster_start_time() > now() - interval '3 seconds'`

export const IS_AHEAD = isTooFarAhead(replicas.heartbeatAt, 0)
export const LIVE_MS = 10_000
/** A replica with an older heartbeat need not confirm a change. */
export const IS_LIVE = beatWithin(LIVE_MS)
/**
 * True for a replica that may still hold connections of its share. False after three missed heartbeats, or after two if its lock is
 * gone too. After a crash, a new process waits until then for the share of the old one.
 */
export const isHolding = or(
  and(beatWithin(3_000), or(beatWithin(2_000), hasLock)),
  and(beatWithin(3_600_000), wasJustStarted),
)

/** Another replica. `max` and `maxPerServer` are the connections that it may still hold, as its row says. */
export interface OtherReplica extends Connections, ReplicaLimits {
  readonly id: string
  /** Its heartbeat is in the future, because the catalog's clock was set back. */
  readonly isAhead: boolean
}

export const otherColumns = {
  ...{ id: replicas.id, max: replicas.connectionShare, maxPerServer: replicas.serverShare },
  ...{ limit: replicas.connectionLimit, limitPerServer: replicas.serverLimit },
  isAhead: IS_AHEAD,
}
