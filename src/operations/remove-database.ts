import type { Actor } from '../catalog/audit/entries.ts'
import { type DatabaseEntry, DatabaseEntryChangedError } from '../catalog/databases/entry.ts'
import { placeInShared } from '../catalog/databases/placements.ts'
import type { DatabaseRegistry } from '../catalog/databases/registry.ts'
import { findTenantDatabases } from '../catalog/databases/state.ts'
import type { SealOf } from '../catalog/seals.ts'
import type { CatalogStore } from '../catalog/store.ts'
import { lockTenant, type Tenant } from '../catalog/tenants.ts'
import { relocate } from '../databases/relocate.ts'
import { withTenantDatabase } from '../databases/tenant-connection.ts'
import { fail, invalidField, PublicError } from '../errors.ts'
import type { ServerAddress } from '../lib/postgres/pg.ts'
import type { AddressBook } from '../pools/addresses.ts'
import type { ConnectionBudget } from '../pools/budget.ts'
import { discardLostDatabase, isDatabaseLost } from './discard-lost-database.ts'

export interface RemoveDatabaseDeps {
  readonly store: CatalogStore
  readonly registry: DatabaseRegistry
  readonly addresses: AddressBook
  readonly budget: ConnectionBudget
  readonly shared: ServerAddress
  readonly sealOf: SealOf
}

/** `force` discards a lost database with all that it holds. Then `confirm` must be the tenant's code. */
export interface Removal {
  readonly force: boolean
  readonly confirm?: string
}

/**
 * Removes a tenant's database from the catalog, with its candidate. A tenant that lives there and owns only its people is
 * moved to the shared database with them. The removal is refused if the tenant owns more or, without `force`, if the database
 * cannot be asked.
 * @throws PublicError TENANT_NOT_FOUND, NOT_FOUND, DATABASE_IN_USE; VALIDATION_FAILED for a wrong confirmation; CONFLICT,
 *   MOVE_IN_PROGRESS if the tenant is being moved; TENANT_DATABASE_UNAVAILABLE if the shared database does not answer a forced removal
 */
export async function removeDatabase(
  deps: RemoveDatabaseDeps,
  { tenantId, removal, actor }: { tenantId: string; removal: Removal; actor: Actor },
): Promise<void> {
  const found = await findTenantDatabases(deps.store, tenantId)
  if (found === null) throw fail('TENANT_NOT_FOUND')
  const { tenant, current, candidate } = found
  assertConfirmed(removal, tenant)
  if (current === null && candidate === null) throw fail('NOT_FOUND')
  if (tenant.placement === 'dedicated' && current !== null) {
    const isLost = removal.force && (await isDatabaseLost(deps, { tenant, current }))
    if (isLost) await discardLostDatabase(deps, { tenant, current, actor })
    else await moveBack(deps, { tenant, current, actor })
    return
  }
  await deps.store.transaction(async (tx) => {
    // An entry that was validated meanwhile is the tenant database now, and must not be removed here.
    const now = await lockTenant(tx, tenantId)
    if (now?.epoch !== tenant.epoch || now.placement !== tenant.placement) throw fail('CONFLICT')
    const ids = [current, candidate].flatMap((entry) => (entry === null ? [] : [entry.id]))
    await deps.registry.remove(tx, ids, actor)
  })
}

/** @throws PublicError VALIDATION_FAILED */
function assertConfirmed({ force, confirm }: Removal, { code }: Tenant): void {
  if (!force || confirm === code) return
  throw invalidField('/confirm', "must be the tenant's code, with force")
}

async function moveBack(
  deps: RemoveDatabaseDeps,
  { tenant, current, actor }: { tenant: Tenant; current: DatabaseEntry; actor: Actor },
): Promise<void> {
  const { id: tenantId, epoch } = tenant
  const commit = async () => {
    const change = { tenantId, entryId: current.id, epoch, newEpoch: epoch + 1, actor }
    const isPlaced = await deps.store.transaction((tx) => placeInShared(tx, change))
    if (!isPlaced) throw fail('CONFLICT')
  }
  const seal = deps.sealOf({ tenantId, epoch: epoch + 1, placement: 'shared' })
  let isMoved: boolean
  try {
    isMoved = await withTenantDatabase(deps, current, (from) =>
      withTenantDatabase(deps, null, (to) => relocate({ store: deps.store, tenant, from, to, seal, commit })),
    )
  } catch (error) {
    if (error instanceof DatabaseEntryChangedError) throw fail('CONFLICT', { cause: error })
    // Rows could be lost, so the database counts as in use.
    throw error instanceof PublicError ? error : fail('DATABASE_IN_USE', { cause: error })
  }
  if (!isMoved) throw fail('DATABASE_IN_USE')
}
