import type { Actor } from '../catalog/audit.ts'
import type { DatabaseEntry } from '../catalog/database-entry.ts'
import { findTenantDatabases } from '../catalog/database-state.ts'
import { DatabaseEntryChangedError, type DatabaseRegistry } from '../catalog/databases.ts'
import { leaveHome } from '../catalog/homes.ts'
import type { CatalogStore } from '../catalog/store.ts'
import { lockTenant, type Tenant } from '../catalog/tenants.ts'
import { fail, PublicError } from '../errors.ts'
import type { ServerAddress } from '../lib/pg.ts'
import type { AddressBook } from '../pools/addresses.ts'
import type { ConnectionBudget } from '../pools/budget.ts'
import { relocate } from './relocate.ts'
import { withHome } from './validate-database.ts'

export interface RemoveDatabaseDeps {
  readonly store: CatalogStore
  readonly registry: DatabaseRegistry
  readonly addresses: AddressBook
  readonly budget: ConnectionBudget
  readonly shared: ServerAddress
}

/**
 * Takes a tenant's database out of the catalog; a candidate goes with it. A tenant that lives there and owns nothing but its
 * people goes back to the shared database with them; one that owns more, or whose database cannot be asked, stays.
 * @throws PublicError TENANT_NOT_FOUND, NOT_FOUND, DATABASE_IN_USE; CONFLICT, MOVE_IN_PROGRESS if it is moved just then
 */
export async function removeDatabase(
  deps: RemoveDatabaseDeps,
  tenantId: string,
  actor: Actor,
): Promise<void> {
  const found = await findTenantDatabases(deps.store, tenantId)
  if (found === null) throw fail('TENANT_NOT_FOUND')
  const { tenant, current, candidate } = found
  if (current === null && candidate === null) throw fail('NOT_FOUND')
  if (tenant.placement === 'dedicated' && current !== null) {
    await moveBack(deps, { tenant, current, actor })
    return
  }
  await deps.store.transaction(async (tx) => {
    // Validated meanwhile, an entry is the tenant's home, and not one to take out.
    const now = await lockTenant(tx, tenantId)
    if (now?.epoch !== tenant.epoch || now.placement !== tenant.placement) throw fail('CONFLICT')
    const ids = [current, candidate].flatMap((entry) => (entry === null ? [] : [entry.id]))
    await deps.registry.remove(tx, ids, actor)
  })
}

async function moveBack(
  deps: RemoveDatabaseDeps,
  { tenant, current, actor }: { tenant: Tenant; current: DatabaseEntry; actor: Actor },
): Promise<void> {
  const { id: tenantId, epoch } = tenant
  const commit = async () => {
    const left = { tenantId, entryId: current.id, epoch, actor }
    const done = await deps.store.transaction((tx) => leaveHome(tx, left))
    if (!done) throw fail('CONFLICT')
  }
  let moved: boolean
  try {
    moved = await withHome(deps, current, (from) =>
      withHome(deps, null, (to) => relocate({ store: deps.store, tenant, from, to, commit })),
    )
  } catch (error) {
    if (error instanceof DatabaseEntryChangedError) throw fail('CONFLICT', { cause: error })
    // Whatever keeps us from seeing that nothing would be lost counts as: something would.
    throw error instanceof PublicError ? error : fail('DATABASE_IN_USE', { cause: error })
  }
  if (!moved) throw fail('DATABASE_IN_USE')
}
