import type pg from 'pg'
import { systemActor } from '../catalog/audit/entries.ts'
import { type DatabaseEntry, DatabaseEntryChangedError } from '../catalog/databases/entry.ts'
import type { ValidatedAs } from '../catalog/databases/outcomes.ts'
import { placeInDedicated } from '../catalog/databases/placements.ts'
import type { DatabaseRegistry } from '../catalog/databases/registry.ts'
import type { Validation } from '../catalog/databases/validations.ts'
import type { CatalogStore } from '../catalog/store.ts'
import { findTenant, type Tenant } from '../catalog/tenants.ts'
import type { CheckedDatabase } from './checks.ts'
import { raiseEpochToStamp, returnToShared } from './correct-placement.ts'
import { CheckFailure } from './failures.ts'
import { type InspectedDatabase, withInspectedDatabase } from './inspect-database.ts'
import { decidePlacement, type PlacementDecision, type TenantPresence } from './placement-decision.ts'
import { assertNotMoved, lockRelocation, relocate, removeStaleFence, withRelocationLock } from './relocate.ts'
import { fence, ownsRows, putSeal, readStamp, removeFormerResidence, stamp, unfence } from './residence.ts'
import { type TenantConnectionDeps, withTenantDatabase } from './tenant-connection.ts'

export type PlacementDeps = TenantConnectionDeps & {
  readonly store: CatalogStore
  readonly registry: DatabaseRegistry
}

/** A database that passed all checks. */
export interface Candidate {
  readonly entry: Validation
  readonly checked: CheckedDatabase
  readonly client: pg.ClientBase
}

/** The facts for a decision on the placement, and the connections to carry it out. */
interface PlacementCase {
  readonly candidate: Candidate
  readonly tenant: Tenant
  /** Null: the tenant's current database is the candidate itself. */
  readonly current: InspectedDatabase | null
  readonly shared: TenantPresence | null
}

/**
 * Decides about the placement of a valid database and carries the decision out. Unless the facts forbid it, the database becomes the
 * tenant database.
 * @throws CheckFailure, DatabaseEntryChangedError, PublicError MOVE_IN_PROGRESS; errors of the connections
 */
export async function applyPlacement(deps: PlacementDeps, candidate: Candidate): Promise<ValidatedAs> {
  const { entry, client } = candidate
  const tenant = await findTenant(deps.store, entry.tenantId)
  if (tenant === null) throw new DatabaseEntryChangedError()
  const isDedicated = tenant.placement === 'dedicated'
  const current = isDedicated ? await deps.registry.current(tenant.id) : null
  const isCurrent = isDedicated && (entry.slot === 'current' || isSameServerAndDatabase(current, candidate))
  const applied = isCurrent
    ? await applyDecision(deps, { candidate, tenant, current: null })
    : await withInspectedDatabase(deps, { candidate: client, tenant, current }, (found) => {
        const isSame = found.presence === 'same-database'
        return applyDecision(deps, { candidate, tenant, current: isSame ? null : found })
      })
  return applied ?? applyPlacement(deps, candidate)
}

/** Null if the catalog was corrected. Then all facts must be read again. */
async function applyDecision(
  deps: PlacementDeps,
  found: Omit<PlacementCase, 'shared'>,
): Promise<ValidatedAs | null> {
  const shared =
    found.tenant.placement === 'dedicated' ? await readSharedPresence(deps, found.tenant.id) : null
  const facts = { ...found, shared }
  if (await isCorrected(deps, facts)) return null
  const decision = await decide(facts)
  if (decision === 'stay') return stay(deps, facts)
  if (decision === 'take-over') return takeOver(deps, facts)
  if (decision === 'relocate') return moveIn(deps, facts)
  if (decision === 'copy') return 'copy'
  if (decision === 'wait') return 'move-required'
  const { entry } = found.candidate
  if (decision === 'return-to-shared') {
    const isReturned = await returnToShared(deps, found.tenant)
    if (isReturned && entry.slot === 'candidate') return null
    throw new DatabaseEntryChangedError()
  }
  throw new CheckFailure(decision === 'other-tenant' ? 'BELONGS_TO_ANOTHER_TENANT' : 'IDENTITY_AMBIGUOUS')
}

/** Raises the catalog's epoch if the stamp in the shared database is newer. A candidate with a stamp needs a decision instead. */
async function isCorrected(
  deps: PlacementDeps,
  { candidate, tenant, current }: PlacementCase,
): Promise<boolean> {
  const isShared = tenant.placement === 'shared' && current?.client != null
  if (!isShared || candidate.checked.stamp !== null) return false
  return raiseEpochToStamp(deps, current.client, tenant.id)
}

async function decide({ candidate, tenant, current, shared }: PlacementCase): Promise<PlacementDecision> {
  const { entry, checked, client } = candidate
  // Rows do not change the decision on a current database that has its stamp. Counting them costs time.
  const mustLookForRows = current !== null || checked.stamp === null
  return decidePlacement({
    epoch: tenant.epoch,
    candidate: { stamp: checked.stamp, ownsRows: mustLookForRows && (await ownsRows(client, tenant.id)) },
    current: current === null ? 'same-database' : current.presence,
    shared,
    adopt: entry.adopt,
  })
}

async function readSharedPresence(deps: PlacementDeps, tenantId: string): Promise<TenantPresence> {
  return withTenantDatabase(deps, null, async (shared) => {
    const found = await readStamp(shared, tenantId)
    return { stamp: found, ownsRows: found !== null && (await ownsRows(shared, tenantId)) }
  })
}

/** The database already is the tenant database, as this entry or as the entry that this one replaces. */
async function stay(deps: PlacementDeps, { candidate, tenant, shared }: PlacementCase): Promise<ValidatedAs> {
  const { entry, checked, client } = candidate
  const { id: tenantId, epoch } = tenant
  if (!checked.lacksCore) await putSeal(client, dedicatedResidence(deps, tenantId, epoch))
  if (checked.stamp?.state === 'fenced') await removeStaleFence({ store: deps.store, client, tenantId })
  if (entry.slot === 'candidate' || entry.status === 'pending_validation' || entry.status === 'failed') {
    await commitPlacement(deps, { entry, checked }, { epoch, newEpoch: epoch })
  }
  if (shared !== null && shared.stamp !== null) await clearShared(deps, tenantId)
  return 'tenant-database'
}

/** The tenant is in a dedicated database. Removes what a move has left of it in the shared one. */
function clearShared(deps: PlacementDeps, tenantId: string): Promise<void> {
  return withTenantDatabase(deps, null, (shared) =>
    withRelocationLock({ store: deps.store, client: shared, tenantId }, async ({ placement, epoch }) => {
      if (placement === 'dedicated') await removeFormerResidence(shared, tenantId, epoch + 1)
    }),
  )
}

/**
 * Makes the candidate the tenant database as it is. It replaces a database that is unreachable, or in which the tenant has only people.
 * The new epoch is higher than all known ones. If the replaced database comes back, its stamp has an old epoch, so no gateway reads or
 * writes there.
 *
 * The new stamp is written fenced. So even if this process is killed, no statement runs there before the catalog has committed.
 */
async function takeOver(
  deps: PlacementDeps,
  { candidate, tenant, current, shared }: PlacementCase,
): Promise<ValidatedAs> {
  const { entry, checked, client } = candidate
  const { id: tenantId, epoch } = tenant
  const replaced = current?.client ?? null
  const stamps = [
    checked.stamp,
    shared?.stamp,
    typeof current?.presence === 'object' ? current.presence.stamp : null,
  ]
  const newEpoch = Math.max(epoch, ...stamps.map((each) => each?.epoch ?? 0)) + 1
  for (const each of replaced === null ? [client] : [replaced, client]) await lockRelocation(each, tenantId)
  await assertNotMoved({ store: deps.store, tenant })
  if (replaced !== null) await fenceEmptyDatabase(replaced, tenant)
  await stamp(client, { ...dedicatedResidence(deps, tenantId, newEpoch), state: 'fenced' })
  // If an error follows, the fence of the replaced database must stay, because the catalog may have committed.
  await commitPlacement(deps, { entry, checked, isOther: true }, { epoch, newEpoch })
  await unfence(client, tenantId, newEpoch)
  if (replaced !== null) await removeFormerResidence(replaced, tenantId, newEpoch - 1).catch(() => undefined)
  if (tenant.placement === 'dedicated') await clearShared(deps, tenantId)
  return 'tenant-database'
}

/**
 * Fences a database without rows, and looks again for rows that were written before the fence.
 * @throws CheckFailure IDENTITY_AMBIGUOUS if there are rows now; the fence is removed
 */
async function fenceEmptyDatabase(client: pg.ClientBase, { id: tenantId, epoch }: Tenant): Promise<void> {
  const isFenced = await fence(client, tenantId, epoch)
  if (!(await ownsRows(client, tenantId))) return
  if (isFenced) await unfence(client, tenantId, epoch)
  throw new CheckFailure('IDENTITY_AMBIGUOUS')
}

/** Relocates the tenant to the candidate if it owns no rows except its people. */
async function moveIn(
  deps: PlacementDeps,
  { candidate, tenant, current }: PlacementCase,
): Promise<ValidatedAs> {
  const { client, ...valid } = candidate
  if (current?.client == null) return 'move-required'
  const { store } = deps
  const commit = (newEpoch: number) => commitPlacement(deps, valid, { epoch: tenant.epoch, newEpoch })
  const { seal } = dedicatedResidence(deps, tenant.id, tenant.epoch + 1)
  const hasMoved = await relocate({ store, tenant, from: current.client, to: client, seal, commit })
  return hasMoved ? 'tenant-database' : 'move-required'
}

function dedicatedResidence({ sealOf }: PlacementDeps, tenantId: string, epoch: number) {
  return { tenantId, epoch, seal: sealOf({ tenantId, epoch, placement: 'dedicated' }) }
}

/** The same address and the same identity. Identity alone is not enough: a clone has that of its original. */
function isSameServerAndDatabase(
  current: DatabaseEntry | null,
  { entry, checked: { identity } }: Candidate,
): boolean {
  if (current === null) return false
  const { host, port, databaseName, systemIdentifier, databaseOid } = current
  const hasItsName = host === entry.host && port === entry.port && databaseName === entry.databaseName
  return hasItsName && systemIdentifier === identity.systemIdentifier && databaseOid === identity.databaseOid
}

async function commitPlacement(
  deps: PlacementDeps,
  { entry, checked, isOther = false }: Omit<Candidate, 'client'> & { readonly isOther?: boolean },
  epochs: { epoch: number; newEpoch: number },
): Promise<void> {
  const actor = systemActor('validation')
  const facts = factsOf(checked)
  const placement = { tenantId: entry.tenantId, validation: entry, ...epochs, facts, isOther, actor }
  const isPlaced = await deps.store.transaction((tx) => placeInDedicated(tx, placement))
  if (!isPlaced) throw new DatabaseEntryChangedError()
}

export function factsOf({ identity, serverVersion, schemaVersion }: CheckedDatabase) {
  return { ...identity, serverVersion, schemaVersion }
}
