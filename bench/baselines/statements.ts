import { newId } from '../../src/lib/ids.ts'
import type { NewPlace, Place, Places } from './service.ts'

const FIELDS =
  'id, name, kind, address, latitude, longitude, created_at AS "createdAt", updated_at AS "updatedAt"'

/** A statement as pg takes it. It has a name, so that a connection prepares it once. */
export interface Statement {
  readonly name: string
  readonly text: string
  readonly values: unknown[]
}

export const FIND_TEXT = `SELECT ${FIELDS} FROM places WHERE tenant_id = $1 AND id = $2`

const find = (tenantId: string, id: string): Statement => ({
  ...{ name: 'find', text: FIND_TEXT, values: [tenantId, id] },
})

const list = (tenantId: string, limit: number): Statement => ({
  name: 'list',
  text: `SELECT ${FIELDS} FROM places WHERE tenant_id = $1 ORDER BY created_at, id LIMIT $2`,
  values: [tenantId, limit],
})

const insert = (tenantId: string, { name, kind, address, latitude, longitude }: NewPlace): Statement => ({
  name: 'insert',
  text: `INSERT INTO places (tenant_id, id, name, kind, address, latitude, longitude)
    VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING ${FIELDS}`,
  values: [tenantId, newId(), name, kind ?? null, address ?? null, latitude ?? null, longitude ?? null],
})

const update = (
  tenantId: string,
  id: string,
  { name, kind, address, latitude, longitude }: Partial<NewPlace>,
): Statement => ({
  name: 'update',
  text: `UPDATE places SET name = coalesce($3, name), kind = coalesce($4, kind), address = coalesce($5, address),
    latitude = coalesce($6, latitude), longitude = coalesce($7, longitude), updated_at = now()
    WHERE tenant_id = $1 AND id = $2 RETURNING ${FIELDS}`,
  values: [tenantId, id, name ?? null, kind ?? null, address ?? null, latitude ?? null, longitude ?? null],
})

/** The statements of a careful developer: named, with the tenant in each WHERE. `query` runs one for a tenant. */
export function placesBy(query: (tenantId: string, statement: Statement) => Promise<Place[]>): Places {
  return {
    find: async (tenantId, id) => (await query(tenantId, find(tenantId, id)))[0],
    list: (tenantId, limit) => query(tenantId, list(tenantId, limit)),
    insert: async (tenantId, place) => onlyRow(await query(tenantId, insert(tenantId, place))),
    update: async (tenantId, id, changes) => (await query(tenantId, update(tenantId, id, changes)))[0],
  }
}

/** The one row that an insert returns. */
export function onlyRow(rows: readonly Place[]): Place {
  const [row] = rows
  if (row === undefined) throw new Error('the insert returned no row')
  return row
}
