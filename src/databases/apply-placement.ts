import type pg from 'pg'
import { systemActor } from '../catalog/audit/entries.ts'
import type { DatabaseEntry } from '../catalog/databases/entry.ts'
import { placeInDedicated } from '../catalog/databases/placements.ts'
import { DatabaseEntryChangedError, type DatabaseRegistry } from '../catalog/databases/registry.ts'
import type { Validation } from '../catalog/databases/validations.ts'
import type { CatalogStore } from '../catalog/store.ts'
import { findTenant, type Tenant } from '../catalog/tenants.ts'
import type { CheckedDatabase } from './checks.ts'
import { raiseEpochToStamp, returnToShared } from './correct-placement.ts'
import { CheckFailure } from './failures.ts'
import { type InspectedDatabase, withInspectedDatabase } from './inspect-database.ts'
import { decidePlacement, type PlacementDecision, type TenantPresence } from './placement-decision.ts'
import { assertNotMoved, liftStaleFence, lockRelocation, relocate, withRelocationLock } from './relocate.ts'
import { fence, ownsRows, putSeal, readStamp, removeFormerResidence, stamp, unfence } from './residence.ts'
import { type TenantConnectionDeps, withTenantDatabase } from './tenant-connection.ts'

export type PlacementDeps = TenantConnectionDeps & {
  readonly store: CatalogStore
  readonly registry: DatabaseRegistry
}

/** What a valid database is to its tenant. */
export type Residence = 'tenant-database' | 'move-required' | 'copy'

export interface Candidate {
  readonly entry: Validation
  readonly checked: CheckedDatabase
  readonly client: pg.ClientBase
}

/** What the decision is made on, and carried out with. */
interface Scene {
  readonly candidate: Candidate
  readonly tenant: Tenant
  /** Null: the database is the home itself. */
  readonly home: InspectedDatabase | null
  readonly shared: TenantPresence | null
}

/**
 * Makes a database that passed all checks the tenant's home, where nothing speaks against it.
 * @throws CheckFailure, DatabaseEntryChangedError, PublicError MOVE_IN_PROGRESS; what the connections throw
 */
export async function applyPlacement(deps: PlacementDeps, candidate: Candidate): Promise<Residence> {
  const { entry, client } = candidate
  const tenant = await findTenant(deps.store, entry.tenantId)
  if (tenant === null) throw new DatabaseEntryChangedError()
  const isDedicated = tenant.placement === 'dedicated'
  const current = isDedicated ? await deps.registry.current(tenant.id) : null
  const isItself = isDedicated && (entry.slot === 'current' || isSamePlace(current, candidate))
  const settled = isItself
    ? await applyDecision(deps, { candidate, tenant, home: null })
    : await withInspectedDatabase(deps, { client, tenant, current }, (home) =>
        applyDecision(deps, { candidate, tenant, home: home.standing === 'itself' ? null : home }),
      )
  return settled ?? applyPlacement(deps, candidate)
}

/** Null where the catalog was corrected, and everything is to be looked at again. */
async function applyDecision(deps: PlacementDeps, found: Omit<Scene, 'shared'>): Promise<Residence | null> {
  const shared = found.tenant.placement === 'dedicated' ? await lookAtShared(deps, found.tenant.id) : null
  const scene = { ...found, shared }
  if (await isCorrected(deps, scene)) return null
  const decision = await decide(scene)
  if (decision === 'stay') return stay(deps, scene)
  if (decision === 'take') return take(deps, scene)
  if (decision === 'relocate') return moveIn(deps, scene)
  if (decision === 'copy') return 'copy'
  if (decision === 'wait') return 'move-required'
  const { entry } = found.candidate
  if (decision === 'return' && (await returnToShared(deps, found.tenant)) && entry.slot === 'candidate')
    return null
  if (decision === 'return') throw new DatabaseEntryChangedError()
  throw new CheckFailure(decision === 'stranger' ? 'BELONGS_TO_ANOTHER_TENANT' : 'IDENTITY_AMBIGUOUS')
}

/** An empty database says nothing of where the tenant lives; the shared one may know more than the catalog. */
async function isCorrected(deps: PlacementDeps, { candidate, tenant, home }: Scene): Promise<boolean> {
  const isShared = tenant.placement === 'shared' && home?.client != null
  if (!isShared || candidate.checked.residence !== null) return false
  return raiseEpochToStamp(deps, home.client, tenant.id)
}

async function decide({ candidate, tenant, home, shared }: Scene): Promise<PlacementDecision> {
  const { entry, checked, client } = candidate
  const { residence } = checked
  // Of a home that has its stamp it does not matter.
  const matters = home !== null || residence === null
  return decidePlacement({
    epoch: tenant.epoch,
    database: { stamp: residence, ownsRows: matters && (await ownsRows(client, tenant.id)) },
    home: home === null ? 'itself' : home.standing,
    shared,
    adopt: entry.adopt,
  })
}

async function lookAtShared(deps: PlacementDeps, tenantId: string): Promise<TenantPresence> {
  return withTenantDatabase(deps, null, async (shared) => {
    const found = await readStamp(shared, tenantId)
    return { stamp: found, ownsRows: found !== null && (await ownsRows(shared, tenantId)) }
  })
}

/** It is the home already, under this entry or under the one that it is to replace. */
async function stay(deps: PlacementDeps, { candidate, tenant, shared }: Scene): Promise<Residence> {
  const { entry, checked, client } = candidate
  if (!checked.lacksCore) await putSeal(client, sealedResidence(deps, tenant.id, tenant.epoch))
  if (checked.residence?.state === 'fenced') await liftStaleFence(deps.store, client, tenant.id)
  if (entry.slot === 'candidate' || entry.status === 'pending_validation' || entry.status === 'failed') {
    await commitPlacement(deps, { entry, checked }, { epoch: tenant.epoch, newEpoch: tenant.epoch })
  }
  if (shared !== null && shared.stamp !== null) await clearShared(deps, tenant.id)
  return 'tenant-database'
}

/** Whatever a tenant has in the shared database while it lives in its own is left over from a move to or fro. */
function clearShared(deps: PlacementDeps, tenantId: string): Promise<void> {
  return withTenantDatabase(deps, null, (shared) =>
    withRelocationLock(deps.store, shared, tenantId, async ({ placement, epoch }) => {
      if (placement === 'dedicated') await removeFormerResidence(shared, tenantId, epoch + 1)
    }),
  )
}

/**
 * Makes the database the home as it is, in the place of one that cannot be reached or in which the tenant has nothing but
 * people. The epoch rises above all that any side has seen: should an old home come back, its stamp is not the catalog's any
 * more, and nothing is read or written there.
 *
 * The new stamp is written fenced: nothing can be done by it before the catalog has it, whatever becomes of this process.
 */
async function take(deps: PlacementDeps, { candidate, tenant, home, shared }: Scene): Promise<Residence> {
  const { entry, checked, client } = candidate
  const { id: tenantId, epoch } = tenant
  const left = home?.client ?? null
  const stamps = [
    checked.residence,
    shared?.stamp,
    typeof home?.standing === 'object' ? home.standing.stamp : null,
  ]
  const newEpoch = Math.max(epoch, ...stamps.map((each) => each?.epoch ?? 0)) + 1
  for (const each of left === null ? [client] : [left, client]) await lockRelocation(each, tenantId)
  await assertNotMoved({ store: deps.store, tenant })
  if (left !== null) await fenceEmptyDatabase(left, tenant)
  await stamp(client, { ...sealedResidence(deps, tenantId, newEpoch), state: 'fenced' })
  // From here on an error does not lift the fence of the old home: whether the catalog has committed may not be known.
  await commitPlacement(deps, { entry, checked, isOther: true }, { epoch, newEpoch })
  await unfence(client, tenantId, newEpoch)
  if (left !== null) await removeFormerResidence(left, tenantId, newEpoch - 1).catch(() => undefined)
  if (tenant.placement === 'dedicated') await clearShared(deps, tenantId)
  return 'tenant-database'
}

/**
 * Lets no writers into a home any more that has no rows, and looks once more.
 * @throws CheckFailure IDENTITY_AMBIGUOUS, with the door open, if there are rows now
 */
async function fenceEmptyDatabase(home: pg.ClientBase, { id: tenantId, epoch }: Tenant): Promise<void> {
  const isFenced = await fence(home, tenantId, epoch)
  if (!(await ownsRows(home, tenantId))) return
  if (isFenced) await unfence(home, tenantId, epoch)
  throw new CheckFailure('IDENTITY_AMBIGUOUS')
}

/** Has the tenant move in, if it owns nothing but its people. */
async function moveIn(deps: PlacementDeps, { candidate, tenant, home }: Scene): Promise<Residence> {
  const { client, ...valid } = candidate
  if (home?.client == null) return 'move-required'
  const commit = (newEpoch: number) => commitPlacement(deps, valid, { epoch: tenant.epoch, newEpoch })
  const { seal } = sealedResidence(deps, tenant.id, tenant.epoch + 1)
  const hasMoved = await relocate({ store: deps.store, tenant, from: home.client, to: client, seal, commit })
  return hasMoved ? 'tenant-database' : 'move-required'
}

/** A database of the tenant's own as its home at this epoch. */
function sealedResidence({ sealOf }: PlacementDeps, tenantId: string, epoch: number) {
  return { tenantId, epoch, seal: sealOf({ tenantId, epoch, placement: 'dedicated' }) }
}

/** The same name and behind it the same database. Under another name a clone may have the identity of its original. */
function isSamePlace(current: DatabaseEntry | null, { entry, checked }: Candidate): boolean {
  if (current === null) return false
  const { host, port, databaseName, systemIdentifier, databaseOid } = current
  const hasItsName = host === entry.host && port === entry.port && databaseName === entry.databaseName
  const { identity } = checked
  return hasItsName && systemIdentifier === identity.systemIdentifier && databaseOid === identity.databaseOid
}

async function commitPlacement(
  deps: PlacementDeps,
  { entry, checked, isOther = false }: Omit<Candidate, 'client'> & { readonly isOther?: boolean },
  epochs: { epoch: number; newEpoch: number },
): Promise<void> {
  const actor = systemActor('validation')
  const facts = factsOf(checked)
  const home = { tenantId: entry.tenantId, validation: entry, ...epochs, facts, isOther, actor }
  const done = await deps.store.transaction((tx) => placeInDedicated(tx, home))
  if (!done) throw new DatabaseEntryChangedError()
}

export function factsOf({ identity, serverVersion, schemaVersion }: CheckedDatabase) {
  return { ...identity, serverVersion, schemaVersion }
}
