import type { TenantDb, TenantSession } from '../sql/session.ts'

/** The session of a transaction under way: whoever wants a transaction of their own works in this one. */
export function within(tenantId: string, db: TenantDb): TenantSession {
  return { tenantId, db, transaction: (fn) => fn(db) }
}
