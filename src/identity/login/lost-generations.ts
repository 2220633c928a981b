import { and, eq, sql } from 'drizzle-orm'
import { users } from '../../residence/tables.ts'
import type { TenantSession } from '../../sql/session.ts'
import { revokeSessionsOf } from './sessions.ts'

/**
 * Raises a user's generation to the announced one. A row is below it if the tenant database has lost changes: it was restored
 * from a backup, or failed over to a standby without them. The announcement stays in the catalog, so every token of the row's
 * generation would be refused. The database has also lost the reason why the user's tokens were revoked. Perhaps another person
 * had the password or a token. So the login sessions that were restored with the row end.
 */
export async function raiseToAnnounced(
  session: TenantSession,
  userId: string,
  lowest: number,
): Promise<void> {
  const { tenantId } = session
  await session.transaction(async (db) => {
    // The user's row is locked first, as in every transaction that ends login sessions.
    await db
      .update(users)
      .set({ generation: sql`greatest(${users.generation}, ${lowest}::int)` })
      .where(and(eq(users.tenantId, tenantId), eq(users.id, userId)))
    await revokeSessionsOf({ tenantId, db }, userId)
  })
}
