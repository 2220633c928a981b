/** What operators, and tenants' own administrators, can have done; implemented by `create-operations.ts`, called by the HTTP layer. */

import type { AuditVerdict } from '../catalog/audit/chain.ts'
import type { Actor, AuditFilter, AuditRow } from '../catalog/audit/entries.ts'
import type { DatabaseEntry } from '../catalog/databases/entry.ts'
import type { ExternalId } from '../catalog/external-ids.ts'
import type { JobQuery } from '../catalog/jobs/list.ts'
import type { MigrationRun } from '../catalog/jobs/migration-runs.ts'
import type { Job } from '../catalog/jobs/queue.ts'
import type { KeyRotation } from '../catalog/key-rotations.ts'
import type { Page } from '../catalog/pages.ts'
import type { Tenant, TenantPatch, TenantQuery } from '../catalog/tenants.ts'
import type { PageRequest } from '../identity/callers/client-keys.ts'
import type { NewTenantInput } from './create-tenant.ts'
import type { DatabaseRegistration } from './register-database.ts'
import type { Removal } from './remove-database.ts'

export interface TenantRecord {
  readonly tenant: Tenant
  readonly externalIds: readonly ExternalId[]
  readonly database: DatabaseEntry | null
  /** As in `DatabaseState`; only where there is a database. */
  readonly encryptionKeyId?: string | null
}

/** How many replicas live, and how many of them apply a change already. */
export interface Effective {
  readonly replicas: number
  readonly confirmed: number
}

/** A tenant's database as operators see it. */
export interface DatabaseState {
  readonly tenant: Tenant
  readonly current: DatabaseEntry | null
  readonly candidate: DatabaseEntry | null
  /** Fingerprint of the master key under which the tenant's secrets are sealed. */
  readonly encryptionKeyId: string | null
  /** Of the last change of this tenant's route, whatever it was. */
  readonly effective: Effective
}

export interface EncryptionState {
  readonly currentKeyId: string
  /** How many secrets are sealed under each key id. */
  readonly counts: Readonly<Record<string, number>>
  /** The latest, whether it is running or over. */
  readonly rotation: KeyRotation | null
}

/**
 * One verb each. Tenant ids are well-formed UUIDs in lower case; TENANT_NOT_FOUND for those of no tenant, NOT_FOUND
 * from the database verbs where the tenant has none.
 */
export interface Operations {
  createTenant(input: NewTenantInput, actor: Actor): Promise<TenantRecord>
  findTenant(tenantId: string): Promise<TenantRecord>
  listTenants(query: TenantQuery): Promise<Page<TenantRecord>>
  /** `effective` is null when the change did not touch routing. */
  patchTenant(
    tenantId: string,
    patch: TenantPatch,
    actor: Actor,
  ): Promise<TenantRecord & { readonly effective: Effective | null }>
  listChildren(tenantId: string): Promise<readonly Pick<Tenant, 'id' | 'code' | 'name' | 'status'>[]>
  registerDatabase(tenantId: string, body: DatabaseRegistration, actor: Actor): Promise<DatabaseState>
  describeDatabase(tenantId: string): Promise<DatabaseState>
  /** `adopt` decides for the database where the catalog and the stamps contradict each other. */
  requestValidation(tenantId: string, choice: { adopt: boolean }, actor: Actor): Promise<DatabaseState>
  /** Resolves when every live replica applies it, or after seconds. */
  removeDatabase(tenantId: string, removal: Removal, actor: Actor): Promise<void>
  listAudit(filter: AuditFilter, page: PageRequest): Promise<Page<AuditRow>>
  /** Proves the audit log from its first row to its last. */
  verifyAudit(): Promise<AuditVerdict>
  listJobs(query: JobQuery): Promise<Page<Job>>
  findJob(id: string): Promise<Job>
  /** WRONG_STATE for one that has finished or cannot be cancelled. */
  cancelJob(id: string, actor: Actor): Promise<Job>
  /** Begins to bring every database up to date. RUN_IN_PROGRESS while that is being done. */
  startMigrations(actor: Actor): Promise<MigrationRun>
  describeEncryption(): Promise<EncryptionState>
  /** Has everything sealed anew under the primary key. CONFLICT where that would not end well. */
  rotateEncryption(actor: Actor): Promise<EncryptionState>
}
