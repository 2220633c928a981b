import { eq } from 'drizzle-orm'
import { type AuditVerdict, sealAudit, verifyAudit } from '../catalog/audit/chain.ts'
import { type Actor, listAudit } from '../catalog/audit/entries.ts'
import { showPersons } from '../catalog/audit/persons.ts'
import type { ChangeFollower } from '../catalog/changes/follower.ts'
import { lastRouteChange } from '../catalog/changes/route-changes.ts'
import { findTenantDatabases, type TenantDatabases } from '../catalog/databases/state.ts'
import { findExternalIds, sortedExternalIds } from '../catalog/external-ids.ts'
import { findJob, listJobs } from '../catalog/jobs/list.ts'
import { tenants } from '../catalog/schema.ts'
import { catalogErrors } from '../catalog/store.ts'
import { listTenants, patchTenant, type Tenant, type TenantPatch } from '../catalog/tenants.ts'
import { fail } from '../errors.ts'
import { cancelJob } from './cancel-job.ts'
import { assertName, type CreateTenantDeps, createTenant } from './create-tenant.ts'
import { type ExplainDeps, explainTenant } from './explain-tenant.ts'
import { advanceRuns, type MigrateDatabasesDeps, migrateDatabases } from './migrate-databases.ts'
import type { DatabaseState, Effective, Operations, TenantRecord } from './operations.ts'
import {
  type DatabaseRegistration,
  type RegisterDatabaseDeps,
  registerDatabase,
} from './register-database.ts'
import { type RemoveDatabaseDeps, removeDatabase } from './remove-database.ts'
import { describeEncryption, type RotateKeysDeps, rotateKeys } from './rotate-keys.ts'
import { ServerOperations, type ServerOperationsDeps } from './servers/server-operations.ts'

export type OperationsDeps = CreateTenantDeps &
  RegisterDatabaseDeps &
  RemoveDatabaseDeps &
  RotateKeysDeps &
  ServerOperationsDeps &
  MigrateDatabasesDeps &
  ExplainDeps & {
    readonly follower: Pick<ChangeFollower, 'confirmations'>
    /** Called after this process has changed a tenant. Its own caches then need not wait for the change log. */
    readonly onChanged: (tenantId: string) => void
  }

/** How long an answer waits for the replicas. */
export const CONFIRMATION_TIMEOUT_MS = 5_000

/** Builds the operations that the HTTP layer calls. The long ones have files of their own. */
export function createOperations(deps: OperationsDeps): Operations {
  return {
    servers: new ServerOperations(deps),
    createTenant: async (input, actor) => {
      const tenant = await createTenant(deps, input, actor)
      deps.onChanged(tenant.id)
      return { tenant, externalIds: sortedExternalIds(input.externalIds ?? []), database: null }
    },
    findTenant: (tenantId) => record(deps, tenantId),
    explainTenant: (tenantId) => explainTenant(deps, tenantId),
    listTenants: async (query) => {
      const { data, nextCursor } = await listTenants(deps.store, query)
      return { data: await recordsOf(deps, data), nextCursor }
    },
    patchTenant: (tenantId, patch, actor) => changeTenant(deps, { tenantId, patch, actor }),
    listChildren: (tenantId) => listChildren(deps, tenantId),
    registerDatabase: (tenantId, body, actor) => register(deps, { tenantId, body, actor }),
    describeDatabase: (tenantId) => databaseState(deps, tenantId),
    requestValidation: (tenantId, choice, actor) => requestValidation(deps, { tenantId, ...choice, actor }),
    removeDatabase: async (tenantId, removal, actor) => {
      await removeDatabase(deps, { tenantId, removal, actor })
      deps.onChanged(tenantId)
      // The database is removed, even if the replicas cannot be counted.
      await effectiveOf(deps, tenantId, CONFIRMATION_TIMEOUT_MS).catch(() => null)
    },
    listAudit: async (filter, request) => {
      const { data, nextCursor } = await listAudit(deps.store, filter, request)
      return { data: await showPersons(deps.store, deps.vault, data), nextCursor }
    },
    verifyAudit: () => verifyAndSealAudit(deps),
    listJobs: (query) => listJobs(deps.store, query),
    findJob: (id) => findJob(deps.store, id),
    cancelJob: async (id, actor) => {
      const job = await cancelJob(deps, id, actor)
      if (job.runId !== null) await advanceRuns(deps)
      return job
    },
    ...migrateDatabases(deps),
    describeEncryption: () => describeEncryption(deps),
    rotateEncryption: (actor) => rotateKeys(deps, actor),
  }
}

async function findOrFail(deps: OperationsDeps, tenantId: string): Promise<TenantDatabases> {
  const found = await findTenantDatabases(deps.store, tenantId)
  if (found === null) throw fail('TENANT_NOT_FOUND')
  return found
}

async function record(deps: OperationsDeps, tenantId: string): Promise<TenantRecord> {
  const { tenant, current } = await findOrFail(deps, tenantId)
  const encryptionKeyId = await deps.vault.masterKeyIdOf(tenantId)
  const externalIds = (await findExternalIds(deps.store, [tenantId])).get(tenantId) ?? []
  return { tenant, externalIds, database: current, encryptionKeyId }
}

/** Tenants with their databases. Three statements, however many tenants there are. */
async function recordsOf(deps: OperationsDeps, listed: readonly Tenant[]): Promise<TenantRecord[]> {
  const ids = listed.map(({ id }) => id)
  const databases = await deps.registry.currentOf(ids)
  const keyIds = await deps.vault.masterKeyIdsOf(ids)
  const externalIds = await findExternalIds(deps.store, ids)
  return listed.map((tenant) => ({
    tenant,
    externalIds: externalIds.get(tenant.id) ?? [],
    database: databases.get(tenant.id) ?? null,
    encryptionKeyId: keyIds.get(tenant.id) ?? null,
  }))
}

async function changeTenant(
  deps: OperationsDeps,
  { tenantId, patch, actor }: { tenantId: string; patch: TenantPatch; actor: Actor },
): Promise<TenantRecord & { effective: Effective | null }> {
  if (patch.name !== undefined) assertName(patch.name)
  const { tenant, seq } = await patchTenant(deps.store, { id: tenantId, patch, actor })
  deps.onChanged(tenantId)
  const routing = [patch.status, patch.parentId, patch.externalIds].some((given) => given !== undefined)
  const effective = routing ? await effectiveSince(deps, tenantId, seq) : null
  return { ...(await record(deps, tenant.id)), effective }
}

/** If `seq` is null, nothing changed. The request may repeat an earlier one, so the result is that of the last change. */
async function effectiveSince(
  deps: OperationsDeps,
  tenantId: string,
  seq: number | null,
): Promise<Effective> {
  return seq === null
    ? effectiveOf(deps, tenantId, CONFIRMATION_TIMEOUT_MS)
    : deps.follower.confirmations(seq, CONFIRMATION_TIMEOUT_MS)
}

async function listChildren(deps: OperationsDeps, tenantId: string) {
  const { id, code, name, status } = tenants
  const query = deps.store.db.select({ id, code, name, status }).from(tenants)
  return catalogErrors(query.where(eq(tenants.parentId, tenantId)).orderBy(tenants.id).limit(1_000))
}

async function databaseState(deps: OperationsDeps, tenantId: string): Promise<DatabaseState> {
  const { tenant, current, candidate } = await findOrFail(deps, tenantId)
  if (current === null && candidate === null) throw fail('NOT_FOUND')
  const encryptionKeyId = await deps.vault.masterKeyIdOf(tenantId)
  return { tenant, current, candidate, encryptionKeyId, effective: await effectiveOf(deps, tenantId, 0) }
}

/** How many replicas apply the tenant's last change. Waits until all do, at most `waitMs`. */
async function effectiveOf(deps: OperationsDeps, tenantId: string, waitMs: number): Promise<Effective> {
  return deps.follower.confirmations(await lastRouteChange(deps.store, tenantId), waitMs)
}

/** Returns the entry as it was registered. A second read could find it validated already. */
async function register(
  deps: OperationsDeps,
  { tenantId, body, actor }: { tenantId: string; body: DatabaseRegistration; actor: Actor },
): Promise<DatabaseState> {
  const before = await findTenantDatabases(deps.store, tenantId)
  const entry = await registerDatabase(deps, { tenantId, registration: body, actor })
  deps.onChanged(tenantId)
  if (before === null) return databaseState(deps, tenantId)
  const encryptionKeyId = await deps.vault.masterKeyIdOf(tenantId)
  const slots = entry.slot === 'current' ? { current: entry, candidate: null } : { candidate: entry }
  return { ...before, ...slots, encryptionKeyId, effective: await effectiveOf(deps, tenantId, 0) }
}

/** Validates the candidate or, if there is none, the current entry. */
async function requestValidation(
  deps: OperationsDeps,
  { tenantId, adopt, actor }: { tenantId: string; adopt: boolean; actor: Actor },
): Promise<DatabaseState> {
  const { current, candidate } = await databaseState(deps, tenantId)
  const entry = candidate ?? current
  if (entry === null) throw fail('NOT_FOUND')
  await deps.store.transaction((tx) => deps.registry.requestValidation(tx, { id: entry.id, adopt }, actor))
  deps.wake()
  return databaseState(deps, tenantId)
}

/** Seals an intact log at once, so that the seal proves its present end. */
async function verifyAndSealAudit({ store, vault }: OperationsDeps): Promise<AuditVerdict> {
  const verdict = await verifyAudit(store, vault)
  if (verdict.ok) await sealAudit(store, vault.service)
  return verdict
}
