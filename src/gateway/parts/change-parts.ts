import { ClockSkew } from '../../catalog/changes/clock-skew.ts'
import type { Connections, ShareWait } from '../../catalog/changes/connection-shares.ts'
import { ChangeFollower } from '../../catalog/changes/follower.ts'
import type { Freshness } from '../../catalog/changes/freshness.ts'
import { ReplicaList } from '../../catalog/changes/replicas.ts'
import type { CatalogStore } from '../../catalog/store.ts'
import type { Keyring } from '../../crypto/keyring.ts'
import { applySettings } from '../../lib/postgres/database-identity.ts'
import type { GuardedClient } from '../../lib/postgres/guarded-client.ts'
import { connectClient, type ServerAddress } from '../../lib/postgres/pg.ts'
import type { Metrics } from '../../metrics.ts'
import type { ConnectionBudget } from '../../pools/budget.ts'
import type { GatewayOptions } from '../gateway-options.ts'
import { CATALOG_LIMITS } from './catalog-parts.ts'

/** The parts that follow the catalog's changes and share the connections with other replicas. */
export interface ChangeParts {
  readonly follower: ChangeFollower
  readonly freshness: Freshness
  readonly replicas: ReplicaList
}

export interface ChangeNeeds {
  readonly store: CatalogStore
  readonly replicaId: string
  readonly keyring: Keyring
  readonly budget: ConnectionBudget
  readonly metrics: Metrics
}

export function createChangeParts(
  options: GatewayOptions,
  { store, replicaId, keyring, budget, metrics }: ChangeNeeds,
): ChangeParts {
  const { databases, log } = options
  const skew = new ClockSkew({ log })
  metrics.watchClockSkew(() => skew.seconds)
  const share = shareOf(options, budget)
  const replicas = new ReplicaList({ store, replicaId, primaryKeyId: keyring.primaryKeyId, share, skew })
  const listenTarget = () => openListener(databases.catalog, replicas)
  const follower = new ChangeFollower({ store, replicas, listenTarget, log })
  return { follower, freshness: follower.freshness, replicas }
}

/** This process's share of the connections. The replicas agree on it through the catalog. Until then it is zero. */
function shareOf({ settings, log }: GatewayOptions, budget: ConnectionBudget) {
  const total = { max: settings.maxConnections, maxPerServer: settings.maxConnectionsPerServer }
  let agreed: Connections = total
  // Other replicas may use all of the total, so this process holds nothing before it joins the list.
  budget.resize({ max: 0, maxPerServer: 0 })
  return {
    total,
    isWithin: () => budget.isKept,
    grant: ({ max, maxPerServer }: Connections) => {
      budget.resize({ max, maxPerServer })
      log.info({ connections: max, maxPerServer, total: agreed.max }, 'share of the connections changed')
    },
    onTotal: (smallest: Connections, differ: boolean) => {
      agreed = smallest
      const fields = {
        total: smallest.max,
        totalPerServer: smallest.maxPerServer,
        own: total.max,
        ownPerServer: total.maxPerServer,
      }
      if (differ) log.warn(fields, 'replicas differ in their connection limits: the smallest counts')
      else log.info(fields, 'replicas agree on their connection limits')
    },
    onWait: (reason: ShareWait) =>
      log.warn({ reason, total: agreed.max }, 'waiting for a share of the connections'),
  }
}

/** Opens the connection that receives the catalog's notifications. It also holds the lock that shows that this replica is alive. */
async function openListener(catalog: ServerAddress, replicas: ReplicaList): Promise<GuardedClient> {
  const client = await connectClient(catalog, CATALOG_LIMITS)
  try {
    await applySettings(client)
    await replicas.showLife(client)
    return client
  } catch (error) {
    void client.end(() => undefined)
    throw error
  }
}
