import { bigint, index, jsonb, pgTable, text, uniqueIndex, uuid } from 'drizzle-orm/pg-core'
import { bytea, moment } from '../columns.ts'

/**
 * Append-only: triggers refuse UPDATE, DELETE and TRUNCATE. Written in the transaction of the change it records. A trigger
 * gives each row its number, without gaps, and the hash that chains it to the row before.
 */
export const auditLog = pgTable(
  'audit_log',
  {
    id: uuid('id').primaryKey(),
    seq: bigint('seq', { mode: 'number' }).notNull(),
    hash: bytea('hash').notNull(),
    at: moment('at').notNull().defaultNow(),
    actorType: text('actor_type').notNull(),
    actorId: text('actor_id').notNull(),
    tenantId: uuid('tenant_id'),
    actedForTenantId: uuid('acted_for_tenant_id'),
    action: text('action').notNull(),
    requestId: text('request_id'),
    address: text('address'),
    before: jsonb('before').$type<Record<string, unknown>>(),
    after: jsonb('after').$type<Record<string, unknown>>(),
    /** Over what `audit_persons` holds of this row: proves it, and tells nothing once that is gone. */
    commitment: bytea('commitment'),
  },
  (t) => [
    uniqueIndex('audit_log_seq_key').on(t.seq),
    index('audit_log_tenant_idx').on(t.tenantId, t.id),
    index('audit_log_acted_for_idx').on(t.actedForTenantId, t.id),
    index('audit_log_actor_idx').on(t.actorId, t.id),
    index('audit_log_action_idx').on(t.action, t.id),
  ],
)

/** Append-only. The chain's hash at some rows, proved by a key that the database does not have: who rewrites the whole chain cannot make these. */
export const auditSeals = pgTable('audit_seals', {
  seq: bigint('seq', { mode: 'number' }).primaryKey(),
  hash: bytea('hash').notNull(),
  mac: bytea('mac').notNull(),
  at: moment('at').notNull().defaultNow(),
})

/** Names, addresses and tax numbers of people in rows of the audit log. Deleted with the person. */
export const auditPersons = pgTable(
  'audit_persons',
  {
    auditId: uuid('audit_id').primaryKey(),
    /** A user's or an account's id. */
    personId: text('person_id').notNull(),
    /** Whose data key seals it; null: the service's, for accounts belong to no tenant. */
    tenantId: uuid('tenant_id'),
    sealed: bytea('sealed').notNull(),
  },
  (t) => [index('audit_persons_person_idx').on(t.personId)],
)

/** What a migration took out of older rows and could not seal, having no key. The first start seals it and leaves none. */
export const auditPersonsUnsealed = pgTable('audit_persons_unsealed', {
  auditId: uuid('audit_id').primaryKey(),
  personId: text('person_id').notNull(),
  tenantId: uuid('tenant_id'),
  salt: bytea('salt').notNull(),
  fields: text('fields').notNull(),
})

/**
 * Where the log was chained anew: its rows up to `throughSeq` were rewritten by a migration, which proved the former chain
 * first. `firstBreak` is what it found wrong. The first start checks the former seals as well, and seals the anchor.
 */
export const auditAnchors = pgTable('audit_anchors', {
  throughSeq: bigint('through_seq', { mode: 'number' }).primaryKey(),
  formerHash: bytea('former_hash').notNull(),
  hash: bytea('hash').notNull(),
  firstBreak: bigint('first_break', { mode: 'number' }),
  mac: bytea('mac'),
  at: moment('at').notNull().defaultNow(),
})

/** Seals of the chain before the anchor, with the hash that the migration computed for their row. */
export const auditFormerSeals = pgTable('audit_former_seals', {
  seq: bigint('seq', { mode: 'number' }).primaryKey(),
  hash: bytea('hash').notNull(),
  mac: bytea('mac').notNull(),
  found: bytea('found'),
})
