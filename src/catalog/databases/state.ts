import { eq } from 'drizzle-orm'
import { tenantDatabases, tenants } from '../schema.ts'
import { type CatalogStore, catalogErrors } from '../store.ts'
import type { Tenant } from '../tenants.ts'
import { type DatabaseEntry, entryColumns } from './entry.ts'

/** A tenant and its databases at one moment. */
export interface TenantDatabases {
  readonly tenant: Tenant
  readonly current: DatabaseEntry | null
  readonly candidate: DatabaseEntry | null
}

/** Reads a tenant with its databases in one statement. Two statements could see it before and after a move. */
export async function findTenantDatabases(
  store: CatalogStore,
  tenantId: string,
): Promise<TenantDatabases | null> {
  const query = store.db
    .select({ tenant: tenants, entry: entryColumns })
    .from(tenants)
    .leftJoin(tenantDatabases, eq(tenantDatabases.tenantId, tenants.id))
    .where(eq(tenants.id, tenantId))
  const rows = await catalogErrors(query)
  const [first] = rows
  if (first === undefined) return null
  const inSlot = (slot: string) => rows.find(({ entry }) => entry?.slot === slot)?.entry ?? null
  return { tenant: first.tenant, current: inSlot('current'), candidate: inSlot('candidate') }
}
