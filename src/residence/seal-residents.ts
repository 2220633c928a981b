import type pg from 'pg'
import type { SealOf } from '../catalog/seals.ts'
import { parseEpoch } from './epochs.ts'

const BATCH = 1_000
const FIRST_ID = '00000000-0000-0000-0000-000000000000'

/**
 * Gives every stamp of the shared database that has none its seal, as after the migration that brought seals. Replicas that do it
 * at once write the same. Needs the role that owns the tables.
 * @returns how many
 */
export async function sealResidents(client: pg.ClientBase, sealOf: SealOf): Promise<number> {
  let sealed = 0
  for (let after = FIRST_ID; ; ) {
    const { rows } = await client.query<{ tenantId: string; epoch: string }>(
      `SELECT r.tenant_id::text AS "tenantId", r.epoch::text AS epoch FROM public.residence AS r
        WHERE r.seal IS NULL AND r.tenant_id >= $1 ORDER BY r.tenant_id LIMIT ${BATCH}`,
      [after],
    )
    const homes = rows.flatMap(({ tenantId, epoch: text }) => {
      const epoch = parseEpoch(text)
      return epoch === null ? [] : [{ tenantId, epoch, placement: 'shared' as const }]
    })
    const { rowCount } = await client.query(
      `UPDATE public.residence AS r SET seal = pg_catalog.decode(s.seal, 'hex')
         FROM ROWS FROM (pg_catalog.unnest($1::uuid[]), pg_catalog.unnest($2::bigint[]), pg_catalog.unnest($3::text[]))
              AS s (tenant_id, epoch, seal)
        WHERE r.tenant_id = s.tenant_id AND r.epoch = s.epoch AND r.seal IS NULL`,
      [
        homes.map(({ tenantId }) => tenantId),
        homes.map(({ epoch }) => epoch),
        homes.map((home) => sealOf(home).reveal()),
      ],
    )
    sealed += rowCount ?? 0
    const last = rows.at(-1)
    if (last === undefined || rows.length < BATCH) return sealed
    after = last.tenantId
  }
}
