import { sql } from 'drizzle-orm'
import { bigint, index, integer, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import { moment } from '../columns.ts'

/**
 * Append-only, gap-free: `seq` is given under an advisory lock, so a reader at n has seen all of 1…n. After a failover that
 * lost changes, or a restore, another change may have the same number; it never has the same `id`.
 */
export const catalogChanges = pgTable(
  'catalog_changes',
  {
    seq: bigint('seq', { mode: 'number' }).primaryKey(),
    /** Has a default because releases that do not know this column write here, too, while replicas are replaced. */
    id: uuid('id').notNull().default(sql`gen_random_uuid()`),
    kind: text('kind').$type<ChangeKind>().notNull(),
    tenantId: uuid('tenant_id'),
    subjectId: text('subject_id'),
    at: moment('at').notNull().defaultNow(),
  },
  (t) => [
    index('catalog_changes_tokens_idx').on(t.at).where(sql`${t.kind} = 'tokens'`),
    index('catalog_changes_routes_idx').on(t.tenantId, t.seq).where(sql`${t.kind} in ('tenant', 'database')`),
  ],
)
/**
 * `tokens`: those given out to a subject before its present generation are void. `role`: a tenant's roles changed.
 * `encryption`: a rotation of the master key began or ended.
 */
export type ChangeKind =
  | 'tenant'
  | 'database'
  | 'client-key'
  | 'operator'
  | 'signing-key'
  | 'account'
  | 'tokens'
  | 'role'
  | 'encryption'

/**
 * The gateway processes that live, how far each has followed `catalog_changes`, and how many of the connections that all
 * have together, in all and to each database server, each may still hold.
 */
export const replicas = pgTable('replicas', {
  id: uuid('id').primaryKey(),
  startedAt: moment('started_at').notNull().defaultNow(),
  heartbeatAt: moment('heartbeat_at').notNull().defaultNow(),
  appliedSeq: bigint('applied_seq', { mode: 'number' }).notNull().default(0),
  /** The `id` of the change `applied_seq`; null before the first change, and for a release that does not tell it. */
  appliedId: uuid('applied_id'),
  connectionShare: integer('connection_share').notNull().default(0),
  serverShare: integer('server_share').notNull().default(0),
  /** How many it was told that all have together, in all and to each server; null for a release that does not tell it. */
  connectionLimit: integer('connection_limit'),
  serverLimit: integer('server_limit'),
  /** Fingerprint of the master key under which it seals; null for one that is older than this column. */
  primaryKeyId: text('primary_key_id'),
})
