import { sql } from 'drizzle-orm'
import { bigint, index, integer, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import { moment } from '../columns.ts'

/**
 * Append-only, without gaps: `seq` is assigned under an advisory lock, so a reader at n has seen all of 1…n. After a restore, or a
 * failover that lost changes, another change may get the same number, but never the same `id`.
 */
export const catalogChanges = pgTable(
  'catalog_changes',
  {
    seq: bigint('seq', { mode: 'number' }).primaryKey(),
    /** Has a default, because during an upgrade older releases insert rows without this column. */
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
 * `tokens`: the tokens that a subject got before its current generation are revoked. `role`: a tenant's roles changed.
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
 * One row for each live gateway process: the last change of `catalog_changes` that it has applied, and its share of the
 * connections of all processes, in total and to each database server.
 */
export const replicas = pgTable('replicas', {
  id: uuid('id').primaryKey(),
  startedAt: moment('started_at').notNull().defaultNow(),
  heartbeatAt: moment('heartbeat_at').notNull().defaultNow(),
  appliedSeq: bigint('applied_seq', { mode: 'number' }).notNull().default(0),
  /** The `id` of the change `applied_seq`; null before the first change, and from an older release. */
  appliedId: uuid('applied_id'),
  connectionShare: integer('connection_share').notNull().default(0),
  serverShare: integer('server_share').notNull().default(0),
  /** The limits for all processes together, as this process was configured; null from an older release. */
  connectionLimit: integer('connection_limit'),
  serverLimit: integer('server_limit'),
  /** Fingerprint of the master key with which the process seals; null from an older release. */
  primaryKeyId: text('primary_key_id'),
})
