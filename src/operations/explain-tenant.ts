import type { DatabaseEntry } from '../catalog/databases/entry.ts'
import { summarize } from '../catalog/databases/entry-view.ts'
import { findTenantDatabases } from '../catalog/databases/state.ts'
import { isServed, type Route, type RouteDirectory } from '../catalog/directory.ts'
import type { CatalogStore } from '../catalog/store.ts'
import type { Vault } from '../catalog/vault.ts'
import type { Schemas } from '../databases/schemas.ts'
import { fail } from '../errors.ts'
import type { PoolManager } from '../pools/pool-manager.ts'
import { readOnlyRefusal } from '../sql/statement-verdict.ts'
import { reasonsFor } from './explain-reasons.ts'
import type { Explanation, Found } from './explanation.ts'

export interface ExplainDeps {
  readonly store: CatalogStore
  readonly vault: Pick<Vault, 'masterKeyIdOf'>
  readonly directory: Pick<RouteDirectory, 'peekById' | 'byId'>
  readonly pools: Pick<PoolManager, 'refusalOf' | 'inspect'>
  readonly schemas: Pick<Schemas, 'stateOf'>
  /** How the shared database answered lately. */
  readonly sharedStatus: () => Promise<'ok' | 'read-only' | 'down'>
}

/**
 * Explains a tenant by the same route, pool, breaker and rules that serve its requests. Opens no connection to the tenant's own
 * database.
 * @throws PublicError TENANT_NOT_FOUND, CATALOG_UNAVAILABLE
 */
export async function explainTenant(deps: ExplainDeps, tenantId: string): Promise<Explanation> {
  const { store, directory, pools, schemas } = deps
  const databases = await findTenantDatabases(store, tenantId)
  const route = directory.peekById(tenantId) ?? (await directory.byId(tenantId))
  if (databases === null || route === null) throw fail('TENANT_NOT_FOUND')
  const { current, candidate } = databases
  const { placement, epoch, code, status } = route
  const schema = await schemas.stateOf(route)
  const encryptionKeyId = current === null ? null : await deps.vault.masterKeyIdOf(tenantId)
  const access = await accessOf(deps, route, current)
  // Nothing is awaited from here on, so that all parts are of one moment.
  const view = pools.inspect(route)
  const found = { route, view, current, candidate, schema, access }
  const would = outcomesOf(deps, found)
  const { open, idle, waiting, lanes, breaker, server } = view
  return {
    ...{ tenantId, code, status, placement, server, epoch, breaker, schema, would },
    database: current && summarize(current, { placement, encryptionKeyId }),
    pool: { open, idle, waiting, lanes },
    because: reasonsFor(found, would),
  }
}

/** A health check writes what it found of a dedicated database into its entry. */
async function accessOf(
  { sharedStatus }: ExplainDeps,
  { placement }: Route,
  current: DatabaseEntry | null,
): Promise<Found['access']> {
  if (placement === 'shared') return sharedStatus()
  return current?.lastErrorCode === 'READ_ONLY' ? 'read-only' : 'ok'
}

function outcomesOf({ pools }: ExplainDeps, { route, access }: Found): Explanation['would'] {
  if (!isServed(route)) return { read: 'TENANT_NOT_FOUND', write: 'TENANT_NOT_FOUND' }
  const refusal = pools.refusalOf(route) ?? (access === 'down' ? 'TENANT_DATABASE_UNAVAILABLE' : null)
  if (refusal !== null) return { read: refusal, write: refusal }
  return { read: 'ok', write: access === 'read-only' ? readOnlyRefusal().code : 'ok' }
}
