import { LRUCache } from 'lru-cache'
import type { DatabaseRegistry } from '../catalog/databases/registry.ts'
import type { Logger } from '../logger.ts'
import type { Metrics } from '../metrics.ts'

/** A connection was closed, because its server broke the protocol or because our own code threw. */
export interface ClosedConnection {
  /** Both null for the shared database. */
  readonly tenantId: string | null
  readonly databaseId: string | null
  readonly error: unknown
}

/** A new connection led to another database than the validated one, and was closed unused. */
export interface Mismatch {
  /** Both null for the shared database. */
  readonly tenantId: string | null
  readonly databaseId: string | null
  /** False if the pool's connection before this one led to another database too. */
  readonly isNews: boolean
}

/** The least time between two log lines about the same database. */
const VIOLATION_PAUSE_MS = 5_000

/** Counts every connection that leads to another database than the validated one. Logs only the first in a row. */
export function mismatchAlarm(metrics: Metrics, log: Logger): (mismatch: Mismatch) => void {
  return ({ tenantId, databaseId, isNews }) => {
    metrics.countIdentityMismatch()
    const code = 'IDENTITY_MISMATCH'
    if (isNews) log.error({ tenantId, databaseId, code }, 'database is not the validated one')
  }
}

/** Logs a server that breaks the protocol and records it in the catalog, at most once per `VIOLATION_PAUSE_MS` for a database. */
export function violationAlarm(
  registry: DatabaseRegistry,
  log: Logger,
): (violation: ClosedConnection) => void {
  const reported = new LRUCache<string, true>({ max: 1_000, ttl: VIOLATION_PAUSE_MS })
  return ({ tenantId, databaseId, error }) => {
    const key = databaseId ?? ''
    if (reported.has(key)) return
    reported.set(key, true)
    const code = 'PROTOCOL_VIOLATION'
    log.error({ tenantId, databaseId, code, err: error }, 'a database server broke the protocol')
    if (databaseId === null) return
    registry
      .noteError(databaseId, code)
      .catch((err: unknown) => log.warn({ tenantId, databaseId, err }, 'health result not recorded'))
  }
}

/** Logs our own fault, which ended a connection. Nothing is recorded about the database. */
export function faultAlarm(log: Logger): (fault: ClosedConnection) => void {
  return ({ tenantId, databaseId, error }) => {
    log.error(
      { tenantId, databaseId, code: 'INTERNAL_ERROR', err: error },
      'a fault of ours closed a connection',
    )
  }
}
