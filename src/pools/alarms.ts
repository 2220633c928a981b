import { LRUCache } from 'lru-cache'
import type { DatabaseRegistry } from '../catalog/databases/registry.ts'
import type { Logger } from '../logger.ts'
import type { Metrics } from '../metrics.ts'
import type { Mismatch, Violation } from './pool-manager.ts'

/** Between two notes of one database whose server breaks the protocol. */
const VIOLATION_PAUSE_MS = 5_000

/** Counts databases that are not the ones that were validated, and says so in the log once, not at each attempt. */
export function mismatchAlarm(metrics: Metrics, log: Logger): (mismatch: Mismatch) => void {
  return ({ tenantId, databaseId, isNews }) => {
    metrics.countIdentityMismatch()
    const code = 'IDENTITY_MISMATCH'
    if (isNews)
      log.error({ tenantId, databaseId, code }, 'another database is in the place of the validated one')
  }
}

/** Writes down which servers break the protocol: now and then for each, however many connections are lost by it. */
export function violationAlarm(registry: DatabaseRegistry, log: Logger): (violation: Violation) => void {
  const toldOf = new LRUCache<string, true>({ max: 1_000, ttl: VIOLATION_PAUSE_MS })
  return ({ tenantId, databaseId, error }) => {
    const key = databaseId ?? ''
    if (toldOf.has(key)) return
    toldOf.set(key, true)
    const code = 'PROTOCOL_VIOLATION'
    log.error({ tenantId, databaseId, code, err: error }, 'a database server broke the protocol')
    if (databaseId === null) return
    registry
      .noteError(databaseId, code)
      .catch((err: unknown) => log.warn({ tenantId, databaseId, err }, 'health not recorded'))
  }
}
