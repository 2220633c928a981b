import type pg from 'pg'
import type { Actor } from '../catalog/audit/entries.ts'
import { type DatabaseEntry, identityOf } from '../catalog/databases/entry.ts'
import { placeInShared } from '../catalog/databases/placements.ts'
import type { CatalogStore } from '../catalog/store.ts'
import type { Tenant } from '../catalog/tenants.ts'
import { classify, UNREACHABLE_CODES } from '../databases/failures.ts'
import { withRelocationLock } from '../databases/relocate.ts'
import { deletePeople, inTenant, ownsRows, readStamp, stamp, unfence } from '../databases/residence.ts'
import {
  type TenantConnectionDeps,
  withTenantDatabase,
  withUnverifiedDatabase,
} from '../databases/tenant-connection.ts'
import { fail, PublicError } from '../errors.ts'
import { ADMIN_ROLE } from '../identity/people/admins.ts'
import { newId } from '../lib/ids.ts'
import { isExpected, readIdentity } from '../lib/postgres/database-identity.ts'
import { NoAdmissionError } from '../pools/admin-connection.ts'

export type DiscardDeps = TenantConnectionDeps & { readonly store: CatalogStore }

const HOLDS_ROWS = 'The database answers, and holds rows of the tenant.'
const NOT_READABLE = 'The database answers, but cannot be asked whether it holds rows of the tenant.'

interface LostDatabase {
  readonly tenant: Tenant
  readonly current: DatabaseEntry
  readonly actor: Actor
}

/**
 * Discards a database that is lost, with all that it holds. The tenant starts again in the shared database, like a new tenant.
 * Its epoch rises, so that the lost database is refused if it comes back.
 * @throws PublicError CONFLICT, MOVE_IN_PROGRESS, CATALOG_UNAVAILABLE; TENANT_DATABASE_UNAVAILABLE if the shared database does
 *   not answer
 */
export async function discardLostDatabase(deps: DiscardDeps, lost: LostDatabase): Promise<void> {
  const { store } = deps
  const { id: tenantId } = lost.tenant
  try {
    await withTenantDatabase(deps, null, (shared) =>
      withRelocationLock({ store, client: shared, tenantId }, (now) =>
        restartInShared(deps, shared, { lost, now }),
      ),
    )
  } catch (cause) {
    throw cause instanceof PublicError ? cause : fail('TENANT_DATABASE_UNAVAILABLE', { cause })
  }
}

async function restartInShared(
  { store, sealOf }: DiscardDeps,
  shared: pg.ClientBase,
  { lost: { tenant, current, actor }, now }: { lost: LostDatabase; now: Tenant },
): Promise<void> {
  const { id: tenantId, epoch, placement } = tenant
  if (now.epoch !== epoch || now.placement !== placement) throw fail('CONFLICT')
  const former = await readStamp(shared, tenantId)
  const newEpoch = Math.max(epoch, former?.epoch ?? 0) + 1
  await inTenant(shared, tenantId, async () => {
    // Fenced, so that no statement runs before the catalog has committed.
    const seal = sealOf({ tenantId, epoch: newEpoch, placement: 'shared' })
    await stamp(shared, { tenantId, epoch: newEpoch, seal, state: 'fenced' })
    // A stamp with a newer epoch than the catalog's proves that the tenant had returned here before the catalog was restored.
    // Then its people are kept.
    if (former === null || former.epoch <= epoch) await resetPeople(shared, tenantId)
  })
  const change = { tenantId, entryId: current.id, epoch, newEpoch, actor, isLost: true }
  if (!(await store.transaction((tx) => placeInShared(tx, change)))) throw fail('CONFLICT')
  // If this fails, the fence is removed after the first statement that times out at it.
  await unfence(shared, tenantId, newEpoch).catch(() => undefined)
}

/** Deletes all people and roles, and creates the role that the first administrator needs. */
async function resetPeople(client: pg.ClientBase, tenantId: string): Promise<void> {
  await deletePeople(client, tenantId)
  const roleId = newId()
  await client.query('INSERT INTO public.roles (tenant_id, id, name, description) VALUES ($1, $2, $3, $4)', [
    ...[tenantId, roleId, ADMIN_ROLE, 'May do everything'],
  ])
  await client.query(
    'INSERT INTO public.role_permissions (tenant_id, role_id, permission) VALUES ($1, $2, $3)',
    [tenantId, roleId, '*'],
  )
}

/**
 * Connects to the address of the tenant's database. True if the database is lost: the address is unreachable, or another
 * database is there, without rows of the tenant. False if the tenant's database is there, and holds only people.
 * @throws PublicError DATABASE_IN_USE if there are rows, or if something answers that cannot be asked
 */
export async function isDatabaseLost(
  deps: TenantConnectionDeps,
  { tenant, current }: Pick<LostDatabase, 'tenant' | 'current'>,
): Promise<boolean> {
  let isConnected = false
  try {
    return await withUnverifiedDatabase(deps, current, async (client) => {
      isConnected = true
      if (await ownsRows(client, tenant.id)) throw fail('DATABASE_IN_USE', { detail: HOLDS_ROWS })
      const identity = identityOf(current)
      const isTenants = identity !== null && isExpected(await readIdentity(client), identity)
      return !isTenants || (await readStamp(client, tenant.id))?.epoch !== tenant.epoch
    })
  } catch (cause) {
    if (cause instanceof PublicError) throw cause
    if (cause instanceof NoAdmissionError) throw fail('NO_CONNECTION_AVAILABLE', { cause })
    const isThere = isConnected || !UNREACHABLE_CODES.has(classify(cause))
    if (isThere) throw fail('DATABASE_IN_USE', { detail: NOT_READABLE, cause })
    return true
  }
}
