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

/** Longer than a statement may take: the server notices that a killed gateway is gone when its statement times out. */
const LOCK_TIMEOUT_MS = 5_500
const LOCK_POLL_MS = 50

export interface Relocation {
  readonly store: CatalogStore
  /** The tenant as it was when the relocation was decided on. The new residence gets the next epoch. */
  readonly tenant: Pick<Tenant, 'id' | 'epoch' | 'placement'>
  readonly from: pg.ClientBase
  readonly to: pg.ClientBase
  /** The seal of the new residence, at the next epoch. */
  readonly seal: Secret
  /** Writes the new placement to the catalog. Throws if the tenant or the entry has changed. */
  readonly commit: (newEpoch: number) => Promise<void>
}

/**
 * Moves a tenant that owns nothing but its people and their roles from one database to another. A fence keeps writers out
 * meanwhile, so callers wait for a moment.
 *
 * The gateway may crash after each step. Until `commit` the old residence is complete, and a repetition begins anew (`unfence`
 * removes the fence). After `commit` the new residence is complete, and only `removeFormerResidence` is left to do.
 * @returns false, with nothing changed, if the tenant owns more than its people
 * @throws DatabaseEntryChangedError, with nothing changed, if the tenant was moved before this relocation had its locks;
 * PublicError MOVE_IN_PROGRESS
 */
export async function relocate(relocation: Relocation): Promise<boolean> {
  const { tenant, from, to } = relocation
  const { id: tenantId, epoch } = tenant
  for (const client of [from, to]) await lockRelocation(client, tenantId)
  const isFenced = await fence(from, tenantId, epoch)
  if (!(await copyUnlessRows(relocation, isFenced))) return false
  // From here on an error leaves the fence: the catalog may have committed.
  await relocation.commit(epoch + 1)
  // If this fails, the first statement that times out at the fence has it removed.
  await unfence(to, tenantId, epoch + 1).catch(() => undefined)
  // If this fails, the next validation does it. No statement reaches the old rows any more.
  await removeFormerResidence(from, tenantId, epoch).catch(() => undefined)
  return true
}

/** The previous holder of the locks may have moved the tenant. Then the database that we hold for its residence is empty. */
export async function assertNotMoved({ store, tenant }: Pick<Relocation, 'store' | 'tenant'>): Promise<void> {
  const now = await tenantAfterCommits(store, tenant.id)
  if (now?.epoch !== tenant.epoch || now.placement !== tenant.placement) throw new DatabaseEntryChangedError()
}

async function copyUnlessRows(relocation: Relocation, isFenced: boolean): Promise<boolean> {
  const { tenant, from, to } = relocation
  const { id: tenantId, epoch } = tenant
  try {
    await assertNotMoved(relocation)
    if (!isFenced) throw new Error('the tenant does not live in the database that it is to leave')
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
 * The connection holds the lock until it ends. So a slow gateway that has lost its claim on this work to another gateway does
 * not write after that one has finished.
 * @throws PublicError MOVE_IN_PROGRESS
 */
export function lockRelocation(client: pg.ClientBase, tenantId: string): Promise<void> {
  return lock(client, `freehold:relocate:${tenantId}`)
}

/**
 * Lets one gateway at a time make a tenant the resident of `client`'s database, until the connection ends. The holder can check
 * that no other tenant lives there, and write its stamp, before another gateway does the same. Take it before the locks of a
 * relocation.
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
 * Calls `fn` with the tenant while no relocation to or from `client`'s database is running. Commits that were already on their
 * way to the catalog have ended before.
 *
 * No row of the catalog stays locked while `fn` waits for the tenant's database, which may be slow on purpose. The lock in that
 * database is enough: a relocation takes it before it reads the tenant, and holds it until it has committed.
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

/** Waits for transactions that have the tenant's row locked, and reads it. */
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
    // Fenced, because the catalog has not committed: the tenant does not live here yet.
    await stamp(to, { tenantId, epoch: newEpoch, seal, state: 'fenced' })
  })
}

/**
 * Throws if the tenant has lived here at a later epoch, or if its stamp is open: then the people here must not be replaced.
 * A fenced stamp is left by a move, perhaps by one that was not committed.
 */
async function assertNoNewerResidence(client: pg.ClientBase, tenantId: string, epoch: number): Promise<void> {
  const { rows } = await client.query(
    "SELECT FROM public.residence WHERE tenant_id = $1 AND (epoch > $2 OR state = 'open') FOR UPDATE",
    [tenantId, epoch],
  )
  if (rows.length > 0) throw new Error('the tenant lives here')
}
