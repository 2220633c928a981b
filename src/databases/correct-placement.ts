import type pg from 'pg'
import { systemActor } from '../catalog/audit/entries.ts'
import { DatabaseEntryChangedError } from '../catalog/databases/entry.ts'
import { placeInShared, raiseEpoch } from '../catalog/databases/placements.ts'
import type { DatabaseRegistry } from '../catalog/databases/registry.ts'
import type { CatalogStore } from '../catalog/store.ts'
import type { Tenant } from '../catalog/tenants.ts'
import { withRelocationLock } from './relocate.ts'
import { readStamp, stamp } from './residence.ts'
import { type TenantConnectionDeps, withTenantDatabase } from './tenant-connection.ts'

/**
 * Corrects a catalog that says `dedicated` while the shared database has an open stamp of the tenant with a newer epoch. The tenant has
 * returned there, and the catalog was restored from an older backup. Removes the current entry; a candidate becomes the current one.
 * @returns false, with nothing changed, if the shared database has no such stamp
 */
export async function returnToShared(
  deps: TenantConnectionDeps & { readonly store: CatalogStore; readonly registry: DatabaseRegistry },
  tenant: Tenant,
): Promise<boolean> {
  const { id: tenantId, epoch } = tenant
  let isReturned = false
  await withTenantDatabase(deps, null, (shared) =>
    withRelocationLock({ store: deps.store, client: shared, tenantId }, async (now) => {
      if (now.epoch !== epoch || now.placement !== 'dedicated') throw new DatabaseEntryChangedError()
      const entry = await deps.registry.current(tenantId)
      if (entry === null) throw new DatabaseEntryChangedError()
      const actor = systemActor('validation')
      const placement = { tenantId, entryId: entry.id, epoch, actor, keepsCandidate: true }
      isReturned = await raiseSharedStamp({ shared, sealOf: deps.sealOf }, now, (newEpoch) =>
        deps.store.transaction((tx) => placeInShared(tx, { ...placement, newEpoch })),
      )
    }),
  )
  return isReturned
}

/**
 * Corrects a catalog that says `shared` with an older epoch than the open stamp in the shared database. Raises the catalog's epoch above
 * that of the stamp. A fenced stamp does not count, because the tenant may have moved away.
 * @returns false, with nothing changed, if the stamp is not newer
 */
export async function raiseEpochToStamp(
  { store, sealOf }: Pick<TenantConnectionDeps, 'sealOf'> & { readonly store: CatalogStore },
  shared: pg.ClientBase,
  tenantId: string,
): Promise<boolean> {
  let isRaised = false
  await withRelocationLock({ store, client: shared, tenantId }, async (now) => {
    if (now.placement !== 'shared') return
    const { epoch } = now
    const actor = systemActor('validation')
    isRaised = await raiseSharedStamp({ shared, sealOf }, now, (newEpoch) =>
      store.transaction((tx) => raiseEpoch(tx, { tenantId, epoch, newEpoch, actor })),
    )
  })
  return isRaised
}

/** Writes an epoch higher than those of the stamp and the catalog: first to the stamp, then with `commit` to the catalog. */
async function raiseSharedStamp(
  { shared, sealOf }: Pick<TenantConnectionDeps, 'sealOf'> & { readonly shared: pg.ClientBase },
  { id: tenantId, epoch }: Tenant,
  commit: (newEpoch: number) => Promise<boolean>,
): Promise<boolean> {
  const found = await readStamp(shared, tenantId)
  if (found === null || found.state !== 'open' || found.epoch <= epoch) return false
  const newEpoch = found.epoch + 1
  // The stamp may be written first, because no gateway knows its seal before the catalog has the new epoch.
  const residence = { tenantId, epoch: newEpoch }
  await stamp(shared, { ...residence, seal: sealOf({ ...residence, placement: 'shared' }) })
  if (!(await commit(newEpoch))) throw new DatabaseEntryChangedError()
  return true
}
