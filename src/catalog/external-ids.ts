import { and, asc, eq, inArray, sql } from 'drizzle-orm'
import { fail } from '../errors.ts'
import { externalIds, tenants } from './schema.ts'
import { type CatalogStore, type CatalogTx, catalogErrors } from './store.ts'

/** The id that a trusted issuer uses for a tenant in its tenant claim. `issuer` is its name in the settings. */
export interface ExternalId {
  readonly issuer: string
  readonly id: string
}

/** A tenant's sorted external ids as a column of a query over `tenants`. */
export const externalIdsColumn = sql<ExternalId[]>`(
  select coalesce(json_agg(json_build_object('issuer', e.issuer, 'id', e.external_id)
    order by e.issuer, e.external_id), '[]'::json)
  from ${externalIds} e where e.tenant_id = ${tenants.id})`

/** A condition: the tenant has this external id. */
export function hasExternalId({ issuer, id }: ExternalId) {
  return sql`${tenants.id} = (
    select e.tenant_id from ${externalIds} e where e.issuer = ${issuer} and e.external_id = ${id})`
}

/** The external ids of several tenants, in one statement. */
export async function findExternalIds(
  store: CatalogStore,
  tenantIds: readonly string[],
): Promise<ReadonlyMap<string, readonly ExternalId[]>> {
  if (tenantIds.length === 0) return new Map()
  const query = store.db.select({ id: tenants.id, ids: externalIdsColumn }).from(tenants)
  const rows = await catalogErrors(query.where(inArray(tenants.id, [...tenantIds])))
  return new Map(rows.map(({ id, ids }) => [id, ids]))
}

/**
 * Replaces a tenant's external ids; null if nothing changes. The transaction must have locked the tenant's row.
 *
 * @throws PublicError EXTERNAL_ID_TAKEN if another tenant has one of them
 */
export async function replaceExternalIds(
  tx: CatalogTx,
  tenantId: string,
  wanted: readonly ExternalId[],
): Promise<{ before: readonly ExternalId[]; after: readonly ExternalId[] } | null> {
  const before = await readOwn(tx, tenantId)
  const removed = before.filter((one) => !has(wanted, one))
  const added = wanted.filter((one) => !has(before, one)).toSorted(inOrder)
  if (removed.length === 0 && added.length === 0) return null
  for (const one of removed) await tx.delete(externalIds).where(is(one))
  await insertExternalIds(tx, tenantId, { wanted, added })
  return { before, after: await readOwn(tx, tenantId) }
}

async function readOwn(tx: CatalogTx, tenantId: string): Promise<ExternalId[]> {
  const { issuer, externalId } = externalIds
  const query = tx.select({ issuer, id: externalId }).from(externalIds)
  return query.where(eq(externalIds.tenantId, tenantId)).orderBy(asc(issuer), asc(externalId))
}

/** `added` must be sorted, so that two transactions that insert the same ids do not deadlock. */
async function insertExternalIds(
  tx: CatalogTx,
  tenantId: string,
  { wanted, added }: Record<'wanted' | 'added', readonly ExternalId[]>,
): Promise<void> {
  if (added.length === 0) return
  const values = added.map(({ issuer, id }) => ({ issuer, externalId: id, tenantId }))
  const made = await tx.insert(externalIds).values(values).onConflictDoNothing().returning()
  const taken = added.filter(({ issuer, id }) => {
    return !made.some((row) => row.issuer === issuer && row.externalId === id)
  })
  if (taken.length === 0) return
  const errors = taken.map((one) => {
    const at = wanted.findIndex((other) => isSame(one, other))
    return { pointer: `/externalIds/${at}`, message: 'belongs to another tenant' }
  })
  throw fail('EXTERNAL_ID_TAKEN', { errors })
}

function is({ issuer, id }: ExternalId) {
  return and(eq(externalIds.issuer, issuer), eq(externalIds.externalId, id))
}

function has(list: readonly ExternalId[], one: ExternalId): boolean {
  return list.some((other) => isSame(one, other))
}

function isSame(a: ExternalId, b: ExternalId): boolean {
  return a.issuer === b.issuer && a.id === b.id
}

/** Sorts external ids like `externalIdsColumn`. */
export function sortedExternalIds(list: readonly ExternalId[]): readonly ExternalId[] {
  return list.toSorted(inOrder)
}

function inOrder(a: ExternalId, b: ExternalId): number {
  const [one, other] = [`${a.issuer}\n${a.id}`, `${b.issuer}\n${b.id}`]
  return one < other ? -1 : Number(one > other)
}
