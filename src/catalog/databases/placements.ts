import { and, eq, type SQL, sql } from 'drizzle-orm'
import { type Actor, recordAudit, systemActor } from '../audit/entries.ts'
import { recordChange } from '../changes/follower.ts'
import { dropJobs } from '../jobs/queue.ts'
import { type Placement, tenantDatabases, tenants } from '../schema.ts'
import type { CatalogTx } from '../store.ts'
import { lockTenant, type Tenant } from '../tenants.ts'
import { type DatabaseEntry, type DatabaseFacts, entryColumns } from './entry.ts'
import { noError } from './entry-columns.ts'
import { holdValidation, type ValidationClaim } from './validations.ts'

export interface DedicatedPlacement {
  tenantId: string
  /** The validation of the database. */
  validation: ValidationClaim
  /** `epoch` is the tenant's epoch at the decision, `newEpoch` that of the stamp in the dedicated database. */
  epoch: number
  newEpoch: number
  /** What the validation found. Written here too, so that an active database is never without these facts. */
  facts: DatabaseFacts
  /** The database replaces another one, whose people and roles may differ. */
  isOther?: boolean
  actor?: Actor
}

export interface SharedPlacement {
  tenantId: string
  entryId: string
  /** `epoch` is the tenant's epoch at the decision, `newEpoch` that of the stamp in the shared database. */
  epoch: number
  newEpoch: number
  actor: Actor
  /** The dedicated database is discarded with all its data. */
  isLost?: boolean
  /** A candidate becomes the current entry. Without this it is removed too. */
  keepsCandidate?: boolean
}

/**
 * Makes a validated database the tenant database: current, active, `placement: dedicated`. A candidate replaces the current
 * entry, which is deleted. `finishValidation` ends the job later.
 *
 * Returns false and writes nothing if the tenant was moved or the entry was changed meanwhile.
 */
export async function placeInDedicated(tx: CatalogTx, change: DedicatedPlacement): Promise<boolean> {
  const { tenantId, validation, epoch, newEpoch } = change
  const tenant = await lockTenant(tx, tenantId)
  if (tenant?.epoch !== epoch) return false
  const entry = await holdValidation(tx, validation)
  if (entry?.tenantId !== tenantId) return false
  if (entry.slot === 'candidate') await removeEntries(tx, currentOf(tenantId))
  await tx
    .update(tenantDatabases)
    .set({
      ...{ slot: 'current', status: 'active', moveRequired: false, ...change.facts, ...noError },
      ...{ validatedAt: sql`now()`, updatedAt: sql`now()` },
    })
    .where(eq(tenantDatabases.id, entry.id))
  const actor = change.actor ?? systemActor('validation')
  if (change.isOther === true) await recordChange(tx, { kind: 'role', tenantId })
  await writePlacement(tx, tenant, { placement: 'dedicated', epoch: newEpoch, databaseId: entry.id, actor })
  return true
}

/**
 * Places the tenant in the shared database and removes its dedicated ones from the catalog.
 *
 * Returns false and writes nothing if the tenant's epoch or its current entry has changed.
 */
export async function placeInShared(tx: CatalogTx, change: SharedPlacement): Promise<boolean> {
  const { tenantId, entryId, epoch, newEpoch, actor, isLost = false, keepsCandidate = false } = change
  const tenant = await lockTenant(tx, tenantId)
  if (tenant?.epoch !== epoch) return false
  const [current] = await tx.select(entryColumns).from(tenantDatabases).where(currentOf(tenantId))
  // If a copy has taken over from the database, the current entry is that of the copy.
  if (current?.id !== entryId) return false
  const own = eq(tenantDatabases.tenantId, tenantId)
  await removeEntries(tx, keepsCandidate ? currentOf(tenantId) : own)
  if (keepsCandidate) await tx.update(tenantDatabases).set({ slot: 'current' }).where(own)
  if (isLost) await recordLoss(tx, current, actor)
  await writePlacement(tx, tenant, { placement: 'shared', epoch: newEpoch, databaseId: null, actor })
  return true
}

/**
 * Raises the epoch of a tenant in the shared database to the epoch of its stamp there.
 *
 * Returns false and writes nothing if the tenant is not in the shared database or its epoch has changed.
 */
export async function raiseEpoch(
  tx: CatalogTx,
  raised: { tenantId: string; epoch: number; newEpoch: number; actor: Actor },
): Promise<boolean> {
  const { tenantId, epoch, newEpoch, actor } = raised
  const tenant = await lockTenant(tx, tenantId)
  if (tenant?.epoch !== epoch || tenant.placement !== 'shared') return false
  await writePlacement(tx, tenant, { placement: 'shared', epoch: newEpoch, databaseId: null, actor })
  return true
}

async function recordLoss(tx: CatalogTx, lost: DatabaseEntry, actor: Actor): Promise<void> {
  const { id: databaseId, tenantId, databaseName, host, port, slot, status, schemaVersion } = lost
  const lastCheckedAt = lost.lastCheckedAt?.toISOString() ?? null
  const before = { databaseId, slot, status, host, port, databaseName }
  const after = { lost: { database: databaseName, schemaVersion, lastCheckedAt } }
  await recordAudit(tx, { actor, action: 'tenant.database.delete', tenantId, before, after })
  await recordChange(tx, { kind: 'role', tenantId })
}

async function writePlacement(
  tx: CatalogTx,
  tenant: Tenant,
  to: { placement: Placement; epoch: number; databaseId: string | null; actor: Actor },
): Promise<void> {
  const { actor, databaseId, ...placement } = to
  const tenantId = tenant.id
  await tx
    .update(tenants)
    .set({ ...placement, updatedAt: sql`now()` })
    .where(eq(tenants.id, tenantId))
  const before = { placement: tenant.placement, epoch: tenant.epoch }
  await recordAudit(tx, {
    actor,
    action: 'tenant.home',
    tenantId,
    before,
    after: { ...placement, databaseId },
  })
  const subject = databaseId === null ? {} : { subjectId: databaseId }
  await recordChange(tx, { kind: 'database', tenantId, ...subject })
}

/** Deletes entries and ends their jobs. */
async function removeEntries(tx: CatalogTx, which: SQL | undefined): Promise<void> {
  const gone = await tx.delete(tenantDatabases).where(which).returning({ id: tenantDatabases.id })
  await dropJobs(
    tx,
    gone.map(({ id }) => id),
  )
}

function currentOf(tenantId: string) {
  return and(eq(tenantDatabases.tenantId, tenantId), eq(tenantDatabases.slot, 'current'))
}
