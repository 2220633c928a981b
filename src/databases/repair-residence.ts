import type pg from 'pg'
import type { DatabaseRegistry } from '../catalog/databases/registry.ts'
import type { CatalogStore } from '../catalog/store.ts'
import { findTenant } from '../catalog/tenants.ts'
import { raiseEpochToStamp } from './correct-placement.ts'
import { withRelocationLock } from './relocate.ts'
import { putSeal, unfence } from './residence.ts'
import { type TenantConnectionDeps, withTenantDatabase } from './tenant-connection.ts'

export type RepairDeps = TenantConnectionDeps & {
  readonly store: CatalogStore
  readonly registry: DatabaseRegistry
  readonly log: { warn(fields: object, message: string): void }
}

/**
 * Repairs a residence that blocks all statements of the tenant. The cause is the fence of an uncommitted move (perhaps of a killed
 * gateway), a missing or wrong seal, or a newer epoch in the shared database than in the catalog. Waits for a running move. Never
 * rejects: the next statement that times out calls it again.
 */
export async function repairResidence(deps: RepairDeps, tenantId: string): Promise<void> {
  try {
    const tenant = await findTenant(deps.store, tenantId)
    if (tenant === null) return
    const current = tenant.placement === 'dedicated' ? await deps.registry.current(tenantId) : null
    if (current !== null && current.status !== 'active') return
    await withTenantDatabase(deps, current, async (client) => {
      const isRaised = current === null && (await raiseEpochToStamp(deps, client, tenantId))
      if (isRaised) deps.log.warn({ tenantId }, 'epoch raised to that of the shared database')
      else await sealAndUnfence(deps, client, tenantId)
    })
  } catch (err) {
    deps.log.warn({ tenantId, err }, 'fence and seal of the tenant not checked')
  }
}

/** A stamp without a seal blocks all statements. It may come from a backup that has no seals yet. */
function sealAndUnfence(deps: RepairDeps, client: pg.ClientBase, tenantId: string): Promise<void> {
  return withRelocationLock({ store: deps.store, client, tenantId }, async ({ epoch, placement }) => {
    const seal = deps.sealOf({ tenantId, epoch, placement })
    if (await putSeal(client, { tenantId, epoch, seal }))
      deps.log.warn({ tenantId }, 'residence had no seal or a wrong one; sealed now')
    await unfence(client, tenantId, epoch)
  })
}
