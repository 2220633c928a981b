import type pg from 'pg'
import { scopeOf } from '../lib/postgres/session-scope.ts'
import type { Secret } from '../lib/secret.ts'
import { type Stamp, stampOf } from './checks.ts'
import { CheckFailure } from './failures.ts'
import type { TenantPresence } from './placement-decision.ts'

/** The tables that a relocation copies, parents before children. */
export const IDENTITY_TABLES = [
  'roles',
  'role_permissions',
  'users',
  'user_roles',
  'sessions',
  'login_attempts',
] as const

/** The tenant's row in `residence`, or null. Other tenants may have rows too. @throws CheckFailure if the epoch is out of range */
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

/** Reads what a database contains of a tenant. */
export async function readPresence(client: pg.ClientBase, tenantId: string): Promise<TenantPresence> {
  return { stamp: await readStamp(client, tenantId), ownsRows: await ownsRows(client, tenantId) }
}

export interface NewStamp {
  readonly tenantId: string
  readonly epoch: number
  readonly seal: Secret
  readonly state?: Stamp['state']
}

/** Writes the tenant's row in `residence`, with this epoch and seal. */
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

/** Writes the seal into the stamp of this epoch. True if the stamp had another seal or none. */
export async function putSeal(client: pg.ClientBase, { tenantId, epoch, seal }: NewStamp): Promise<boolean> {
  const { rowCount } = await client.query(
    `UPDATE public.residence AS r SET seal = pg_catalog.decode($3, 'hex')
      WHERE r.tenant_id = $1 AND r.epoch = $2 AND r.seal IS DISTINCT FROM pg_catalog.decode($3, 'hex')`,
    [tenantId, epoch, seal.reveal()],
  )
  return rowCount === 1
}

/**
 * Runs `fn` in a transaction that sees the tenant's rows at any epoch, fenced or not. The role must own the tables; another role would
 * see no rows.
 * @throws CheckFailure PERMISSION_MISSING for another role
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
  // An older schema without seals trusts the setting.
  if (rows[0]?.isSealed !== true) return
  const { rows: entered } = await client.query<{ tenant: string | null }>(
    'SELECT public.freehold_operating() AS tenant',
  )
  if (entered[0]?.tenant !== tenantId) throw new CheckFailure('PERMISSION_MISSING')
}

/** Waits for the tenant's writers and blocks new ones. False if the tenant has no stamp of this epoch here. */
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

/** Throws if the fence is gone or the connection has lost its lock, because then there may have been writers. */
export async function assertFenced(client: pg.ClientBase, tenantId: string, epoch: number): Promise<void> {
  const { rows } = await client.query(
    "SELECT FROM public.residence WHERE tenant_id = $1 AND epoch = $2 AND state = 'fenced'",
    [tenantId, epoch],
  )
  if (rows.length !== 1) throw new Error('the fence is gone')
  await scopeOf(client).assertLocked()
}

export async function unfence(client: pg.ClientBase, tenantId: string, epoch: number): Promise<void> {
  await client.query(
    "UPDATE public.residence SET state = 'open' WHERE tenant_id = $1 AND epoch = $2 AND state = 'fenced'",
    [tenantId, epoch],
  )
}

/** True if any table other than IDENTITY_TABLES has a row of the tenant. Counts tables of other owners too. */
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

/** Removes the tenant's stamp of `epoch` or an earlier one, and its people. Does nothing if there is no such stamp. */
export function removeFormerResidence(client: pg.ClientBase, tenantId: string, epoch: number): Promise<void> {
  return inTenant(client, tenantId, async () => {
    const { rowCount } = await client.query(
      'DELETE FROM public.residence WHERE tenant_id = $1 AND epoch <= $2',
      [tenantId, epoch],
    )
    if (rowCount === 1) await deletePeople(client, tenantId)
  })
}
