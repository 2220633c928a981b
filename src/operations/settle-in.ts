import type pg from 'pg'
import { systemActor } from '../catalog/audit.ts'
import type { DatabaseEntry } from '../catalog/database-entry.ts'
import { DatabaseEntryChangedError, type DatabaseRegistry } from '../catalog/databases.ts'
import { makeHome } from '../catalog/homes.ts'
import type { CatalogStore } from '../catalog/store.ts'
import { findTenant, type Tenant } from '../catalog/tenants.ts'
import type { CheckedDatabase } from '../health/checks.ts'
import { CheckFailure } from '../health/failures.ts'
import { IdentityMismatchError } from '../lib/database-identity.ts'
import { askCurrentHome } from './ask-home.ts'
import { type HomeConnectionDeps, withHome } from './home-connection.ts'
import { openDoor, relocate, whileAtRest } from './relocate.ts'
import { clearOldHome, stamp, unfence } from './residence.ts'

export type SettlingDeps = HomeConnectionDeps & {
  readonly store: CatalogStore
  readonly registry: DatabaseRegistry
}

/** What a valid database is to its tenant. */
export type Residence = 'became-home' | 'move-required' | 'copy'

export interface Candidate {
  readonly entry: DatabaseEntry
  readonly checked: CheckedDatabase
  readonly client: pg.ClientBase
}

/**
 * Makes a database that passed all checks the tenant's home, where nothing speaks against it.
 * @throws CheckFailure, DatabaseEntryChangedError, PublicError MOVE_IN_PROGRESS; what the connections throw
 */
export async function settleIn(deps: SettlingDeps, candidate: Candidate): Promise<Residence> {
  const { entry, checked } = candidate
  const tenant = await findTenant(deps.store, entry.tenantId)
  if (tenant === null) throw new DatabaseEntryChangedError()
  const livesThere = tenant.placement === 'dedicated' && checked.residence?.epoch === tenant.epoch
  if (livesThere) return stayIn(deps, candidate, tenant)
  // A current entry of a tenant that lives in it, without the tenant's stamp: some other database under the same name.
  if (tenant.placement === 'dedicated' && entry.slot === 'current')
    throw new CheckFailure('BELONGS_TO_ANOTHER_TENANT')
  return (await moveInto(deps, candidate, tenant)) ? 'became-home' : 'move-required'
}

/** The database has the stamp of the tenant's home: it is the home, or a copy of it. */
async function stayIn(deps: SettlingDeps, candidate: Candidate, tenant: Tenant): Promise<Residence> {
  const { entry, checked, client } = candidate
  const current = entry.slot === 'candidate' ? await deps.registry.current(tenant.id) : null
  if (current !== null && !isSamePlace(current, candidate)) {
    const answer = await askCurrentHome(deps, { client, current, tenant })
    // While the original serves, going over to the copy would lose what was written since it was made.
    if (answer === 'serves') return 'copy'
    if (answer === 'gone') return takeOver(deps, candidate, tenant)
  }
  if (checked.residence?.state === 'fenced') await openDoor(deps.store, client, tenant.id)
  if (entry.slot === 'candidate' || entry.status === 'pending_validation' || entry.status === 'failed') {
    await commitHome(deps, { entry, checked }, { epoch: tenant.epoch, newEpoch: tenant.epoch })
  }
  await clearShared(deps, tenant.id)
  return 'became-home'
}

/**
 * Makes a copy the home in the place of one that cannot be reached. The epoch rises: should the old one come back, its stamp
 * is not the catalog's any more, and nothing is read or written there.
 *
 * The new stamp is written fenced: nothing can be done by it before the catalog has it, whatever becomes of this process.
 */
async function takeOver(
  deps: SettlingDeps,
  { entry, checked, client }: Candidate,
  tenant: Tenant,
): Promise<Residence> {
  const { id: tenantId, epoch } = tenant
  const newEpoch = epoch + 1
  await whileAtRest(deps.store, client, tenantId, async (now) => {
    if (now.epoch !== epoch) throw new DatabaseEntryChangedError()
    await stamp(client, tenantId, newEpoch, 'fenced')
    await commitHome(deps, { entry, checked, isOther: true }, { epoch, newEpoch })
    await unfence(client, tenantId, newEpoch)
  })
  await clearShared(deps, tenantId)
  return 'became-home'
}

/** Whatever a tenant has in the shared database while it lives in its own is left over from a move to or fro. */
function clearShared(deps: SettlingDeps, tenantId: string): Promise<void> {
  return withHome(deps, null, (shared) =>
    whileAtRest(deps.store, shared, tenantId, async ({ placement, epoch }) => {
      if (placement === 'dedicated') await clearOldHome(shared, tenantId, epoch + 1)
    }),
  )
}

/** The same name and behind it the same database. Under another name a clone may have the identity of its original. */
function isSamePlace(current: DatabaseEntry, { entry, checked }: Candidate): boolean {
  const { host, port, databaseName, systemIdentifier, databaseOid } = current
  const hasItsName = host === entry.host && port === entry.port && databaseName === entry.databaseName
  const { identity } = checked
  return hasItsName && systemIdentifier === identity.systemIdentifier && databaseOid === identity.databaseOid
}

async function moveInto(
  deps: SettlingDeps,
  { entry, checked, client }: Candidate,
  tenant: Tenant,
): Promise<boolean> {
  const current = tenant.placement === 'dedicated' ? await deps.registry.current(tenant.id) : null
  // A home that does not answer cannot be asked whether something would be left behind.
  if (current !== null && current.status !== 'active') return false
  const commit = (newEpoch: number) => commitHome(deps, { entry, checked }, { epoch: tenant.epoch, newEpoch })
  try {
    return await withHome(deps, current, (from) =>
      relocate({ store: deps.store, tenant, from, to: client, commit }),
    )
  } catch (error) {
    // Nor can one in whose place another stands; that is no fault of the database that was validated.
    if (current !== null && error instanceof IdentityMismatchError) return false
    throw error
  }
}

async function commitHome(
  deps: SettlingDeps,
  { entry, checked, isOther = false }: Omit<Candidate, 'client'> & { readonly isOther?: boolean },
  epochs: { epoch: number; newEpoch: number },
): Promise<void> {
  const { id: entryId, tenantId, rowVersion, claimedBy } = entry
  if (claimedBy === null) throw new DatabaseEntryChangedError()
  const actor = systemActor('validation')
  const home = {
    tenantId,
    entryId,
    rowVersion,
    claimedBy,
    ...epochs,
    facts: factsOf(checked),
    isOther,
    actor,
  }
  const done = await deps.store.transaction((tx) => makeHome(tx, home))
  if (!done) throw new DatabaseEntryChangedError()
}

export function factsOf({ identity, serverVersion, schemaVersion }: CheckedDatabase) {
  return { ...identity, serverVersion, schemaVersion }
}
