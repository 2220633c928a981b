/** What the HTTP layer asks of the rest of the house. Built in the composition root. */
import type { Actor, AuditFilter, AuditRow } from '../catalog/audit.ts'
import type { Route, RouteDirectory } from '../catalog/directory.ts'
import type { Page } from '../catalog/pages.ts'
import type { DatabaseStatus, tenantDatabases } from '../catalog/schema.ts'
import type { NewTenant, Tenant, TenantPatch, TenantQuery } from '../catalog/tenants.ts'
import type { CursorCodec } from '../data/cursor.ts'
import type { ClientKeys, PageRequest } from '../identity/client-keys.ts'
import type { SignInParts } from '../identity/login.ts'
import type { Operators } from '../identity/operators.ts'
import type { SigningKeys } from '../identity/signing.ts'
import type { AccessTokens } from '../identity/tokens.ts'
import type { NewUser, PublicUser } from '../identity/users.ts'
import type { Logger } from '../logger.ts'
import type { Metrics } from '../metrics.ts'
import type { TenantSession } from '../tenant/session.ts'

export interface HttpDeps {
  readonly settings: HttpSettings
  readonly log: Logger
  readonly metrics: Metrics
  readonly lifecycle: { isStarting(): boolean; isDraining(): boolean }
  readonly directory: Pick<RouteDirectory, 'peekById' | 'byId' | 'peekByCode' | 'byCode'>
  readonly tokens: Pick<AccessTokens, 'peek' | 'verify'>
  readonly clientKeys: Pick<ClientKeys, 'authenticate' | 'create' | 'list' | 'find' | 'revoke'>
  readonly operators: Pick<Operators, 'recognises' | 'authenticate' | 'create' | 'list' | 'revoke'>
  readonly signingKeys: Pick<SigningKeys, 'jwks'>
  readonly signIn: SignInParts
  readonly sessions: { open(route: Route): TenantSession }
  /** Whether the tenant's own database is known not to answer, so that only the catalog's part can be served. */
  homeIsDown(route: Route): boolean
  readonly operations: Operations
  readonly probes: Probes
  readonly cursors: CursorCodec
}

export interface HttpSettings {
  /** In lower case. */
  readonly actForHeader: string
  readonly version: string
  /** The whole of a request, its body included, must have arrived after this. */
  readonly requestTimeoutMs?: number
}

/** Where a tenant's people are looked after: the tenant's rows, and the route by which they are reached. */
export interface Home {
  readonly route: Route
  readonly session: TenantSession
}

/** A row of `tenant_databases` without the sealed value. */
export type DatabaseEntry = Omit<typeof tenantDatabases.$inferSelect, 'sealedConnectionString'>

export interface TenantRecord {
  readonly tenant: Tenant
  readonly database: DatabaseEntry | null
}

/** How many replicas live, and how many of them apply a change already. */
export interface Effective {
  readonly replicas: number
  readonly confirmed: number
}

export interface NewTenantInput extends NewTenant {
  admin?: { email: string; password: string; name?: string }
}

/** As the body of `PUT …/database` says it, defaults filled in. */
export interface DatabaseRegistration {
  readonly connectionString: string
  readonly databaseType: 'postgres'
  readonly caCertificate?: string
  readonly poolSize: number
  readonly idleTimeoutSeconds: number
  readonly connectionTimeoutSeconds: number
  readonly applyMigrations: boolean
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

export interface Probes {
  /** `ready` once the catalog has been reached and the migrations match. */
  readiness(): 'ready' | 'starting'
  /** Milliseconds of one round trip; rejects when it fails. May hang: the caller sets the deadline. */
  pingCatalog(): Promise<number>
  pingShared(): Promise<number>
  countDatabases(): Promise<Readonly<Record<DatabaseStatus, number>>>
  gauges(): ProbeGauges
}

export interface ProbeGauges {
  readonly activePools: number
  readonly cachedConfigs: number
  readonly connections: { readonly open: number; readonly max: number }
}
