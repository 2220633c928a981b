import { setTimeout as delay } from 'node:timers/promises'
import { readSchemaVersion } from '../../databases/checks.ts'
import { repairResidence } from '../../databases/repair-residence.ts'
import { Schemas } from '../../databases/schemas.ts'
import { withTenantDatabase } from '../../databases/tenant-connection.ts'
import { SingleFlight } from '../../lib/single-flight.ts'
import type { Metrics } from '../../metrics.ts'
import { Lanes } from '../../sql/lanes/lanes.ts'
import { TenantSessions } from '../../sql/tenant-session.ts'
import type { GatewayOptions } from '../gateway-options.ts'
import type { CatalogParts } from './catalog-parts.ts'
import type { ChangeParts } from './change-parts.ts'
import type { PoolParts } from './pool-parts.ts'

/** The sessions of tenants, and the schema versions of their databases. */
export interface SessionParts {
  readonly schemas: Schemas
  readonly sessions: TenantSessions
  /** Null if `LANES` is 0. */
  readonly lanes: Lanes | null
}

export interface SessionNeeds {
  readonly catalog: CatalogParts
  readonly pools: PoolParts
  readonly changes: ChangeParts
  readonly metrics: Metrics
}

/** Within this time, requests that the same residence blocks share one repair, because a repair costs a connection. */
const REPAIR_PAUSE_MS = 1_000

export function createSessionParts(options: GatewayOptions, needs: SessionNeeds): SessionParts {
  const { store, registry, directory, release, sealOf } = needs.catalog
  const { pools, addresses, shared, budget, routeInvalidator } = needs.pools
  const residence = {
    store,
    registry,
    addresses,
    budget,
    shared: shared.ownerAddress,
    sealOf,
    log: options.log,
  }
  const readShared = () =>
    withTenantDatabase(residence, null, (client) => readSchemaVersion(client, release.migrations))
  const schemas = new Schemas({ store, release, readShared })
  const { metrics } = needs
  const lanes =
    options.settings.lanes === 'auto' ? new Lanes(pools, (why) => metrics.countLaneRerun(why)) : null
  const repairs = new SingleFlight<void>()
  const sessions = new TenantSessions({
    directory,
    freshness: needs.changes.freshness,
    forget: (tenantId) => void routeInvalidator.forget(tenantId),
    pools,
    ...(lanes !== null && { lanes }),
    fenceTimeoutMs: options.settings.acquireTimeoutMs,
    ...(options.settings.traceSql && { trace: (unit) => options.log.info(unit, 'sql unit') }),
    isBehind: ({ placement, database }) => schemas.isBehind(placement, database?.schemaVersion ?? null),
    onStuck: (tenantId) =>
      void repairs.run(tenantId, async () => {
        await repairResidence(residence, tenantId)
        await delay(REPAIR_PAUSE_MS, undefined, { ref: false })
      }),
  })
  return { schemas, sessions, lanes }
}
