import { sql } from 'drizzle-orm'
import {
  bigint,
  boolean,
  check,
  foreignKey,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core'
import { bytea, createdAt, id, moment, tenantId, updatedAt } from './columns.ts'

/**
 * The core's schema in every tenant database, shared or dedicated. `isolation.ts` checks these rules in a running database: a table
 * with tenants' rows has `tenant_id`; its primary key, unique indexes and foreign keys begin with it; and row-level security is
 * enabled and forced (`SELECT freehold_protect('table')` in the migration that creates the table).
 */
/** The tenants of this database, each with its epoch and fence. Every unit reads it before its statement. */
export const residence = pgTable(
  'residence',
  {
    tenantId: uuid('tenant_id').primaryKey(),
    epoch: bigint('epoch', { mode: 'number' }).notNull(),
    /** `left`: the tenant has moved to another database, and its rows here are not read any more. */
    state: text('state').$type<'open' | 'fenced' | 'left'>().notNull().default('open'),
    stampedAt: moment('stamped_at').notNull().defaultNow(),
    /** A unit must know the seal to read or write rows. Without a seal no unit can. */
    seal: bytea('seal'),
    /** True if changes are captured for the move `moveId`. */
    capture: boolean('capture').notNull().default(false),
    moveId: uuid('move_id'),
  },
  (t) => [
    check('residence_state_check', sql`${t.state} in ('open', 'fenced', 'left')`),
    check('residence_seal_check', sql`octet_length(${t.seal}) = 32`),
  ],
).enableRLS()

export const users = pgTable(
  'users',
  {
    tenantId: tenantId(),
    id: id(),
    email: text('email').notNull(),
    username: text('username'),
    name: text('name'),
    taxNumber: text('tax_number'),
    passwordHash: text('password_hash').notNull(),
    status: text('status').$type<'ACTIVE' | 'INACTIVE'>().notNull().default('ACTIVE'),
    /** Grows to revoke the access tokens that were issued before. */
    generation: integer('generation').notNull().default(0),
    createdAt: createdAt(),
    updatedAt: updatedAt(),
  },
  (t) => [
    primaryKey({ name: 'users_pkey', columns: [t.tenantId, t.id] }),
    uniqueIndex('users_email_key').on(t.tenantId, sql`lower(${t.email})`),
    uniqueIndex('users_username_key').on(t.tenantId, sql`lower(${t.username})`),
    uniqueIndex('users_tax_number_key').on(t.tenantId, t.taxNumber),
    check('users_status_check', sql`${t.status} in ('ACTIVE', 'INACTIVE')`),
  ],
)

export const roles = pgTable(
  'roles',
  {
    tenantId: tenantId(),
    id: id(),
    name: text('name').notNull(),
    description: text('description'),
    createdAt: createdAt(),
    updatedAt: updatedAt(),
  },
  (t) => [
    primaryKey({ name: 'roles_pkey', columns: [t.tenantId, t.id] }),
    uniqueIndex('roles_name_key').on(t.tenantId, t.name),
  ],
)

export const rolePermissions = pgTable(
  'role_permissions',
  { tenantId: tenantId(), roleId: uuid('role_id').notNull(), permission: text('permission').notNull() },
  (t) => [
    primaryKey({ name: 'role_permissions_pkey', columns: [t.tenantId, t.roleId, t.permission] }),
    foreignKey({
      name: 'role_permissions_role_fkey',
      columns: [t.tenantId, t.roleId],
      foreignColumns: [roles.tenantId, roles.id],
    }).onDelete('cascade'),
  ],
)

export const userRoles = pgTable(
  'user_roles',
  { tenantId: tenantId(), userId: uuid('user_id').notNull(), roleId: uuid('role_id').notNull() },
  (t) => [
    primaryKey({ name: 'user_roles_pkey', columns: [t.tenantId, t.userId, t.roleId] }),
    index('user_roles_role_idx').on(t.tenantId, t.roleId),
    foreignKey({
      name: 'user_roles_user_fkey',
      columns: [t.tenantId, t.userId],
      foreignColumns: [users.tenantId, users.id],
    }).onDelete('cascade'),
    foreignKey({
      name: 'user_roles_role_fkey',
      columns: [t.tenantId, t.roleId],
      foreignColumns: [roles.tenantId, roles.id],
    }),
  ],
)

/**
 * Refresh tokens, one row each. The token itself is not stored. The row of a rotated token stays (`replaced_at`), so that a second
 * use is noticed and the whole family is revoked. A rotation extends `expires_at`, but never `absolute_expires_at`.
 */
export const sessions = pgTable(
  'sessions',
  {
    tenantId: tenantId(),
    id: id(),
    familyId: uuid('family_id').notNull(),
    userId: uuid('user_id').notNull(),
    tokenHash: text('token_hash').notNull(),
    createdAt: createdAt(),
    lastUsedAt: moment('last_used_at').notNull().defaultNow(),
    expiresAt: moment('expires_at').notNull(),
    absoluteExpiresAt: moment('absolute_expires_at').notNull(),
    revokedAt: moment('revoked_at'),
    replacedAt: moment('replaced_at'),
  },
  (t) => [
    primaryKey({ name: 'sessions_pkey', columns: [t.tenantId, t.id] }),
    uniqueIndex('sessions_token_hash_key').on(t.tenantId, t.tokenHash),
    index('sessions_family_idx').on(t.tenantId, t.familyId),
    index('sessions_user_idx').on(t.tenantId, t.userId),
    index('sessions_expiry_idx').on(t.tenantId, t.absoluteExpiresAt),
    foreignKey({
      name: 'sessions_user_fkey',
      columns: [t.tenantId, t.userId],
      foreignColumns: [users.tenantId, users.id],
    }).onDelete('cascade'),
    check('sessions_token_hash_check', sql`${t.tokenHash} ~ '^[0-9a-f]{64}$'`),
  ],
)

/** Counts wrong passwords in a row, by a hash of the typed name, whether or not such a user exists. */
export const loginAttempts = pgTable(
  'login_attempts',
  {
    tenantId: tenantId(),
    subject: text('subject').notNull(),
    attempts: integer('attempts').notNull(),
    expiresAt: moment('expires_at').notNull(),
  },
  (t) => [
    primaryKey({ name: 'login_attempts_pkey', columns: [t.tenantId, t.subject] }),
    index('login_attempts_expiry_idx').on(t.tenantId, t.expiresAt),
    check('login_attempts_subject_check', sql`${t.subject} ~ '^[0-9a-f]{64}$'`),
  ],
)

/**
 * Answers to requests with an `Idempotency-Key`, written in the transaction of the request. `key` is the SHA-256 of principal and
 * key. `fingerprint` is the SHA-256 of method, path and body.
 */
export const idempotencyKeys = pgTable(
  'idempotency_keys',
  {
    tenantId: tenantId(),
    key: text('key').notNull(),
    fingerprint: text('fingerprint').notNull(),
    status: integer('status'),
    headers: jsonb('headers').$type<Record<string, string>>(),
    body: jsonb('body').$type<unknown>(),
    expiresAt: moment('expires_at').notNull(),
    createdAt: createdAt(),
  },
  (t) => [
    primaryKey({ name: 'idempotency_keys_pkey', columns: [t.tenantId, t.key] }),
    index('idempotency_keys_expiry_idx').on(t.tenantId, t.expiresAt),
  ],
)
