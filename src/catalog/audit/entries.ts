import { and, desc, eq, gte, lt, ne, notLike, or, type SQL } from 'drizzle-orm'
import type { DataKey } from '../../crypto/keyring.ts'
import { newId } from '../../lib/ids.ts'
import { idFromCursor, type Page, pageOf } from '../pages.ts'
import { type CatalogStore, type CatalogTx, catalogErrors } from '../store.ts'
import { type SeparatedRecord, separatePersons, storePersons } from './persons.ts'
import { auditLog } from './schema.ts'

/** The actor of an audit record, with the request and its address. */
export interface Actor {
  readonly type: 'operator' | 'user' | 'account' | 'external' | 'client-key' | 'system'
  readonly id: string
  readonly requestId: string | null
  readonly address: string | null
  /** The actor's own tenant, where it acts for another. */
  readonly ownTenantId?: string
}

export type AuditRow = typeof auditLog.$inferSelect

/** `action` is `noun.verb`. `before` and `after` hold what changed, and never a secret. `tenantId` is the tenant concerned. */
export interface AuditRecord {
  actor: Actor
  action: string
  tenantId: string | null
  before?: Record<string, unknown>
  after?: Record<string, unknown>
}

/** `from` is inclusive, `to` exclusive. `actor` is an actor's id. `hidePlacement` leaves out records that show the placement. */
export interface AuditFilter {
  /** The tenant of the actor, or the tenant that was acted for. */
  tenantId?: string
  actor?: string
  action?: string
  from?: Date
  to?: Date
  hidePlacement?: boolean
}

const MAX_ACTOR_LENGTH = 512
const CHAINED_BY_TRIGGER = { seq: 0, hash: Buffer.alloc(0) }

/** The actor of changes that the service makes by itself. `part` names the part of the service. */
export function systemActor(part: string): Actor {
  return { type: 'system', id: part, requestId: null, address: null }
}

/**
 * Writes one row of the audit log, in the transaction of the change. A record about people needs the data key that seals their
 * personal fields (`personKeyOwner` says which).
 */
export async function recordAudit(tx: CatalogTx, record: AuditRecord, key?: DataKey | null): Promise<void> {
  await insertAudit(tx, [prepareRecord(record, key)])
}

/** A row of the audit log and its personal fields, which another table stores. */
export interface PreparedRecord {
  readonly row: Omit<typeof auditLog.$inferInsert, 'at'> & { readonly at?: SQL<Date> }
  readonly content: SeparatedRecord
}

export async function insertAudit(
  tx: Pick<CatalogTx, 'insert' | 'delete'>,
  entries: readonly PreparedRecord[],
): Promise<void> {
  await tx.insert(auditLog).values(entries.map(({ row }) => row))
  await storePersons(
    tx,
    entries.map(({ content }) => content),
  )
}

/** Builds the row of a record. If the actor acts for another tenant, the row names both tenants. */
export function prepareRecord(record: AuditRecord, key?: DataKey | null): PreparedRecord {
  const { actor, action, tenantId } = record
  const { type, id: actorId, requestId, address, ownTenantId } = actor
  const acts = ownTenantId !== undefined && ownTenantId !== tenantId
  const id = newId()
  const content = separatePersons(record, id, key)
  const row = {
    ...{ id, ...CHAINED_BY_TRIGGER },
    // The actor's id may come from a tenant's own database, and an index limits the length of its values.
    ...{ actorType: type, actorId: actorId.slice(0, MAX_ACTOR_LENGTH), requestId, address, action },
    tenantId: acts ? ownTenantId : tenantId,
    actedForTenantId: acts ? tenantId : null,
    ...{ before: content.before ?? null, after: content.after ?? null },
    commitment: content.person?.commitment ?? null,
  }
  return { row, content }
}

/**
 * The audit log, newest first.
 *
 * @throws PublicError INVALID_CURSOR
 */
export async function listAudit(
  store: CatalogStore,
  filter: AuditFilter,
  page: { limit: number; cursor?: string | undefined },
): Promise<Page<AuditRow>> {
  const after = page.cursor === undefined ? undefined : lt(auditLog.id, idFromCursor(page.cursor))
  const query = store.db
    .select()
    .from(auditLog)
    .where(and(after, ...conditionsOf(filter)))
    .orderBy(desc(auditLog.id))
    .limit(page.limit + 1)
  return pageOf(await catalogErrors(query), page.limit)
}

function conditionsOf({ tenantId, actor, action, from, to, hidePlacement }: AuditFilter) {
  const concerns = (id: string) => or(eq(auditLog.tenantId, id), eq(auditLog.actedForTenantId, id))
  return [
    tenantId === undefined ? undefined : concerns(tenantId),
    actor === undefined ? undefined : eq(auditLog.actorId, actor),
    action === undefined ? undefined : eq(auditLog.action, action),
    from === undefined ? undefined : gte(auditLog.at, from),
    to === undefined ? undefined : lt(auditLog.at, to),
    ...(hidePlacement
      ? [ne(auditLog.action, 'tenant.home'), notLike(auditLog.action, 'tenant.database.%')]
      : []),
  ]
}
