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
 * By how much more than what was announced: also above generations that were begun and, with the catalog away, never
 * announced. Some thousand restores fit into the column.
 */
const MARGIN = 1_000_000

/**
 * Puts right what a tenant's database has forgotten that was restored from a backup: users whose tokens were called back
 * since. Their generation is raised above all that was announced, so that tokens from the lost time are void and new ones
 * hold, and their sessions end. Does nothing where nothing was lost.
 *
 * Announced first: whatever comes in between, the users' rows are still behind and the next validation, or their next
 * sign-in, finds that.
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

/** First the users' rows, in one order, as all who end sessions do. */
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
