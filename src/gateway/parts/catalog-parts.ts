import type pg from 'pg'
import { AuditTrail } from '../../catalog/audit/trail.ts'
import { DatabaseRegistry } from '../../catalog/databases/registry.ts'
import { RouteDirectory } from '../../catalog/directory.ts'
import { loadRoute } from '../../catalog/route-loader.ts'
import { type SealOf, sealsOf } from '../../catalog/seals.ts'
import { CatalogStore } from '../../catalog/store.ts'
import { Vault } from '../../catalog/vault.ts'
import type { Keyring } from '../../crypto/keyring.ts'
import { createLifecycle } from '../../health/states.ts'
import { applySettings } from '../../lib/postgres/database-identity.ts'
import { createPool } from '../../lib/postgres/pg.ts'
import { Release } from '../../migrations/release.ts'
import type { GatewayOptions } from '../gateway-options.ts'

/** The catalog and the parts that read from it. */
export interface CatalogParts {
  readonly pool: pg.Pool
  readonly store: CatalogStore
  readonly vault: Vault
  readonly sealOf: SealOf
  /** The migrations of this release. */
  readonly release: Release
  readonly registry: DatabaseRegistry
  readonly directory: RouteDirectory
  readonly auditTrail: AuditTrail
}

export const CATALOG_LIMITS = {
  connectTimeoutMs: 3_000,
  statementTimeoutMs: 5_000,
  // Every change locks the change log and the audit log. A process that freezes with these locks must lose them before the
  // processes that wait for them give up.
  idleInTransactionMs: 4_000,
}
const CATALOG_POOL_SIZE = 10
const CATALOG_IDLE_TIMEOUT_MS = 30_000
const NEGATIVE_ROUTE_TTL_MS = 5_000

export function createCatalogParts(
  { settings, databases, log }: GatewayOptions,
  keyring: Keyring,
): CatalogParts {
  const limits = { ...CATALOG_LIMITS, max: CATALOG_POOL_SIZE, idleTimeoutMs: CATALOG_IDLE_TIMEOUT_MS }
  const pool = createPool(databases.catalog, limits, { verify: applySettings })
  const store = new CatalogStore(pool)
  const vault = new Vault(store, keyring, { max: settings.routeCacheMax })
  const sealOf = sealsOf(vault)
  const release = new Release()
  const lifecycle = createLifecycle({ failuresToInactive: settings.healthFailuresToInactive })
  const registry = new DatabaseRegistry({ store, vault, lifecycle, release })
  const directory = new RouteDirectory({
    load: loadRoute(store, sealOf),
    max: settings.routeCacheMax,
    ttlMs: settings.routeCacheTtlMs,
    negativeTtlMs: NEGATIVE_ROUTE_TTL_MS,
    maxStalenessMs: settings.catalogMaxStalenessMs,
  })
  const auditTrail = new AuditTrail({ store, vault, log })
  return { pool, store, vault, sealOf, release, registry, directory, auditTrail }
}
