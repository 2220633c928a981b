import type { DatabaseRegistry } from '../../catalog/databases/registry.ts'
import type { RouteDirectory } from '../../catalog/directory.ts'
import { EgressPolicy } from '../../lib/postgres/egress.ts'
import { guardedLookup } from '../../lib/postgres/guarded-lookup.ts'
import type { Metrics } from '../../metrics.ts'
import { AddressBook } from '../../pools/addresses.ts'
import { faultAlarm, mismatchAlarm, violationAlarm } from '../../pools/alarms.ts'
import type { ConnectionBudget } from '../../pools/budget.ts'
import { KnownDatabase } from '../../pools/known-database.ts'
import { PoolManager } from '../../pools/pool-manager.ts'
import { RouteInvalidator } from '../../pools/route-invalidator.ts'
import type { GatewayOptions } from '../gateway-options.ts'

/** The pools of tenant databases, and the policy for their addresses. */
export interface PoolParts {
  readonly policy: EgressPolicy
  readonly addresses: AddressBook
  readonly shared: KnownDatabase
  readonly pools: PoolManager
  readonly budget: ConnectionBudget
  readonly routeInvalidator: RouteInvalidator
}

export interface PoolNeeds {
  readonly registry: DatabaseRegistry
  readonly directory: RouteDirectory
  readonly metrics: Metrics
}

const LOOKUP_TIMEOUT_MS = 3_000
/** Shorter than the time that an operator's request waits for confirmations. */
const DRAIN_TIMEOUT_MS = 2_000

export function createPoolParts(
  options: GatewayOptions,
  { registry, directory, metrics }: PoolNeeds,
): PoolParts {
  const { databases, settings, log } = options
  const policy = new EgressPolicy(options.hostRules)
  const addresses = new AddressBook({
    registry,
    lookupFor: (port) => guardedLookup(policy, port, LOOKUP_TIMEOUT_MS),
    applicationName: 'freehold',
  })
  const shared = new KnownDatabase(databases.shared, databases.sharedOwner)
  const pools = new PoolManager({
    maxPools: settings.maxPools,
    maxConnections: settings.maxConnections,
    maxConnectionsPerServer: settings.maxConnectionsPerServer,
    acquireTimeoutMs: settings.acquireTimeoutMs,
    statementTimeoutMs: settings.statementTimeoutMs,
    shared: shared.address,
    ...(shared.owner !== null && { sharedOwner: shared.owner }),
    sharedPoolSize: settings.maxConnectionsPerServer,
    addressOf: (database, tenantId) =>
      addresses.validatedAddressOf({ ...database, tenantId, rowVersion: database.version }),
    onMismatch: mismatchAlarm(metrics, log),
    onViolation: violationAlarm(registry, log),
    onFault: faultAlarm(log),
    log,
  })
  const routeInvalidator = new RouteInvalidator({ directory, pools, drainTimeoutMs: DRAIN_TIMEOUT_MS })
  return { policy, addresses, shared, pools, budget: pools.budget, routeInvalidator }
}
