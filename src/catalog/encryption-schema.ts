import { sql } from 'drizzle-orm'
import { check, index, integer, pgTable, text, uniqueIndex, uuid } from 'drizzle-orm/pg-core'
import { bytea, createdAt, moment } from './columns.ts'
import { tenants } from './schema.ts'

/** One random key for each tenant, and one for the service itself (no tenant). The master key wraps them. */
export const dataKeys = pgTable(
  'data_keys',
  {
    id: uuid('id').primaryKey(),
    tenantId: uuid('tenant_id').references(() => tenants.id),
    sealedKey: bytea('sealed_key').notNull(),
    masterKeyId: text('master_key_id').notNull(),
    rowVersion: integer('row_version').notNull().default(1),
    createdAt: createdAt(),
  },
  (t) => [
    uniqueIndex('data_keys_tenant_key').on(
      sql`coalesce(${t.tenantId}, '00000000-0000-0000-0000-000000000000'::uuid)`,
    ),
    index('data_keys_master_key_idx').on(t.masterKeyId),
  ],
)

/**
 * Rotations of the master key: each wraps every data key again under `key_id`. At most one is running. While one runs, the keys
 * left to wrap are counted from `data_keys`; `remaining` is written when it ends.
 */
export const encryptionRotations = pgTable(
  'encryption_rotations',
  {
    id: uuid('id').primaryKey(),
    keyId: text('key_id').notNull(),
    status: text('status').$type<RotationStatus>().notNull().default('running'),
    total: integer('total').notNull(),
    remaining: integer('remaining'),
    startedAt: moment('started_at').notNull().defaultNow(),
    finishedAt: moment('finished_at'),
  },
  (t) => [
    uniqueIndex('encryption_rotations_running_key').on(t.status).where(sql`${t.status} = 'running'`),
    check(
      'encryption_rotations_status_check',
      sql`${t.status} in ('running', 'done', 'failed', 'superseded')`,
    ),
    check(
      'encryption_rotations_finished_check',
      sql`(${t.status} = 'running') = (${t.finishedAt} is null) and (${t.status} = 'running') = (${t.remaining} is null)`,
    ),
  ],
)
/** `failed`: a data key does not open. `superseded`: a rotation to another key began before this one had ended. */
export type RotationStatus = 'running' | 'done' | 'failed' | 'superseded'
