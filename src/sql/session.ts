import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import type * as schema from '../residence/tables.ts'

/** drizzle over tenant units: every statement is one round trip that enters the tenant first. */
export type TenantDb = NodePgDatabase<typeof schema>

/** The only way to a tenant's rows. Whoever holds one cannot reach another tenant's, and cannot tell where these live. */
export interface TenantSession {
  readonly tenantId: string
  /** Single statements. A `select` runs in a read-only transaction of its own. */
  readonly db: TenantDb
  /** Runs `fn` in one transaction: commits when it resolves, rolls back when it throws. */
  transaction<T>(fn: (db: TenantDb) => Promise<T>): Promise<T>
}
