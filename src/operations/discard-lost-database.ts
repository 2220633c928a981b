import type pg from 'pg'
import type { Actor } from '../catalog/audit/entries.ts'
import { type DatabaseEntry, identityOf } from '../catalog/databases/entry.ts'
import { placeInShared } from '../catalog/databases/placements.ts'
import type { CatalogStore } from '../catalog/store.ts'
import type { Tenant } from '../catalog/tenants.ts'
import { classify } from '../databases/failures.ts'
import { UNREACHABLE_CODES } from '../databases/inspect-database.ts'
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
const NOT_ASKED = 'The database answers, but cannot be asked whether it holds rows of the tenant.'

interface LostDatabase {
  readonly tenant: Tenant
  readonly current: DatabaseEntry
  readonly actor: Actor
}

/**
 * Gives up a database that is gone for good, and with it what it holds: the tenant lives in the shared database from then on,
 * as a new tenant does. The epoch rises, so that the database is refused should it come back.
 * @throws PublicError CONFLICT, MOVE_IN_PROGRESS, CATALOG_UNAVAILABLE; TENANT_DATABASE_UNAVAILABLE where the shared
 *   database does not answer
 */
export async function discardLostDatabase(deps: DiscardDeps, lost: LostDatabase): Promise<void> {
  const { id: tenantId } = lost.tenant
  try {
    await withTenantDatabase(deps, null, (shared) =>
      withRelocationLock(deps.store, shared, tenantId, (now) => restartInShared(deps, shared, { lost, now })),
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
  const left = await readStamp(shared, tenantId)
  const newEpoch = Math.max(epoch, left?.epoch ?? 0) + 1
  await inTenant(shared, tenantId, async () => {
    // Written fenced: nothing can be done by it before the catalog has it.
    const seal = sealOf({ tenantId, epoch: newEpoch, placement: 'shared' })
    await stamp(shared, { tenantId, epoch: newEpoch, seal, state: 'fenced' })
    // A stamp that is newer than the catalog's is that of a tenant that had come back before the catalog was restored.
    if (left === null || left.epoch <= epoch) await beginAnew(shared, tenantId)
  })
  const home = { tenantId, entryId: current.id, epoch, newEpoch, actor, isLost: true }
  if (!(await store.transaction((tx) => placeInShared(tx, home)))) throw fail('CONFLICT')
  // Where this fails, the first statement that waits in vain has the door opened.
  await unfence(shared, tenantId, newEpoch).catch(() => undefined)
}

/** No people, and the role with which the first administrator is made. */
async function beginAnew(client: pg.ClientBase, tenantId: string): Promise<void> {
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
 * Looks under the name of the tenant's database. True if the home is gone: nothing can be reached there, or what is there is
 * another database, without rows of the tenant. False if the home is there, and empty but for people.
 * @throws PublicError DATABASE_IN_USE where there are rows, or something is there that cannot be asked
 */
export async function isDatabaseLost(
  deps: TenantConnectionDeps,
  { tenant, current }: Pick<LostDatabase, 'tenant' | 'current'>,
): Promise<boolean> {
  let isReached = false
  try {
    return await withUnverifiedDatabase(deps, current, async (client) => {
      isReached = true
      if (await ownsRows(client, tenant.id)) throw fail('DATABASE_IN_USE', { detail: HOLDS_ROWS })
      const identity = identityOf(current)
      const isHome = identity !== null && isExpected(await readIdentity(client), identity)
      return !isHome || (await readStamp(client, tenant.id))?.epoch !== tenant.epoch
    })
  } catch (cause) {
    if (cause instanceof PublicError) throw cause
    if (cause instanceof NoAdmissionError) throw fail('NO_CONNECTION_AVAILABLE', { cause })
    const isThere = isReached || !UNREACHABLE_CODES.has(classify(cause))
    if (isThere) throw fail('DATABASE_IN_USE', { detail: NOT_ASKED, cause })
    return true
  }
}
