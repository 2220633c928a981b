/** What operators, and tenants' own administrators, can have done; implemented by `desk.ts`, called by the HTTP layer. */
import type { Actor, AuditFilter, AuditRow } from '../catalog/audit.ts'
import type { DatabaseEntry } from '../catalog/database-entry.ts'
import type { Route } from '../catalog/directory.ts'
import type { Page } from '../catalog/pages.ts'
import type { Tenant, TenantPatch, TenantQuery } from '../catalog/tenants.ts'
import type { PageRequest } from '../identity/client-keys.ts'
import type { NewUser, PublicUser } from '../identity/users.ts'
import type { TenantSession } from '../tenant/session.ts'
import type { NewTenantInput } from './create-tenant.ts'
import type { DatabaseRegistration } from './register-database.ts'

/** Where a tenant's people are looked after: the tenant's rows, and the route by which they are reached. */
export interface Home {
  readonly route: Route
  readonly session: TenantSession
}

export interface TenantRecord {
  readonly tenant: Tenant
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
}

export interface EncryptionState {
  readonly currentKeyId: string
  /** How many secrets are sealed under each key id. */
  readonly counts: Readonly<Record<string, number>>
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
  requestValidation(tenantId: string, actor: Actor): Promise<DatabaseState>
  removeDatabase(tenantId: string, actor: Actor): Promise<void>
  createUser(home: Home, input: NewUser, actor: Actor): Promise<PublicUser>
  /** Every permission that the named roles of the tenant grant; roles that are not there grant none. */
  permissionsOfRoles(session: TenantSession, roles: readonly string[]): Promise<readonly string[]>
  listAudit(filter: AuditFilter, page: PageRequest): Promise<Page<AuditRow>>
  describeEncryption(): Promise<EncryptionState>
}
