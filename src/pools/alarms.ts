import { LRUCache } from 'lru-cache'
import type { DatabaseRegistry } from '../catalog/databases/registry.ts'
import type { Logger } from '../logger.ts'
import type { Metrics } from '../metrics.ts'
import type { Mismatch, Violation } from './pool-manager.ts'

/** Between two log lines about a database whose server breaks the protocol. */
const VIOLATION_PAUSE_MS = 5_000

/** Counts connections that lead to another database than the validated one. The log has one line, not one for each attempt. */
export function mismatchAlarm(metrics: Metrics, log: Logger): (mismatch: Mismatch) => void {
  return ({ tenantId, databaseId, isNews }) => {
    metrics.countIdentityMismatch()
    const code = 'IDENTITY_MISMATCH'
    if (isNews) log.error({ tenantId, databaseId, code }, 'database is not the validated one')
  }
}

/** Logs and notes in the catalog which servers break the protocol: from time to time for each, not for each connection. */
export function violationAlarm(registry: DatabaseRegistry, log: Logger): (violation: Violation) => void {
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
      .catch((err: unknown) => log.warn({ tenantId, databaseId, err }, 'health not recorded'))
  }
}
