import type pg from 'pg'
import { scopeOf } from '../lib/postgres/session-scope.ts'
import type { Secret } from '../lib/secret.ts'
import { type Stamp, stampOf } from './checks.ts'
import { CheckFailure } from './failures.ts'

/** Tables that come along with a tenant that has nothing else yet, parents before children. */
export const IDENTITY_TABLES = [
  'roles',
  'role_permissions',
  'users',
  'user_roles',
  'sessions',
  'login_attempts',
] as const
/** The tenant's stamp, whoever else lives there; null where there is none. @throws CheckFailure for one that is no stamp */
export async function readStamp(client: pg.ClientBase, tenantId: string): Promise<Stamp | null> {
  const { rows: present } = await client.query<{ present: boolean }>(
    "SELECT pg_catalog.to_regclass('public.residence') IS NOT NULL AS present",
  )
  if (present[0]?.present !== true) return null
  const { rows } = await client.query<{ epoch: string; state: string }>(
    'SELECT epoch::text, state FROM public.residence WHERE tenant_id = $1',
    [tenantId],
  )
  const [row] = rows
  return row === undefined ? null : stampOf(row)
}

export interface NewStamp {
  readonly tenantId: string
  readonly epoch: number
  readonly seal: Secret
  readonly state?: Stamp['state']
}

/** Writes that the tenant lives here, at this epoch, behind this seal. */
export async function stamp(
  client: pg.ClientBase,
  { tenantId, epoch, seal, state = 'open' }: NewStamp,
): Promise<void> {
  await client.query(
    `INSERT INTO public.residence (tenant_id, epoch, state, seal) VALUES ($1, $2, $3, pg_catalog.decode($4, 'hex'))
     ON CONFLICT (tenant_id) DO UPDATE
       SET epoch = excluded.epoch, state = excluded.state, seal = excluded.seal, stamped_at = pg_catalog.now()`,
    [tenantId, epoch, state, seal.reveal()],
  )
}

/** Gives the stamp of this epoch its seal, where it has none or another. True if that was so. */
export async function putSeal(client: pg.ClientBase, { tenantId, epoch, seal }: NewStamp): Promise<boolean> {
  const { rowCount } = await client.query(
    `UPDATE public.residence AS r SET seal = pg_catalog.decode($3, 'hex')
      WHERE r.tenant_id = $1 AND r.epoch = $2 AND r.seal IS DISTINCT FROM pg_catalog.decode($3, 'hex')`,
    [tenantId, epoch, seal.reveal()],
  )
  return rowCount === 1
}

/**
 * Runs `fn` in a transaction that may see the tenant's rows, open or fenced, whatever its epoch. Takes a role that owns the
 * tables.
 * @throws CheckFailure PERMISSION_MISSING for another one, to which the tenant would seem to have no rows
 */
export async function inTenant<T>(client: pg.ClientBase, tenantId: string, fn: () => Promise<T>): Promise<T> {
  await client.query('BEGIN')
  try {
    await enterAsOwner(client, tenantId)
    const result = await fn()
    await client.query('COMMIT')
    return result
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined)
    throw error
  }
}

async function enterAsOwner(client: pg.ClientBase, tenantId: string): Promise<void> {
  const { rows } = await client.query<{ isSealed: boolean }>(
    `SELECT pg_catalog.set_config('app.tenant_id', $1, true), pg_catalog.set_config('app.seal', 'owner', true),
            pg_catalog.to_regprocedure('public.freehold_operating()') IS NOT NULL AS "isSealed"`,
    [tenantId],
  )
  // An older schema believes the setting.
  if (rows[0]?.isSealed !== true) return
  const { rows: entered } = await client.query<{ tenant: string | null }>(
    'SELECT public.freehold_operating() AS tenant',
  )
  if (entered[0]?.tenant !== tenantId) throw new CheckFailure('PERMISSION_MISSING')
}

/** Waits for the tenant's writers and lets no further ones in. False where the tenant does not live at this epoch. */
export function fence(client: pg.ClientBase, tenantId: string, epoch: number): Promise<boolean> {
  return inTenant(client, tenantId, async () => {
    await client.query('SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1::text, 0))', [
      tenantId,
    ])
    const { rowCount } = await client.query(
      "UPDATE public.residence SET state = 'fenced' WHERE tenant_id = $1 AND epoch = $2",
      [tenantId, epoch],
    )
    return rowCount === 1
  })
}

/** Throws where the fence, or the connection that guards it, was lost meanwhile: writers may have come in. */
export async function assertFenced(client: pg.ClientBase, tenantId: string, epoch: number): Promise<void> {
  const { rows } = await client.query(
    "SELECT FROM public.residence WHERE tenant_id = $1 AND epoch = $2 AND state = 'fenced'",
    [tenantId, epoch],
  )
  if (rows.length !== 1) throw new Error('the fence is gone')
  await scopeOf(client).assertLocked()
}

/** Opens the door again, as after a move that did not come about. */
export async function unfence(client: pg.ClientBase, tenantId: string, epoch: number): Promise<void> {
  await client.query(
    "UPDATE public.residence SET state = 'open' WHERE tenant_id = $1 AND epoch = $2 AND state = 'fenced'",
    [tenantId, epoch],
  )
}

/** True if any tenant table but those of identity has a row of the tenant; also tables that we did not make. */
export function ownsRows(client: pg.ClientBase, tenantId: string): Promise<boolean> {
  return inTenant(client, tenantId, async () => {
    const { rows: tables } = await client.query<{ name: string }>(
      `SELECT pg_catalog.quote_ident(c.relname) AS name
         FROM pg_catalog.pg_class c
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
        WHERE c.relnamespace = 'public'::pg_catalog.regnamespace AND c.relkind IN ('r', 'p')
          AND c.relname <> ALL ($1)`,
      [['residence', ...IDENTITY_TABLES]],
    )
    const parts = tables.map(({ name }) => `EXISTS (SELECT FROM public.${name} WHERE tenant_id = $1)`)
    const { rows } = await client.query<{ owns: boolean }>(
      `SELECT ${['false', ...parts].join(' OR ')} AS owns`,
      [...(parts.length > 0 ? [tenantId] : [])],
    )
    return rows[0]?.owns === true
  })
}

export async function deletePeople(client: pg.ClientBase, tenantId: string): Promise<void> {
  for (const table of [...IDENTITY_TABLES].reverse()) {
    await client.query(`DELETE FROM public.${table} WHERE tenant_id = $1`, [tenantId])
  }
}

/** Removes what a tenant left in a home of an epoch not later than `epoch`. Does nothing where it does not live. */
export function removeFormerResidence(client: pg.ClientBase, tenantId: string, epoch: number): Promise<void> {
  return inTenant(client, tenantId, async () => {
    const { rowCount } = await client.query(
      'DELETE FROM public.residence WHERE tenant_id = $1 AND epoch <= $2',
      [tenantId, epoch],
    )
    if (rowCount === 1) await deletePeople(client, tenantId)
  })
}
