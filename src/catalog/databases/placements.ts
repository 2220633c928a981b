import { and, eq, type SQL, sql } from 'drizzle-orm'
import { type Actor, recordAudit, systemActor } from '../audit/entries.ts'
import { recordChange } from '../changes/follower.ts'
import { dropJobs } from '../jobs/queue.ts'
import { type Placement, tenantDatabases, tenants } from '../schema.ts'
import type { CatalogTx } from '../store.ts'
import { lockTenant, type Tenant } from '../tenants.ts'
import { noError } from './claims.ts'
import { type DatabaseEntry, type DatabaseFacts, entryColumns } from './entry.ts'
import { holdValidation, type ValidationClaim } from './validations.ts'

export interface DedicatedPlacement {
  tenantId: string
  /** The validation whose entry becomes the home. */
  validation: ValidationClaim
  /** The epoch the decision was made at, and the one that the residence row in the new home carries. */
  epoch: number
  newEpoch: number
  /** What validation found, so that nobody sees an active database of which nothing is known. */
  facts: DatabaseFacts
  /** Its people and roles need not be those of the home before. */
  isOther?: boolean
  actor?: Actor
}

export interface SharedPlacement {
  tenantId: string
  entryId: string
  /** The epoch the decision was made at, and the one that the residence row in the shared database carries. */
  epoch: number
  newEpoch: number
  actor: Actor
  /** The database is given up with what it holds. */
  isLost?: boolean
  /** A candidate takes its place, instead of going with it. */
  keepsCandidate?: boolean
}

/**
 * Makes a validated database the place where the tenant lives: current, active, `placement: dedicated`. A candidate takes
 * the place of the entry before it, which goes. The job goes on, to `finishValidation`.
 *
 * Answers false, with nothing written, when the tenant has moved or the entry has changed since.
 */
export async function placeInDedicated(tx: CatalogTx, home: DedicatedPlacement): Promise<boolean> {
  const { tenantId, validation, epoch, newEpoch } = home
  const tenant = await lockTenant(tx, tenantId)
  if (tenant?.epoch !== epoch) return false
  const entry = await holdValidation(tx, validation)
  if (entry?.tenantId !== tenantId) return false
  if (entry.slot === 'candidate') await removeEntries(tx, currentOf(tenantId))
  await tx
    .update(tenantDatabases)
    .set({
      ...{ slot: 'current', status: 'active', moveRequired: false, ...home.facts, ...noError },
      ...{ validatedAt: sql`now()`, updatedAt: sql`now()` },
    })
    .where(eq(tenantDatabases.id, entry.id))
  const actor = home.actor ?? systemActor('validation')
  if (home.isOther === true) await recordChange(tx, { kind: 'role', tenantId })
  await settle(tx, tenant, { placement: 'dedicated', epoch: newEpoch, databaseId: entry.id, actor })
  return true
}

/**
 * Brings the tenant back to the shared database and removes its own ones from the catalog.
 *
 * Answers false, with nothing written, when the tenant is not at `epoch` any more or another entry became its home.
 */
export async function placeInShared(tx: CatalogTx, left: SharedPlacement): Promise<boolean> {
  const { tenantId, entryId, epoch, newEpoch, actor, isLost = false, keepsCandidate = false } = left
  const tenant = await lockTenant(tx, tenantId)
  if (tenant?.epoch !== epoch) return false
  const [home] = await tx.select(entryColumns).from(tenantDatabases).where(currentOf(tenantId))
  // A copy that stands in for a lost home has another entry.
  if (home?.id !== entryId) return false
  const own = eq(tenantDatabases.tenantId, tenantId)
  await removeEntries(tx, keepsCandidate ? currentOf(tenantId) : own)
  if (keepsCandidate) await tx.update(tenantDatabases).set({ slot: 'current' }).where(own)
  if (isLost) await recordLoss(tx, home, actor)
  await settle(tx, tenant, { placement: 'shared', epoch: newEpoch, databaseId: null, actor })
  return true
}

/**
 * Raises the epoch of a tenant that stays in the shared database, to that of its stamp there.
 *
 * Answers false, with nothing written, when the tenant is not there, or not at `epoch` any more.
 */
export async function raiseEpoch(
  tx: CatalogTx,
  raised: { tenantId: string; epoch: number; newEpoch: number; actor: Actor },
): Promise<boolean> {
  const { tenantId, epoch, newEpoch, actor } = raised
  const tenant = await lockTenant(tx, tenantId)
  if (tenant?.epoch !== epoch || tenant.placement !== 'shared') return false
  await settle(tx, tenant, { placement: 'shared', epoch: newEpoch, databaseId: null, actor })
  return true
}

async function recordLoss(tx: CatalogTx, home: DatabaseEntry, actor: Actor): Promise<void> {
  const { id: databaseId, tenantId, databaseName, host, port, slot, status, schemaVersion } = home
  const lastCheckedAt = home.lastCheckedAt?.toISOString() ?? null
  const before = { databaseId, slot, status, host, port, databaseName }
  const after = { lost: { database: databaseName, schemaVersion, lastCheckedAt } }
  await recordAudit(tx, { actor, action: 'tenant.database.delete', tenantId, before, after })
  await recordChange(tx, { kind: 'role', tenantId })
}

async function settle(
  tx: CatalogTx,
  tenant: Tenant,
  to: { placement: Placement; epoch: number; databaseId: string | null; actor: Actor },
): Promise<void> {
  const { actor, databaseId, ...home } = to
  const tenantId = tenant.id
  await tx
    .update(tenants)
    .set({ ...home, updatedAt: sql`now()` })
    .where(eq(tenants.id, tenantId))
  const before = { placement: tenant.placement, epoch: tenant.epoch }
  await recordAudit(tx, { actor, action: 'tenant.home', tenantId, before, after: { ...home, databaseId } })
  const subject = databaseId === null ? {} : { subjectId: databaseId }
  await recordChange(tx, { kind: 'database', tenantId, ...subject })
}

/** With the work on them. */
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
