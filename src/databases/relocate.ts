import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import { DatabaseEntryChangedError } from '../catalog/databases/entry.ts'
import type { CatalogStore } from '../catalog/store.ts'
import { lockTenant, type Tenant } from '../catalog/tenants.ts'
import { fail } from '../errors.ts'
import { scopeOf } from '../lib/postgres/session-scope.ts'
import type { Secret } from '../lib/secret.ts'
import {
  assertFenced,
  deletePeople,
  fence,
  IDENTITY_TABLES,
  inTenant,
  ownsRows,
  removeFormerResidence,
  stamp,
  unfence,
} from './residence.ts'

/** Longer than the time limit of a statement. After that limit the server notices that a killed gateway is gone. */
const LOCK_TIMEOUT_MS = 5_500
const LOCK_POLL_MS = 50

export interface Relocation {
  readonly store: CatalogStore
  /** The tenant at the time of the decision. The new residence gets the next epoch. */
  readonly tenant: Pick<Tenant, 'id' | 'epoch' | 'placement'>
  readonly from: pg.ClientBase
  readonly to: pg.ClientBase
  /** The seal of the new residence, at the next epoch. */
  readonly seal: Secret
  /** Writes the new placement to the catalog. Throws if the tenant or the entry has changed. */
  readonly commit: (newEpoch: number) => Promise<void>
}

/**
 * Moves a tenant that owns only its people and their roles from one database to another. Meanwhile a fence blocks writers, so callers
 * wait for a moment.
 *
 * The gateway may crash after each step. Until `commit` the old residence is complete, and the relocation can be repeated (`unfence`
 * removes the fence). After `commit` the new residence is complete, and only `removeFormerResidence` is missing.
 * @returns false, with nothing changed, if the tenant owns other rows than its people
 * @throws DatabaseEntryChangedError, with nothing changed, if the tenant was moved before this relocation had its locks;
 * PublicError MOVE_IN_PROGRESS
 */
export async function relocate(relocation: Relocation): Promise<boolean> {
  const { tenant, from, to } = relocation
  const { id: tenantId, epoch } = tenant
  for (const client of [from, to]) await lockRelocation(client, tenantId)
  const isFenced = await fence(from, tenantId, epoch)
  if (!(await copyUnlessRows(relocation, isFenced))) return false
  // If an error follows, the fence must stay, because the catalog may have committed.
  await relocation.commit(epoch + 1)
  // If this fails, the first statement that times out at the fence starts a repair that removes it.
  await unfence(to, tenantId, epoch + 1).catch(() => undefined)
  // If this fails, the next validation does it. No statement can reach the old rows.
  await removeFormerResidence(from, tenantId, epoch).catch(() => undefined)
  return true
}

/** The previous holder of the locks may have moved the tenant. Then this database is no longer the tenant database. */
export async function assertNotMoved({ store, tenant }: Pick<Relocation, 'store' | 'tenant'>): Promise<void> {
  const now = await tenantAfterCommits(store, tenant.id)
  if (now?.epoch !== tenant.epoch || now.placement !== tenant.placement) throw new DatabaseEntryChangedError()
}

async function copyUnlessRows(relocation: Relocation, isFenced: boolean): Promise<boolean> {
  const { tenant, from, to } = relocation
  const { id: tenantId, epoch } = tenant
  try {
    await assertNotMoved(relocation)
    if (!isFenced) throw new Error('the tenant has no residence in the database that it should leave')
    if (await ownsRows(from, tenantId)) {
      await unfence(from, tenantId, epoch)
      return false
    }
    await copyPeople(from, to, { tenantId, newEpoch: epoch + 1, seal: relocation.seal })
    await assertFenced(from, tenantId, epoch)
    return true
  } catch (error) {
    await unfence(from, tenantId, epoch).catch(() => undefined)
    throw error
  }
}

/**
 * Takes the lock for a relocation; it lasts as long as the connection. A slow gateway may lose its claim on this work to another one. Due
 * to the lock it cannot write after the other gateway has finished.
 * @throws PublicError MOVE_IN_PROGRESS
 */
export function lockRelocation(client: pg.ClientBase, tenantId: string): Promise<void> {
  return lock(client, `freehold:relocate:${tenantId}`)
}

/**
 * Takes the lock for stamps in `client`'s database; it lasts as long as the connection. The holder can check that no other tenant has a
 * stamp there, and write a stamp, before another gateway does the same. Take it before the locks of a relocation.
 * @throws PublicError MOVE_IN_PROGRESS
 */
export function lockResidence(client: pg.ClientBase): Promise<void> {
  return lock(client, 'freehold:residence')
}

async function lock(client: pg.ClientBase, name: string): Promise<void> {
  const deadline = performance.now() + LOCK_TIMEOUT_MS
  while (!(await scopeOf(client).tryLock(name))) {
    if (performance.now() > deadline) throw fail('MOVE_IN_PROGRESS')
    await delay(LOCK_POLL_MS)
  }
}

export interface LockedTenant {
  readonly store: CatalogStore
  /** A connection to one of the tenant's databases. */
  readonly client: pg.ClientBase
  readonly tenantId: string
}

/**
 * Calls `fn` with the tenant while no relocation to or from `client`'s database is running. Before that it waits for commits that
 * change the tenant.
 *
 * No row of the catalog stays locked while `fn` waits for the tenant database, which may be slow on purpose. The lock in that database is
 * enough, because a relocation takes it before it reads the tenant and holds it until the commit.
 * @throws PublicError MOVE_IN_PROGRESS, CATALOG_UNAVAILABLE
 */
export async function withRelocationLock(
  { store, client, tenantId }: LockedTenant,
  fn: (tenant: Tenant) => Promise<void>,
): Promise<void> {
  await lockRelocation(client, tenantId)
  const tenant = await tenantAfterCommits(store, tenantId)
  if (tenant !== null) await fn(tenant)
}

/** Waits for transactions that have locked the tenant's row, and then reads the row. */
function tenantAfterCommits(store: CatalogStore, tenantId: string): Promise<Tenant | null> {
  return store.transaction((tx) => lockTenant(tx, tenantId))
}

/** Removes the fence that an uncommitted move has left in the tenant's database. Waits for a move that is running. */
export function removeStaleFence(locked: LockedTenant): Promise<void> {
  return withRelocationLock(locked, ({ epoch }) => unfence(locked.client, locked.tenantId, epoch))
}

async function copyPeople(
  from: pg.ClientBase,
  to: pg.ClientBase,
  { tenantId, newEpoch, seal }: { tenantId: string; newEpoch: number; seal: Secret },
): Promise<void> {
  const copies = await inTenant(from, tenantId, async () => {
    const rows: { table: string; json: string }[] = []
    for (const table of IDENTITY_TABLES) {
      const result = await from.query<{ json: string }>(
        `SELECT coalesce(pg_catalog.json_agg(t), '[]')::text AS json FROM public.${table} t WHERE tenant_id = $1`,
        [tenantId],
      )
      rows.push({ table, json: result.rows[0]?.json ?? '[]' })
    }
    return rows
  })
  await inTenant(to, tenantId, async () => {
    await assertNoNewerResidence(to, tenantId, newEpoch)
    await deletePeople(to, tenantId)
    for (const { table, json } of copies) {
      await to.query(
        `INSERT INTO public.${table} SELECT * FROM pg_catalog.json_populate_recordset(NULL::public.${table}, $1::json)`,
        [json],
      )
    }
    // Fenced, because the catalog has not committed the new placement yet.
    await stamp(to, { tenantId, epoch: newEpoch, seal, state: 'fenced' })
  })
}

/**
 * Throws if the tenant's stamp here is open or has a later epoch, because then the people here must not be replaced. A move, perhaps an
 * uncommitted one, may have left a fenced stamp.
 */
async function assertNoNewerResidence(client: pg.ClientBase, tenantId: string, epoch: number): Promise<void> {
  const { rows } = await client.query(
    "SELECT FROM public.residence WHERE tenant_id = $1 AND (epoch > $2 OR state = 'open') FOR UPDATE",
    [tenantId, epoch],
  )
  if (rows.length > 0) throw new Error('the tenant has an open or newer residence here')
}
