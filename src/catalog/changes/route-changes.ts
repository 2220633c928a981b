import { and, eq, max, sql } from 'drizzle-orm'
import { type CatalogStore, catalogErrors } from '../store.ts'
import { catalogChanges } from './schema.ts'

/**
 * The number of the last change of the tenant's placement, database or status; 0 if the log has none. Call it after reading the
 * state that the number belongs to. A change in between then counts as not yet in force, never the other way round.
 * @throws PublicError CATALOG_UNAVAILABLE
 */
export async function lastRouteChange(store: CatalogStore, tenantId: string): Promise<number> {
  // Written out, not as parameters, so that the planner can use the partial index.
  const concernsRoutes = sql`${catalogChanges.kind} in ('tenant', 'database')`
  const query = store.db
    .select({ last: max(catalogChanges.seq) })
    .from(catalogChanges)
    .where(and(eq(catalogChanges.tenantId, tenantId), concernsRoutes))
  const [row] = await catalogErrors(query)
  return row?.last ?? 0
}
