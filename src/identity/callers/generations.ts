import { and, eq, sql } from 'drizzle-orm'
import { users } from '../../residence/tables.ts'
import type { TenantSession } from '../../sql/session.ts'
import { revokeSessionsOf } from '../login/sessions.ts'

/**
 * A user's row is behind what was announced of the user when the tenant's database has lost changes: it was restored from a
 * backup, or failed over to a standby that had not received them. The announcement stays in the catalog, and every token of
 * the row's generation would be refused. So the row is brought up to it. Something was taken from the user that the database
 * has forgotten, maybe because somebody else had the password or a token: the sessions that came back with it are ended.
 */
export async function catchUp(session: TenantSession, userId: string, lowest: number): Promise<void> {
  const { tenantId } = session
  await session.transaction(async (db) => {
    // First the user's row, as all who end sessions do.
    await db
      .update(users)
      .set({ generation: sql`greatest(${users.generation}, ${lowest}::int)` })
      .where(and(eq(users.tenantId, tenantId), eq(users.id, userId)))
    await revokeSessionsOf({ tenantId, db }, userId)
  })
}
