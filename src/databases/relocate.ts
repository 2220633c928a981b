import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import { DatabaseEntryChangedError } from '../catalog/databases/registry.ts'
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

/** A backend whose gateway was killed notices when its statement times out at the latest. */
const LOCK_TIMEOUT_MS = 5_500
const LOCK_POLL_MS = 50

export interface Relocation {
  readonly store: CatalogStore
  /** As it was when the move was decided on: its epoch is that of the home that is left, the new home gets the next. */
  readonly tenant: Pick<Tenant, 'id' | 'epoch' | 'placement'>
  readonly from: pg.ClientBase
  readonly to: pg.ClientBase
  /** The seal of the new home at the next epoch. */
  readonly seal: Secret
  /** Makes the new home the tenant's home in the catalog. Throws if somebody else was faster. */
  readonly commit: (newEpoch: number) => Promise<void>
}

/**
 * Takes a tenant that owns nothing but its people and their roles from one database to another. Writers are shut out by
 * a fence for the while, which callers feel as a short wait.
 *
 * Each step may be the last before a crash: until `commit` the old home is complete and a repetition begins anew (the
 * fence is lifted by `unfence`); after it the new home is complete and what is left to do is `removeFormerResidence`.
 * @returns false, with nothing changed, if the tenant owns more than that
 * @throws DatabaseEntryChangedError, with nothing changed, if the tenant was moved before it was our turn;
 * PublicError MOVE_IN_PROGRESS
 */
export async function relocate(relocation: Relocation): Promise<boolean> {
  const { tenant, from, to } = relocation
  const { id: tenantId, epoch } = tenant
  for (const client of [from, to]) await lockRelocation(client, tenantId)
  const fenced = await fence(from, tenantId, epoch)
  if (!(await copyUnlessRich(relocation, fenced))) return false
  // From here on an error does not lift the fence: whether the catalog has committed may not be known.
  await relocation.commit(epoch + 1)
  // Where this fails, the first statement that waits in vain has the door opened.
  await unfence(to, tenantId, epoch + 1).catch(() => undefined)
  // The move has happened; what is left behind is out of reach and removed here or by the next validation.
  await removeFormerResidence(from, tenantId, epoch).catch(() => undefined)
  return true
}

/** Whoever held the locks before us may have moved the tenant: then what we take for its home is an empty one. */
export async function assertNotMoved({ store, tenant }: Pick<Relocation, 'store' | 'tenant'>): Promise<void> {
  const now = await tenantAfterCommits(store, tenant.id)
  if (now?.epoch !== tenant.epoch || now.placement !== tenant.placement) throw new DatabaseEntryChangedError()
}

async function copyUnlessRich(relocation: Relocation, fenced: boolean): Promise<boolean> {
  const { tenant, from, to } = relocation
  const { id: tenantId, epoch } = tenant
  try {
    await assertNotMoved(relocation)
    if (!fenced) throw new Error('the tenant does not live in the home it is to leave')
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
 * Held by the connection until it ends: a gateway that was slow, and whose claim on this work went to another, must not
 * go on writing where that other has finished.
 * @throws PublicError MOVE_IN_PROGRESS
 */
export function lockRelocation(client: pg.ClientBase, tenantId: string): Promise<void> {
  return lock(client, `freehold:relocate:${tenantId}`)
}

/**
 * Has at most one tenant at a time become the resident of `client`'s database, until the connection ends: who holds this
 * can look whether anybody lives there, and stamp, without another doing the same in between. To be taken before the
 * locks of a relocation.
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

/**
 * Runs `fn` while nobody moves the tenant to or from `client`'s database, with the tenant as it stands then: also whoever
 * had sent a commit to the catalog before it lost its connections has been waited for.
 *
 * Nothing is held in the catalog while `fn` waits for the tenant's database, which may be slow on purpose. The lock in that
 * database is enough: a move takes it before it looks at the tenant and keeps it until it has committed.
 * @throws PublicError MOVE_IN_PROGRESS, CATALOG_UNAVAILABLE
 */
export async function withRelocationLock(
  store: CatalogStore,
  client: pg.ClientBase,
  tenantId: string,
  fn: (tenant: Tenant) => Promise<void>,
): Promise<void> {
  await lockRelocation(client, tenantId)
  const tenant = await tenantAfterCommits(store, tenantId)
  if (tenant !== null) await fn(tenant)
}

/** The tenant after all that was under way with its row in the catalog. */
function tenantAfterCommits(store: CatalogStore, tenantId: string): Promise<Tenant | null> {
  return store.transaction((tx) => lockTenant(tx, tenantId))
}

/** Lifts a fence that a move which did not come about has left at the tenant's home; waits for one that is under way. */
export function liftStaleFence(store: CatalogStore, client: pg.ClientBase, tenantId: string): Promise<void> {
  return withRelocationLock(store, client, tenantId, ({ epoch }) => unfence(client, tenantId, epoch))
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
    await assertLeftBehind(to, tenantId, newEpoch)
    await deletePeople(to, tenantId)
    for (const { table, json } of copies) {
      await to.query(
        `INSERT INTO public.${table} SELECT * FROM pg_catalog.json_populate_recordset(NULL::public.${table}, $1::json)`,
        [json],
      )
    }
    // Nothing is to be taken for a home that the catalog has not made one.
    await stamp(to, { tenantId, epoch: newEpoch, seal, state: 'fenced' })
  })
}

/**
 * Throws where the tenant has lived at a later epoch, or the door is open: its people there are not ours to replace. A fenced
 * stamp is what a move has left behind, be it one that never was committed.
 */
async function assertLeftBehind(client: pg.ClientBase, tenantId: string, epoch: number): Promise<void> {
  const { rows } = await client.query(
    "SELECT FROM public.residence WHERE tenant_id = $1 AND (epoch > $2 OR state = 'open') FOR UPDATE",
    [tenantId, epoch],
  )
  if (rows.length > 0) throw new Error('the tenant lives here')
}
