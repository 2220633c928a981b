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
    /** A hash that proves the personal fields in `audit_persons`. Once they are deleted it reveals nothing. */
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

/**
 * Append-only. MACs over the chain's hash at some rows. The key is not in the database, so its owner can rewrite the
 * chain but not these.
 */
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
    /** The tenant whose data key seals the row. Null is the service: accounts belong to no tenant. */
    tenantId: uuid('tenant_id'),
    sealed: bytea('sealed').notNull(),
  },
  (t) => [index('audit_persons_person_idx').on(t.personId)],
)

/** Personal fields that a migration took out of older rows. A migration has no key, so the next start seals them. */
export const auditPersonsUnsealed = pgTable('audit_persons_unsealed', {
  auditId: uuid('audit_id').primaryKey(),
  personId: text('person_id').notNull(),
  tenantId: uuid('tenant_id'),
  salt: bytea('salt').notNull(),
  fields: text('fields').notNull(),
})

/**
 * A migration has rewritten the rows up to `throughSeq` and chained them again. It verified the former chain first; `firstBreak`
 * is the first fault it found. The next start also checks the former seals and then seals the anchor.
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
