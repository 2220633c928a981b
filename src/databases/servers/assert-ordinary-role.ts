import type pg from 'pg'
import { administratorsOf, type ServerIdentity } from '../../catalog/servers/administrators.ts'
import type { CatalogStore } from '../../catalog/store.ts'
import { CheckFailure } from '../failures.ts'

const ADMINISTERS =
  "The user administers this server for Freehold, or may become the role that does; create an ordinary user for the tenant's database"

/** A role counts as a member of itself. */
const IS_MEMBER = `
SELECT pg_catalog.count(*) > 0 AS "isMember" FROM pg_catalog.pg_roles r
 WHERE r.rolname = ANY($1::pg_catalog.text[]) AND (pg_catalog.pg_has_role(current_user, r.oid, 'MEMBER')
                                                 OR pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER'))`

/**
 * The role of a tenant's database may not administer the server: it could drop the databases of other tenants. The catalog knows the
 * server by its identifier, because a registration may use another name of it.
 * @throws CheckFailure ROLE_BYPASSES_RLS; PublicError CATALOG_UNAVAILABLE
 */
export async function assertOrdinaryRole(
  { db }: Pick<CatalogStore, 'db'>,
  client: pg.ClientBase,
  server: ServerIdentity,
): Promise<void> {
  const names = await administratorsOf(db, server)
  if (names.length === 0) return
  const { rows } = await client.query<{ isMember: boolean }>(IS_MEMBER, [names])
  if (rows[0]?.isMember !== false) throw new CheckFailure('ROLE_BYPASSES_RLS', undefined, ADMINISTERS)
}
