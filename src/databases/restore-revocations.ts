import type pg from 'pg'
import { systemActor } from '../catalog/audit/entries.ts'
import { MAX_GENERATION } from '../identity/callers/revocations.ts'
import type { Announcements } from '../identity/people/announcements.ts'
import { isId } from '../identity/people/tenant-rows.ts'
import { inTenant } from './residence.ts'

export interface RestoreDeps {
  readonly announcements: Pick<Announcements, 'publish' | 'lowestOfTenant'>
  readonly log: { warn(fields: object, message: string): void }
}

/**
 * How far generations are raised above the announced ones. The margin also covers generations that were raised but not announced,
 * because the catalog was unavailable. The column has room for some thousand restores.
 */
const MARGIN = 1_000_000

/**
 * Restores revocations that a tenant database has lost because it was restored from a backup. Raises the generation of these users above
 * all announced ones. Tokens from the lost time are then revoked, new tokens are valid, and the users' login sessions end. Does nothing
 * if no revocation was lost.
 *
 * It announces the generations before it writes the users' rows. After a crash in between the rows are still behind; the next validation
 * or the user's next login finds that.
 * @throws PublicError CATALOG_UNAVAILABLE
 */
export async function restoreRevocations(
  { announcements, log }: RestoreDeps,
  client: pg.ClientBase,
  tenantId: string,
): Promise<void> {
  const lowest = announcements.lowestOfTenant(tenantId)
  if (lowest.size === 0) return
  const behind = await inTenant(client, tenantId, () => findBehind(client, tenantId, lowest))
  if (behind.length === 0) return
  const raised = behind.map((id) => {
    const generation = Math.min((lowest.get(id) ?? 0) + MARGIN, MAX_GENERATION)
    return { id, generation }
  })
  const record = { actor: systemActor('validation'), action: 'user.generation-raise', tenantId }
  await announcements.publish({ ...record, after: { users: raised.length }, voided: raised })
  await inTenant(client, tenantId, () => raise(client, tenantId, raised))
  log.warn(
    { tenantId, users: raised.length },
    'database had lost revocations; tokens and login sessions ended',
  )
}

async function findBehind(
  client: pg.ClientBase,
  tenantId: string,
  lowest: ReadonlyMap<string, number>,
): Promise<string[]> {
  const { rows } = await client.query<{ id: string }>(
    `SELECT u.id FROM public.users u
       JOIN ROWS FROM (pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::int[])) AS known (id, lowest) ON known.id = u.id::text
      WHERE u.tenant_id = $1 AND u.generation < known.lowest`,
    [tenantId, [...lowest.keys()], [...lowest.values()]],
  )
  return rows.map(({ id }) => id).filter(isId)
}

/** Locks the users' rows first and in the order of their ids, like all code that ends login sessions, so that there are no deadlocks. */
async function raise(
  client: pg.ClientBase,
  tenantId: string,
  raised: readonly { readonly id: string; readonly generation: number }[],
): Promise<void> {
  const ids = raised.map(({ id }) => id)
  await client.query(
    'SELECT FROM public.users WHERE tenant_id = $1 AND id = ANY ($2::uuid[]) ORDER BY id FOR UPDATE',
    [tenantId, ids],
  )
  await client.query(
    `UPDATE public.users u SET generation = GREATEST(u.generation, raised.generation)
       FROM ROWS FROM (pg_catalog.unnest($2::uuid[]), pg_catalog.unnest($3::int[])) AS raised (id, generation)
      WHERE u.tenant_id = $1 AND u.id = raised.id`,
    [tenantId, ids, raised.map(({ generation }) => generation)],
  )
  await client.query(
    `UPDATE public.sessions SET revoked_at = pg_catalog.now()
      WHERE tenant_id = $1 AND user_id = ANY ($2::uuid[]) AND revoked_at IS NULL`,
    [tenantId, ids],
  )
}
