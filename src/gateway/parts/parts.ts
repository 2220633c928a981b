import { Keyring } from '../../crypto/keyring.ts'
import { newId } from '../../lib/ids.ts'
import type { OwnDatabase } from '../../lib/postgres/database-identity.ts'
import { Metrics } from '../../metrics.ts'
import { MasterKeys } from '../../operations/master-keys.ts'
import type { GatewayOptions } from '../gateway-options.ts'
import { type CatalogParts, createCatalogParts } from './catalog-parts.ts'
import { type ChangeParts, createChangeParts } from './change-parts.ts'
import { createIdentityParts, type IdentityParts } from './identity-parts.ts'
import { createPoolParts, type PoolParts } from './pool-parts.ts'
import { createSessionParts, type SessionParts } from './session-parts.ts'

/** The parts of a gateway, by subject. */
export interface Parts {
  readonly replicaId: string
  readonly metrics: Metrics
  readonly keyring: Keyring
  readonly masterKeys: MasterKeys
  readonly catalog: CatalogParts
  readonly pools: PoolParts
  readonly changes: ChangeParts
  readonly sessions: SessionParts
  readonly identity: IdentityParts
  /** The catalog and the shared database, which no tenant may register as a dedicated one. The start fills the list. */
  readonly ownDatabases: OwnDatabase[]
}

/** Builds the parts, each after the parts that it needs. Opens no connection. */
export function createParts(options: GatewayOptions): Parts {
  const replicaId = newId()
  const metrics = new Metrics()
  const keyring = new Keyring(options.encryptionKey, options.settings.retiredKeys)
  const catalog = createCatalogParts(options, keyring)
  const { store, vault, registry, directory } = catalog
  const pools = createPoolParts(options, { registry, directory, metrics })
  const { budget } = pools
  const changes = createChangeParts(options, { store, replicaId, keyring, budget, metrics })
  const sessions = createSessionParts(options, { catalog, pools, changes, metrics })
  const identity = createIdentityParts(options, { catalog, sessions: sessions.sessions })
  const { follower } = changes
  const masterKeys = new MasterKeys({ store, vault, keyring, follower, metrics, log: options.log })
  const parts: Parts = {
    replicaId,
    metrics,
    keyring,
    masterKeys,
    catalog,
    pools,
    changes,
    sessions,
    identity,
    ownDatabases: [],
  }
  watchGauges(parts)
  return parts
}

function watchGauges({
  metrics,
  catalog: { directory },
  pools: { pools },
  sessions: { schemas, lanes },
}: Parts): void {
  metrics.watchSchemas(() => ({ ...schemas.counts }))
  if (lanes !== null) metrics.watchLanes(() => lanes.stats)
  metrics.watchPools(() => ({
    activePools: pools.size,
    openConnections: pools.budget.open,
    maxConnections: pools.budget.max,
    waiting: pools.waiting,
    cachedRoutes: directory.size,
    openBreakers: pools.broken,
  }))
}
