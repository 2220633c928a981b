import { and, eq, gt, sql } from 'drizzle-orm'
import { tenants } from './schema.ts'
import { type CatalogStore, catalogErrors } from './store.ts'

/** Ids of active tenants in ascending order, beginning after the id `after` (null: from the first). */
export async function activeTenantIds(
  { db }: CatalogStore,
  after: string | null,
  limit: number,
): Promise<string[]> {
  const wanted = and(eq(tenants.status, 'ACTIVE'), after === null ? undefined : gt(tenants.id, after))
  const query = db.select({ id: tenants.id }).from(tenants).where(wanted).orderBy(tenants.id).limit(limit)
  return (await catalogErrors(query)).map(({ id }) => id)
}

export async function countActiveTenants({ db }: CatalogStore): Promise<number> {
  const query = db
    .select({ count: sql<number>`count(*)::int` })
    .from(tenants)
    .where(eq(tenants.status, 'ACTIVE'))
  const [row] = await catalogErrors(query)
  return row?.count ?? 0
}
