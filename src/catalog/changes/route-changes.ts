import { and, eq, max, sql } from 'drizzle-orm'
import { type CatalogStore, catalogErrors } from '../store.ts'
import { catalogChanges } from './schema.ts'

/**
 * The number of the last change that concerns where the tenant lives or whether it is let in; 0 if the log has none. Read
 * after what it is to stand beside: a change in between then counts as not in force yet, and never as if it were.
 * @throws PublicError CATALOG_UNAVAILABLE
 */
export async function lastRouteChange(store: CatalogStore, tenantId: string): Promise<number> {
  // Written out, not as parameters, so that the planner can tell that the partial index will do.
  const concernsRoutes = sql`${catalogChanges.kind} in ('tenant', 'database')`
  const query = store.db
    .select({ last: max(catalogChanges.seq) })
    .from(catalogChanges)
    .where(and(eq(catalogChanges.tenantId, tenantId), concernsRoutes))
  const [row] = await catalogErrors(query)
  return row?.last ?? 0
}
