import { sql } from 'drizzle-orm'
import {
  type AnyPgColumn,
  bigint,
  boolean,
  check,
  customType,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core'
import type { HandshakeOptions } from '../lib/postgres/connection-string.ts'
import { bytea, createdAt, moment, updatedAt } from './columns.ts'
import { TENANT_CODE_PATTERN } from './tenant-code.ts'

/** A tenant's settings for the login of its own users. Durations are in seconds. */
export interface AuthConfig {
  passwordPolicy: { minLength: number; requireMixed: boolean }
  accessTokenSeconds: number
  refreshTokenSeconds: number
  /** How long a replaced refresh token may be used again and gets the same successor. */
  refreshReuseSeconds: number
  lockout: { attempts: number; windowSeconds: number }
}

/** Settings that did not exist when older tenants were created. */
const ADDED_SETTINGS = { refreshReuseSeconds: 10 }

const authConfig = customType<{ data: AuthConfig; driverData: unknown }>({
  dataType: () => 'jsonb',
  toDriver: (config) => JSON.stringify(config),
  fromDriver: (stored) => {
    const config: Omit<AuthConfig, keyof typeof ADDED_SETTINGS> =
      typeof stored === 'string' ? JSON.parse(stored) : stored
    return { ...ADDED_SETTINGS, ...config }
  },
})

export type Placement = 'shared' | 'dedicated'
export type TenantStatus = 'ACTIVE' | 'INACTIVE'
export type DatabaseStatus = 'pending_validation' | 'active' | 'failed' | 'inactive'

/** `epoch` grows each time the tenant moves to another database; the stamp in its tenant database has the same epoch. */
export const tenants = pgTable(
  'tenants',
  {
    id: uuid('id').primaryKey(),
    code: text('code').notNull(),
    name: text('name').notNull(),
    status: text('status').$type<TenantStatus>().notNull().default('ACTIVE'),
    parentId: uuid('parent_id').references((): AnyPgColumn => tenants.id),
    placement: text('placement').$type<Placement>().notNull().default('shared'),
    epoch: bigint('epoch', { mode: 'number' }).notNull().default(1),
    authConfig: authConfig('auth_config').notNull(),
    createdAt: createdAt(),
    updatedAt: updatedAt(),
  },
  (t) => [
    uniqueIndex('tenants_code_key').on(t.code),
    index('tenants_parent_id_idx').on(t.parentId),
    // For pages of a filtered list, which are in the order of the ids.
    index('tenants_status_idx').on(t.status, t.id),
    index('tenants_placement_idx').on(t.placement, t.id),
    check('tenants_code_check', sql`${t.code} ~ '${sql.raw(TENANT_CODE_PATTERN)}'`),
    check('tenants_status_check', sql`${t.status} in ('ACTIVE', 'INACTIVE')`),
    check('tenants_placement_check', sql`${t.placement} in ('shared', 'dedicated')`),
    check('tenants_parent_check', sql`${t.parentId} <> ${t.id}`),
  ],
)

/** The ids that trusted issuers use for tenants. An id of one issuer means nothing for another issuer. */
export const externalIds = pgTable(
  'external_ids',
  {
    issuer: text('issuer').notNull(),
    externalId: text('external_id').notNull(),
    tenantId: uuid('tenant_id')
      .notNull()
      .references(() => tenants.id),
    createdAt: createdAt(),
  },
  (t) => [
    primaryKey({ name: 'external_ids_pkey', columns: [t.issuer, t.externalId] }),
    index('external_ids_tenant_idx').on(t.tenantId),
  ],
)

/** The last migration applied in a tenant database, of each lineage. */
export interface SchemaVersion {
  readonly core: string | null
  readonly application: string | null
}

/**
 * Each tenant has at most one current and one candidate database. `sealed_connection_string` is bound to this row's id and
 * `row_version`. The parts of the connection string, except the password, are also stored unsealed. `claimed_until` is the lease
 * of a health check; it ends by the clock if the replica dies. Each claim writes a new `claimed_by`. Validations are jobs.
 */
export const tenantDatabases = pgTable(
  'tenant_databases',
  {
    id: uuid('id').primaryKey(),
    tenantId: uuid('tenant_id')
      .notNull()
      .references(() => tenants.id),
    slot: text('slot').$type<'current' | 'candidate'>().notNull(),
    rowVersion: integer('row_version').notNull().default(1),
    databaseType: text('database_type').$type<'postgres'>().notNull().default('postgres'),
    host: text('host').notNull(),
    port: integer('port').notNull(),
    databaseName: text('database_name').notNull(),
    userName: text('user_name').notNull(),
    applicationName: text('application_name'),
    sslMode: text('ssl_mode').notNull(),
    caCertificate: text('ca_certificate'),
    handshake: jsonb('handshake').$type<HandshakeOptions>().notNull().default({}),
    sealedConnectionString: bytea('sealed_connection_string').notNull(),
    poolSize: integer('pool_size').notNull(),
    idleTimeoutSeconds: integer('idle_timeout_seconds').notNull(),
    connectionTimeoutSeconds: integer('connection_timeout_seconds').notNull(),
    applyMigrations: boolean('apply_migrations').notNull(),
    status: text('status').$type<DatabaseStatus>().notNull().default('pending_validation'),
    moveRequired: boolean('move_required').notNull().default(false),
    lastErrorCode: text('last_error_code'),
    lastErrorMessage: text('last_error_message'),
    lastErrorAt: moment('last_error_at'),
    consecutiveFailures: integer('consecutive_failures').notNull().default(0),
    lastCheckedAt: moment('last_checked_at'),
    validatedAt: moment('validated_at'),
    schemaVersion: jsonb('schema_version').$type<SchemaVersion>(),
    serverVersion: text('server_version'),
    systemIdentifier: text('system_identifier'),
    databaseOid: bigint('database_oid', { mode: 'number' }),
    /** Failed validations since the last one that succeeded or that an operator requested. */
    validationAttempts: integer('validation_attempts').notNull().default(0),
    /** For the next validation: if the catalog and the stamps contradict each other, an operator has chosen this database. */
    adopt: boolean('adopt').notNull().default(false),
    claimedBy: uuid('claimed_by'),
    claimedUntil: moment('claimed_until'),
    createdAt: createdAt(),
    updatedAt: updatedAt(),
  },
  (t) => [
    uniqueIndex('tenant_databases_tenant_slot_key').on(t.tenantId, t.slot),
    index('tenant_databases_status_idx').on(t.status, t.lastCheckedAt),
    // In the order in which health checks are claimed.
    index('tenant_databases_due_idx')
      .on(t.lastCheckedAt.asc().nullsFirst())
      .where(sql`${t.status} in ('active', 'inactive')`),
    check('tenant_databases_slot_check', sql`${t.slot} in ('current', 'candidate')`),
    check(
      'tenant_databases_status_check',
      sql`${t.status} in ('pending_validation', 'active', 'failed', 'inactive')`,
    ),
  ],
)

/** Keys that sign access tokens: those of the service (no tenant) and of tenants that have their own. */
export const signingKeys = pgTable(
  'signing_keys',
  {
    id: uuid('id').primaryKey(),
    tenantId: uuid('tenant_id').references(() => tenants.id),
    kid: text('kid').notNull(),
    algorithm: text('algorithm').$type<'EdDSA' | 'ES256' | 'HS256'>().notNull(),
    sealedPrivateKey: bytea('sealed_private_key').notNull(),
    publicJwk: jsonb('public_jwk').$type<Record<string, unknown>>(),
    rowVersion: integer('row_version').notNull().default(1),
    createdAt: createdAt(),
    verifyUntil: moment('verify_until'),
  },
  (t) => [
    uniqueIndex('signing_keys_kid_key').on(t.kid),
    index('signing_keys_tenant_idx').on(t.tenantId),
    check('signing_keys_algorithm_check', sql`${t.algorithm} in ('EdDSA', 'ES256', 'HS256')`),
  ],
)

/** `lookup` finds the row and `secret_hash`, a keyed hash, verifies the key. The key itself is not stored. */
export const clientKeys = pgTable(
  'client_keys',
  {
    id: uuid('id').primaryKey(),
    tenantId: uuid('tenant_id')
      .notNull()
      .references(() => tenants.id),
    name: text('name').notNull(),
    permissions: text('permissions').array().notNull(),
    prefix: text('prefix').notNull(),
    lookup: text('lookup').notNull(),
    secretHash: bytea('secret_hash').notNull(),
    expiresAt: moment('expires_at'),
    lastUsedAt: moment('last_used_at'),
    revokedAt: moment('revoked_at'),
    createdAt: createdAt(),
  },
  (t) => [
    uniqueIndex('client_keys_lookup_key').on(t.lookup),
    index('client_keys_tenant_idx').on(t.tenantId, t.id),
  ],
)

export const operators = pgTable(
  'operators',
  {
    id: uuid('id').primaryKey(),
    name: text('name').notNull(),
    role: text('role').$type<'admin' | 'viewer'>().notNull(),
    prefix: text('prefix').notNull(),
    lookup: text('lookup').notNull(),
    tokenHash: bytea('token_hash').notNull(),
    revokedAt: moment('revoked_at'),
    createdAt: createdAt(),
  },
  (t) => [
    uniqueIndex('operators_lookup_key').on(t.lookup),
    check('operators_role_check', sql`${t.role} in ('admin', 'viewer')`),
  ],
)

/** People who belong to several tenants. `roles` apply in each tenant of the account. */
export const accounts = pgTable(
  'accounts',
  {
    id: uuid('id').primaryKey(),
    email: text('email').notNull(),
    name: text('name'),
    passwordHash: text('password_hash').notNull(),
    roles: text('roles').array().notNull().default([]),
    status: text('status').$type<'ACTIVE' | 'INACTIVE'>().notNull().default('ACTIVE'),
    /** Grows to revoke the tokens that were issued before. */
    generation: integer('generation').notNull().default(0),
    createdAt: createdAt(),
    updatedAt: updatedAt(),
  },
  (t) => [
    uniqueIndex('accounts_email_key').on(sql`lower(${t.email})`),
    check('accounts_status_check', sql`${t.status} in ('ACTIVE', 'INACTIVE')`),
  ],
)

/** The tenants of an account, with the names of the account's roles in each. */
export const accountMemberships = pgTable(
  'account_memberships',
  {
    accountId: uuid('account_id')
      .notNull()
      .references(() => accounts.id, { onDelete: 'cascade' }),
    tenantId: uuid('tenant_id')
      .notNull()
      .references(() => tenants.id),
    roles: text('roles').array().notNull(),
    createdAt: createdAt(),
    updatedAt: updatedAt(),
  },
  (t) => [
    primaryKey({ name: 'account_memberships_pkey', columns: [t.accountId, t.tenantId] }),
    index('account_memberships_tenant_idx').on(t.tenantId, t.accountId),
  ],
)
