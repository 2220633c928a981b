/** The operations of operators and of tenants' administrators. `create-operations.ts` implements them; the HTTP layer calls them. */

import type { AuditVerdict } from '../catalog/audit/chain.ts'
import type { Actor, AuditFilter, AuditRow } from '../catalog/audit/entries.ts'
import type { DatabaseEntry } from '../catalog/databases/entry.ts'
import type { ExternalId } from '../catalog/external-ids.ts'
import type { JobQuery } from '../catalog/jobs/list.ts'
import type { Job } from '../catalog/jobs/queue.ts'
import type { KeyRotation } from '../catalog/key-rotations.ts'
import type { Page } from '../catalog/pages.ts'
import type { RunRow } from '../catalog/runs/advance.ts'
import type { RunQuery } from '../catalog/runs/list.ts'
import type { RunRequest } from '../catalog/runs/options.ts'
import type { migrationRunDatabases } from '../catalog/runs/schema.ts'
import type { RunVerb } from '../catalog/runs/steer.ts'
import type { Tenant, TenantPatch, TenantQuery } from '../catalog/tenants.ts'
import type { PageRequest } from '../identity/callers/client-keys.ts'
import type { NewTenantInput } from './create-tenant.ts'
import type { Explanation } from './explanation.ts'
import type { DatabaseRegistration } from './register-database.ts'
import type { Removal } from './remove-database.ts'
import type { ServerOperations } from './servers/server-operations.ts'

export interface TenantRecord {
  readonly tenant: Tenant
  readonly externalIds: readonly ExternalId[]
  readonly database: DatabaseEntry | null
  /** As in `DatabaseState`; only if there is a database. */
  readonly encryptionKeyId?: string | null
}

/** How many replicas are alive, and how many of them apply a change already. */
export interface Effective {
  readonly replicas: number
  readonly confirmed: number
}

/** A tenant's database as operators see it. */
export interface DatabaseState {
  readonly tenant: Tenant
  readonly current: DatabaseEntry | null
  readonly candidate: DatabaseEntry | null
  /** Fingerprint of the master key that wraps the tenant's data key. */
  readonly encryptionKeyId: string | null
  /** For the last change of this tenant's route. */
  readonly effective: Effective
}

export interface EncryptionState {
  readonly currentKeyId: string
  /** How many secrets are sealed under each key id. */
  readonly counts: Readonly<Record<string, number>>
  /** The latest rotation, running or ended. */
  readonly rotation: KeyRotation | null
}

/**
 * Tenant ids are well-formed UUIDs in lower case. All throw TENANT_NOT_FOUND for an unknown tenant. The operations on a
 * database throw NOT_FOUND if the tenant has none.
 */
export interface Operations {
  readonly servers: ServerOperations
  createTenant(input: NewTenantInput, actor: Actor): Promise<TenantRecord>
  findTenant(tenantId: string): Promise<TenantRecord>
  /** What a request of the tenant would get from this process now, and why. */
  explainTenant(tenantId: string): Promise<Explanation>
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
  /** `adopt`: if the catalog and the stamps contradict each other, the operator chooses this database. */
  requestValidation(tenantId: string, choice: { adopt: boolean }, actor: Actor): Promise<DatabaseState>
  /** Resolves when every live replica applies the change, or after some seconds. */
  removeDatabase(tenantId: string, removal: Removal, actor: Actor): Promise<void>
  listAudit(filter: AuditFilter, request: PageRequest): Promise<Page<AuditRow>>
  /** Verifies the whole audit log. */
  verifyAudit(): Promise<AuditVerdict>
  listJobs(query: JobQuery): Promise<Page<Job>>
  findJob(id: string): Promise<Job>
  /** Throws WRONG_STATE for a job that has finished or cannot be cancelled. */
  cancelJob(id: string, actor: Actor): Promise<Job>
  /** Starts a run that migrates every database. Throws RUN_IN_PROGRESS while another run is unfinished. */
  startMigrations(request: RunRequest, actor: Actor): Promise<RunRow>
  /** Throws WRONG_STATE for a run in which the verb has no meaning. */
  steerMigrations(id: string, verb: RunVerb, actor: Actor): Promise<RunRow>
  listRuns(query: RunQuery): Promise<Page<RunRow>>
  findRun(id: string): Promise<RunRow>
  listRunDatabases(id: string, query: RunQuery): Promise<Page<typeof migrationRunDatabases.$inferSelect>>
  describeEncryption(): Promise<EncryptionState>
  /** Starts a rotation to the primary master key. Throws CONFLICT if a gateway has another one, or if a key is missing. */
  rotateEncryption(actor: Actor): Promise<EncryptionState>
}
