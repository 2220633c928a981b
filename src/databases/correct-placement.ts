import type pg from 'pg'
import { systemActor } from '../catalog/audit/entries.ts'
import { placeInShared, raiseEpoch } from '../catalog/databases/placements.ts'
import type { DatabaseRegistry } from '../catalog/databases/registry.ts'
import { DatabaseEntryChangedError } from '../catalog/databases/registry.ts'
import type { CatalogStore } from '../catalog/store.ts'
import type { Tenant } from '../catalog/tenants.ts'
import { withRelocationLock } from './relocate.ts'
import { readStamp, stamp } from './residence.ts'
import { type TenantConnectionDeps, withTenantDatabase } from './tenant-connection.ts'

/**
 * Corrects a catalog that says that the tenant lives in a database of its own, while the shared one has its stamp at a newer
 * epoch with the door open: it has come back since. The entry of its own database goes; a candidate takes its place.
 * @returns false, with nothing changed, if the shared database does not say so (any more)
 */
export function returnToShared(
  deps: TenantConnectionDeps & { readonly store: CatalogStore; readonly registry: DatabaseRegistry },
  tenant: Tenant,
): Promise<boolean> {
  const { id: tenantId, epoch } = tenant
  const { sealOf } = deps
  let isDone = false
  const work = (shared: pg.ClientBase) =>
    withRelocationLock(deps.store, shared, tenantId, async (now) => {
      if (now.epoch !== epoch || now.placement !== 'dedicated') throw new DatabaseEntryChangedError()
      const entry = await deps.registry.current(tenantId)
      if (entry === null) throw new DatabaseEntryChangedError()
      const left = {
        tenantId,
        entryId: entry.id,
        epoch,
        actor: systemActor('validation'),
        keepsCandidate: true,
      }
      isDone = await restamp({ shared, sealOf }, now, (newEpoch) =>
        deps.store.transaction((tx) => placeInShared(tx, { ...left, newEpoch })),
      )
    })
  return withTenantDatabase(deps, null, work).then(() => isDone)
}

/**
 * Corrects a catalog that has fallen behind the shared database, in which it says that the tenant lives: raises its epoch
 * above that of the stamp there. The door must be open: a tenant that left has left it shut.
 * @returns false, with nothing changed, where it has not fallen behind
 */
export async function raiseEpochToStamp(
  { store, sealOf }: Pick<TenantConnectionDeps, 'sealOf'> & { readonly store: CatalogStore },
  shared: pg.ClientBase,
  tenantId: string,
): Promise<boolean> {
  let isDone = false
  await withRelocationLock(store, shared, tenantId, async (now) => {
    if (now.placement !== 'shared') return
    const { epoch } = now
    const actor = systemActor('validation')
    isDone = await restamp({ shared, sealOf }, now, (newEpoch) =>
      store.transaction((tx) => raiseEpoch(tx, { tenantId, epoch, newEpoch, actor })),
    )
  })
  return isDone
}

/** Has the shared database and, by `commit`, the catalog agree on an epoch above both of theirs. */
async function restamp(
  { shared, sealOf }: Pick<TenantConnectionDeps, 'sealOf'> & { readonly shared: pg.ClientBase },
  { id: tenantId, epoch }: Tenant,
  commit: (newEpoch: number) => Promise<boolean>,
): Promise<boolean> {
  const found = await readStamp(shared, tenantId)
  if (found === null || found.state !== 'open' || found.epoch <= epoch) return false
  const newEpoch = found.epoch + 1
  // Nothing can be done by it before the catalog has it too.
  const home = { tenantId, epoch: newEpoch }
  await stamp(shared, { ...home, seal: sealOf({ ...home, placement: 'shared' }) })
  if (!(await commit(newEpoch))) throw new DatabaseEntryChangedError()
  return true
}
