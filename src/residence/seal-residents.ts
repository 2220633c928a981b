import type pg from 'pg'
import type { SealOf } from '../catalog/seals.ts'
import { parseEpoch } from './epochs.ts'

const BATCH = 1_000
const FIRST_ID = '00000000-0000-0000-0000-000000000000'

/**
 * Writes the seal of every stamp in the shared database that has none, for example after the migration that added seals. Replicas
 * that run this at once write the same seals. Needs the role that owns the tables.
 * @returns the number of written seals
 */
export async function sealResidents(client: pg.ClientBase, sealOf: SealOf): Promise<number> {
  let sealed = 0
  for (let after = FIRST_ID; ; ) {
    const { rows } = await client.query<{ tenantId: string; epoch: string }>(
      `SELECT r.tenant_id::text AS "tenantId", r.epoch::text AS epoch FROM public.residence AS r
        WHERE r.seal IS NULL AND r.tenant_id >= $1 ORDER BY r.tenant_id LIMIT ${BATCH}`,
      [after],
    )
    const residences = rows.flatMap(({ tenantId, epoch: text }) => {
      const epoch = parseEpoch(text)
      return epoch === null ? [] : [{ tenantId, epoch, placement: 'shared' as const }]
    })
    const { rowCount } = await client.query(
      `UPDATE public.residence AS r SET seal = pg_catalog.decode(s.seal, 'hex')
         FROM ROWS FROM (pg_catalog.unnest($1::uuid[]), pg_catalog.unnest($2::bigint[]), pg_catalog.unnest($3::text[]))
              AS s (tenant_id, epoch, seal)
        WHERE r.tenant_id = s.tenant_id AND r.epoch = s.epoch AND r.seal IS NULL`,
      [
        residences.map(({ tenantId }) => tenantId),
        residences.map(({ epoch }) => epoch),
        residences.map((residence) => sealOf(residence).reveal()),
      ],
    )
    sealed += rowCount ?? 0
    const last = rows.at(-1)
    if (last === undefined || rows.length < BATCH) return sealed
    after = last.tenantId
  }
}
