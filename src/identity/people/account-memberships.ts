import { and, asc, eq, inArray, sql } from 'drizzle-orm'
import { type Actor, recordAudit } from '../../catalog/audit/entries.ts'
import { accountMemberships, tenants } from '../../catalog/schema.ts'
import type { CatalogTx } from '../../catalog/store.ts'
import type { DataKey } from '../../crypto/keyring.ts'
import { fail } from '../../errors.ts'
import type { NewMembership } from './account-form.ts'

/** A tenant in which an account works, and the names of its roles there. */
export interface Membership {
  readonly tenantId: string
  readonly tenantCode: string
  readonly roles: readonly string[]
}

/** The account whose memberships change, and the actor. The caller must have locked the account's row. */
interface Change {
  readonly account: { readonly id: string; readonly email: string }
  readonly actor: Actor
  /** The service's data key, which seals the account's address in the audit log. */
  readonly key: DataKey
}

/** The memberships of each of these accounts, in the order of the tenants' codes. */
export async function membershipsOf(
  db: Pick<CatalogTx, 'select'>,
  accountIds: readonly string[],
): Promise<ReadonlyMap<string, readonly Membership[]>> {
  const found = new Map<string, Membership[]>(accountIds.map((id) => [id, []]))
  if (accountIds.length === 0) return found
  const { accountId, tenantId, roles } = accountMemberships
  const rows = await db
    .select({ accountId, tenantId, tenantCode: tenants.code, roles })
    .from(accountMemberships)
    .innerJoin(tenants, eq(tenants.id, tenantId))
    .where(inArray(accountId, [...accountIds]))
    .orderBy(asc(tenants.code))
  for (const { accountId: id, ...membership } of rows) found.get(id)?.push(membership)
  return found
}

/**
 * Adds the first memberships of an account. `recordMemberships` writes their audit rows later, because an audit row holds a lock
 * until the commit, and a transaction with that lock must not wait for a tenant's row.
 *
 * @throws PublicError REFERENCE_NOT_FOUND for a tenant that does not exist.
 */
export async function insertMemberships(
  tx: CatalogTx,
  accountId: string,
  memberships: readonly NewMembership[],
): Promise<void> {
  if (memberships.length === 0) return
  await assertTenants(
    tx,
    memberships.map(({ tenantId }) => tenantId),
  )
  const rows = memberships.map(({ tenantId, roles }) => ({
    accountId,
    tenantId,
    roles: [...roles],
  }))
  await tx.insert(accountMemberships).values(rows)
}

/** Writes one audit row for each tenant, so that a tenant's auditors do not learn of other tenants. */
export async function recordMemberships(
  tx: CatalogTx,
  { account, memberships, actor, key }: Change & { memberships: readonly NewMembership[] },
): Promise<void> {
  for (const { tenantId, roles } of memberships) {
    const after = { ...named(account), roles }
    await recordAudit(tx, { actor, action: 'membership.set', tenantId, after }, key)
  }
}

/**
 * Adds a membership, or gives an existing one exactly these roles.
 *
 * @throws PublicError TENANT_NOT_FOUND
 */
export async function putMembership(
  tx: CatalogTx,
  { account, tenantId, roles, actor, key }: Change & NewMembership,
): Promise<{ membership: Membership; takesAway: boolean }> {
  const [tenant] = await tx.select({ code: tenants.code }).from(tenants).where(eq(tenants.id, tenantId))
  if (tenant === undefined) throw fail('TENANT_NOT_FOUND')
  const before = await rolesIn(tx, account.id, tenantId)
  const wanted = [...new Set(roles)]
  const membership = { tenantId, tenantCode: tenant.code, roles: wanted }
  if (before?.join('\n') === wanted.join('\n') && before.length === wanted.length) {
    return { membership, takesAway: false }
  }
  const set = { roles: wanted, updatedAt: sql`now()` }
  const { accountId, tenantId: column } = accountMemberships
  await tx
    .insert(accountMemberships)
    .values({ accountId: account.id, tenantId, roles: wanted })
    .onConflictDoUpdate({ target: [accountId, column], set })
  const record = { actor, action: 'membership.set', tenantId, after: { ...named(account), roles: wanted } }
  const was = before && { before: { ...named(account), roles: before } }
  await recordAudit(tx, { ...record, ...was }, key)
  return { membership, takesAway: before?.some((role) => !wanted.includes(role)) ?? false }
}

/** Returns true if the membership existed. */
export async function deleteMembership(
  tx: CatalogTx,
  { account, tenantId, actor, key }: Change & { tenantId: string },
): Promise<boolean> {
  const [deleted] = await tx
    .delete(accountMemberships)
    .where(isMembership(account.id, tenantId))
    .returning({ roles: accountMemberships.roles })
  if (deleted === undefined) return false
  const before = { ...named(account), roles: deleted.roles }
  await recordAudit(tx, { actor, action: 'membership.remove', tenantId, before }, key)
  return true
}

async function rolesIn(tx: CatalogTx, accountId: string, tenantId: string): Promise<string[] | null> {
  const { roles } = accountMemberships
  const query = tx.select({ roles }).from(accountMemberships).where(isMembership(accountId, tenantId))
  const [row] = await query
  return row?.roles ?? null
}

function isMembership(accountId: string, tenantId: string) {
  return and(eq(accountMemberships.accountId, accountId), eq(accountMemberships.tenantId, tenantId))
}

async function assertTenants(tx: CatalogTx, ids: readonly string[]): Promise<void> {
  const rows = await tx
    .select({ id: tenants.id })
    .from(tenants)
    .where(inArray(tenants.id, [...ids]))
  const known = new Set(rows.map(({ id }) => id))
  const errors = ids.flatMap((id, i) =>
    known.has(id) ? [] : [{ pointer: `/memberships/${i}/tenantId`, message: 'names no tenant' }],
  )
  if (errors.length > 0) throw fail('REFERENCE_NOT_FOUND', { errors })
}

function named({ id, email }: Change['account']) {
  return { accountId: id, email }
}
