import { and, asc, eq, gt, ilike, or, sql } from 'drizzle-orm'
import { fail } from '../errors.ts'
import { isUuid, newId } from '../lib/ids.ts'
import { type Actor, recordAudit } from './audit/entries.ts'
import { recordChange } from './changes/follower.ts'
import { type ExternalId, replaceExternalIds } from './external-ids.ts'
import { idFromCursor, type Page, pageOf } from './pages.ts'
import { type AuthConfig, type Placement, type TenantStatus, tenants } from './schema.ts'
import { type CatalogStore, type CatalogTx, catalogErrors } from './store.ts'

export type Tenant = typeof tenants.$inferSelect

/** An `AuthConfig` in which any part may be missing. */
export interface PartialAuthConfig extends Partial<Omit<AuthConfig, 'passwordPolicy' | 'lockout'>> {
  passwordPolicy?: Partial<AuthConfig['passwordPolicy']>
  lockout?: Partial<AuthConfig['lockout']>
}

export interface NewTenant {
  /** A UUIDv7, if the tenant's stamp is written already. */
  id?: string
  code: string
  name: string
  parentId?: string | null
  authConfig?: PartialAuthConfig
  externalIds?: readonly ExternalId[]
}

export interface TenantPatch {
  name?: string
  status?: TenantStatus
  parentId?: string | null
  authConfig?: PartialAuthConfig
  externalIds?: readonly ExternalId[]
}

export interface TenantQuery {
  limit: number
  cursor?: string | undefined
  status?: TenantStatus | undefined
  placement?: Placement | undefined
  /** Part of a code or name, in any letter case. */
  q?: string | undefined
  parentId?: string | undefined
}

export const DEFAULT_AUTH_CONFIG: AuthConfig = Object.freeze({
  passwordPolicy: Object.freeze({ minLength: 12, requireMixed: false }),
  accessTokenSeconds: 900,
  refreshTokenSeconds: 2_592_000,
  refreshReuseSeconds: 10,
  lockout: Object.freeze({ attempts: 10, windowSeconds: 900 }),
})

// 'fhhi' in ASCII. The lock allows one change of the hierarchy at a time: two concurrent changes together could make a cycle.
const HIERARCHY_LOCK = 0x66686869

/** Fills the missing parts of `partial` from `base`. */
export function completeAuthConfig(
  partial: PartialAuthConfig,
  base: AuthConfig = DEFAULT_AUTH_CONFIG,
): AuthConfig {
  return {
    ...base,
    ...partial,
    passwordPolicy: { ...base.passwordPolicy, ...partial.passwordPolicy },
    lockout: { ...base.lockout, ...partial.lockout },
  }
}

/** Finds a tenant by its id or, if no tenant has that id, by its code. Also finds INACTIVE tenants. */
export async function findTenant(store: CatalogStore, idOrCode: string): Promise<Tenant | null> {
  const byCode = eq(tenants.code, idOrCode)
  // A code may look like an id. The tenant with that id comes first.
  const either = isUuid(idOrCode) ? or(eq(tenants.id, idOrCode), byCode) : byCode
  const rows = await catalogErrors(store.db.select().from(tenants).where(either))
  return rows.find((row) => row.id === idOrCode.toLowerCase()) ?? rows[0] ?? null
}

/**
 * Tenants in the order of their creation, one page at a time.
 *
 * @throws PublicError INVALID_CURSOR
 */
export async function listTenants(store: CatalogStore, query: TenantQuery): Promise<Page<Tenant>> {
  const rows = store.db
    .select()
    .from(tenants)
    .where(and(...conditionsOf(query)))
    .orderBy(asc(tenants.id))
    .limit(query.limit + 1)
  return pageOf(await catalogErrors(rows), query.limit)
}

/**
 * Adds a tenant to the catalog, with audit and change rows. Its placement is the shared database, at epoch 1.
 *
 * @throws PublicError TENANT_CODE_TAKEN, EXTERNAL_ID_TAKEN, or REFERENCE_NOT_FOUND for an unknown parent.
 */
export async function insertTenant(tx: CatalogTx, tenant: NewTenant, actor: Actor): Promise<Tenant> {
  const { id = newId(), code, name, parentId = null } = tenant
  if (parentId !== null) await assertParent(tx, parentId)
  const values = {
    id,
    code,
    name,
    parentId,
    authConfig: completeAuthConfig(tenant.authConfig ?? {}),
  }
  const [row] = await tx.insert(tenants).values(values).onConflictDoNothing().returning()
  if (row === undefined) throw fail('TENANT_CODE_TAKEN')
  const listed = await replaceExternalIds(tx, row.id, tenant.externalIds ?? [])
  const after = {
    ...{ code, name, parentId, authConfig: row.authConfig },
    ...(listed && { externalIds: listed.after }),
  }
  await recordAudit(tx, { actor, action: 'tenant.create', tenantId: row.id, after })
  await recordChange(tx, { kind: 'tenant', tenantId: row.id })
  return row
}

/**
 * Changes a tenant. `seq` is the number of the change to wait for, or null if nothing has changed.
 *
 * @throws PublicError TENANT_NOT_FOUND; REFERENCE_NOT_FOUND for an unknown parent; VALIDATION_FAILED for a cycle;
 *   EXTERNAL_ID_TAKEN.
 */
export async function patchTenant(
  store: CatalogStore,
  { id, patch, actor }: { id: string; patch: TenantPatch; actor: Actor },
): Promise<{ tenant: Tenant; seq: number | null }> {
  return store.transaction(async (tx) => {
    if (patch.parentId) await tx.execute(sql`select pg_advisory_xact_lock(${HIERARCHY_LOCK}::bigint)`)
    const before = await lockTenant(tx, id)
    if (before === null) throw fail('TENANT_NOT_FOUND')
    if (patch.parentId && patch.parentId !== before.parentId) await assertNoCycle(tx, id, patch.parentId)
    const changed = changesOf(before, patch)
    const listed = patch.externalIds ? await replaceExternalIds(tx, id, patch.externalIds) : null
    if (Object.keys(changed).length === 0 && listed === null) return { tenant: before, seq: null }
    return applyPatch(tx, { before, changed, listed, actor })
  })
}

/** Locks the row against other changes. Inserting keys for the tenant does not wait for this lock. */
export async function lockTenant(tx: CatalogTx, id: string): Promise<Tenant | null> {
  const [row] = await tx.select().from(tenants).where(eq(tenants.id, id)).for('no key update')
  return row ?? null
}

type Changed = Partial<Pick<Tenant, 'name' | 'status' | 'parentId' | 'authConfig'>>

interface Change {
  readonly before: Tenant
  readonly changed: Changed
  /** The external ids, if they have changed. */
  readonly listed: Awaited<ReturnType<typeof replaceExternalIds>>
  readonly actor: Actor
}

async function applyPatch(tx: CatalogTx, { before, changed, listed, actor }: Change) {
  const set = { ...changed, updatedAt: sql`now()` }
  const [tenant] = await tx.update(tenants).set(set).where(eq(tenants.id, before.id)).returning()
  if (tenant === undefined) throw fail('TENANT_NOT_FOUND')
  const was = Object.fromEntries(Object.keys(changed).map((key) => [key, before[key as keyof Changed]]))
  await recordAudit(tx, {
    ...{ actor, action: 'tenant.update', tenantId: before.id },
    before: { ...was, ...(listed && { externalIds: listed.before }) },
    after: { ...changed, ...(listed && { externalIds: listed.after }) },
  })
  return { tenant, seq: await recordChange(tx, { kind: 'tenant', tenantId: before.id }) }
}

function changesOf(before: Tenant, patch: TenantPatch): Changed {
  const changed: Changed = {}
  const { name, status, parentId } = patch
  if (name !== undefined && name !== before.name) changed.name = name
  if (status !== undefined && status !== before.status) changed.status = status
  if (parentId !== undefined && parentId !== before.parentId) changed.parentId = parentId
  const authConfig = patch.authConfig && completeAuthConfig(patch.authConfig, before.authConfig)
  if (authConfig && !sameAuthConfig(authConfig, before.authConfig)) changed.authConfig = authConfig
  return changed
}

/** jsonb returns its keys in its own order, so the values are compared in a fixed order. */
function sameAuthConfig(a: AuthConfig, b: AuthConfig): boolean {
  const text = ({ passwordPolicy: p, lockout: l, ...config }: AuthConfig) =>
    [
      p.minLength,
      p.requireMixed,
      config.accessTokenSeconds,
      config.refreshTokenSeconds,
      config.refreshReuseSeconds,
      l.attempts,
      l.windowSeconds,
    ].join()
  return text(a) === text(b)
}

async function assertParent(tx: CatalogTx, parentId: string): Promise<void> {
  const found = isUuid(parentId)
    ? await tx.select({ id: tenants.id }).from(tenants).where(eq(tenants.id, parentId))
    : []
  if (found.length > 0) return
  const errors = [{ pointer: '/parentId', message: 'names no tenant' }]
  throw fail('REFERENCE_NOT_FOUND', { errors })
}

async function assertNoCycle(tx: CatalogTx, id: string, parentId: string): Promise<void> {
  await assertParent(tx, parentId)
  const found = await tx.execute(sql`
    with recursive ancestors (id, parent_id) as (
      select id, parent_id from tenants where id = ${parentId}
      union
      select t.id, t.parent_id from tenants t join ancestors a on t.id = a.parent_id
    )
    select 1 from ancestors where id = ${id}`)
  if (found.rows.length === 0) return
  const errors = [
    { pointer: '/parentId', message: 'must not be the tenant itself or one of its descendants' },
  ]
  throw fail('VALIDATION_FAILED', { errors })
}

function conditionsOf({ cursor, status, placement, q, parentId }: TenantQuery) {
  return [
    cursor === undefined ? undefined : gt(tenants.id, idFromCursor(cursor)),
    status === undefined ? undefined : eq(tenants.status, status),
    placement === undefined ? undefined : eq(tenants.placement, placement),
    q === undefined ? undefined : or(ilike(tenants.code, containing(q)), ilike(tenants.name, containing(q))),
    parentId === undefined ? undefined : eq(tenants.parentId, parentId),
  ]
}

export function containing(text: string): string {
  return `%${text.replaceAll(/[\\%_]/g, '\\$&')}%`
}
