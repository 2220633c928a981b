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
 * How far generations are raised above the announced ones. Some generations may have been raised and, because the catalog was
 * unavailable, not announced: the margin is above these too. The column has room for some thousand restores.
 */
const MARGIN = 1_000_000

/**
 * Restores revocations that a tenant database has lost because it was restored from a backup. The generation of the users
 * concerned is raised above all announced ones: tokens from the lost time are void, new tokens are valid, and the users' login
 * sessions end. Does nothing if no revocation was lost.
 *
 * Announces before it writes the users' rows. After a crash in between the rows are still behind, and the next validation or
 * the user's next sign-in finds that.
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
  const voided = behind.map((id) => {
    const generation = Math.min((lowest.get(id) ?? 0) + MARGIN, MAX_GENERATION)
    return { id, generation }
  })
  const record = { actor: systemActor('validation'), action: 'user.generation-raise', tenantId }
  await announcements.publish({ ...record, after: { users: voided.length }, voided })
  await inTenant(client, tenantId, () => raise(client, tenantId, voided))
  log.warn({ tenantId, users: voided.length }, 'database had lost revocations; tokens and sessions ended')
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

/** Locks the users' rows first and in one order, as everything that ends sessions does: so there are no deadlocks. */
async function raise(
  client: pg.ClientBase,
  tenantId: string,
  voided: readonly { readonly id: string; readonly generation: number }[],
): Promise<void> {
  const ids = voided.map(({ id }) => id)
  await client.query(
    'SELECT FROM public.users WHERE tenant_id = $1 AND id = ANY ($2::uuid[]) ORDER BY id FOR UPDATE',
    [tenantId, ids],
  )
  await client.query(
    `UPDATE public.users u SET generation = GREATEST(u.generation, raised.generation)
       FROM ROWS FROM (pg_catalog.unnest($2::uuid[]), pg_catalog.unnest($3::int[])) AS raised (id, generation)
      WHERE u.tenant_id = $1 AND u.id = raised.id`,
    [tenantId, ids, voided.map(({ generation }) => generation)],
  )
  await client.query(
    `UPDATE public.sessions SET revoked_at = pg_catalog.now()
      WHERE tenant_id = $1 AND user_id = ANY ($2::uuid[]) AND revoked_at IS NULL`,
    [tenantId, ids],
  )
}
