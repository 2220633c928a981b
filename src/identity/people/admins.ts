import { and, eq, sql } from 'drizzle-orm'
import { fail } from '../../errors.ts'
import { newId } from '../../lib/ids.ts'
import { rolePermissions, roles, users } from '../../residence/tables.ts'
import type { TenantDb, TenantSession } from '../../sql/session.ts'
import { assignRoles, findRoles } from '../access/roles.ts'
import type { PasswordHasher, PasswordPolicy } from '../login/passwords.ts'
import { assertUser, type NewUser } from './user-form.ts'
import {
  conflictOnDuplicate,
  findForLogin,
  type PublicUser,
  publicUser,
  type Reader,
  userValues,
} from './users.ts'

/** The hasher and the policy for a password. */
export interface PasswordRules {
  readonly hasher: PasswordHasher
  readonly policy: PasswordPolicy
}

/** The role of a tenant's first administrator, who may do everything. */
export const ADMIN_ROLE = 'admin'

/** Any number except 0: sessions and moves lock the same text with 0. */
const PEOPLE_LOCK = 0x6668_7065

/**
 * Runs a change of a tenant's users or roles in a transaction. Only one such change runs at a time, so that the change's checks
 * still hold when it writes. A change that would leave the tenant without an administrator is rolled back.
 *
 * @throws PublicError CONFLICT, and what `fn` throws.
 */
export function changePeople<T>(session: TenantSession, fn: (reader: Reader) => Promise<T>): Promise<T> {
  const { tenantId } = session
  return session.transaction(async (db) => {
    await db.execute(sql`select pg_advisory_xact_lock(hashtextextended(${tenantId}::text, ${PEOPLE_LOCK}))`)
    const reader = { tenantId, db }
    const hadAdmin = await hasAdmin(reader)
    const result = await fn(reader)
    if (hadAdmin && !(await hasAdmin(reader))) {
      throw fail('CONFLICT', { detail: 'The tenant would be left without an active administrator.' })
    }
    return result
  })
}

/** True if an active user may do everything. */
async function hasAdmin({ tenantId, db }: Reader): Promise<boolean> {
  const { rows } = await db.execute(sql`
    select 1
    from role_permissions rp
      join user_roles ur on ur.tenant_id = rp.tenant_id and ur.role_id = rp.role_id
      join users u on u.tenant_id = ur.tenant_id and u.id = ur.user_id
    where rp.tenant_id = ${tenantId} and rp.permission = '*' and u.status = 'ACTIVE'
    limit 1`)
  return rows.length > 0
}

/**
 * Creates the tenant's first user, with the role `admin`, which permits everything. A second call adds the role if it is missing.
 * The password of an existing user stays.
 *
 * @throws PublicError VALIDATION_FAILED, CONFLICT, RATE_LIMITED.
 */
export async function createAdmin(
  session: TenantSession,
  { hasher, policy }: PasswordRules,
  input: Pick<NewUser, 'email' | 'name' | 'password'>,
): Promise<PublicUser> {
  const known = await findForLogin(session, input)
  if (known === null) assertUser(input, policy)
  const values = known
    ? null
    : userValues(session.tenantId, input, await hasher.hash(input.password, session.tenantId))
  await session
    .transaction(async (db) => {
      const reader = { tenantId: session.tenantId, db }
      const roleId = await ensureAdminRole(reader)
      const userId = values ? await insertOrFind(db, values) : known?.id
      if (!userId) throw fail('CONFLICT')
      await assignRoles(reader, userId, [roleId])
    })
    .catch(conflictOnDuplicate)
  const admin = await findForLogin(session, input)
  if (!admin) throw fail('CONFLICT')
  return publicUser(admin)
}

/** If two calls run at once, the second one waits for the first one's row and then finds it. */
async function ensureAdminRole(reader: Reader): Promise<string> {
  const { tenantId, db } = reader
  await db
    .insert(roles)
    .values({ tenantId, id: newId(), name: ADMIN_ROLE, description: 'May do everything' })
    .onConflictDoNothing()
  const [role] = await findRoles(reader, [ADMIN_ROLE])
  if (!role) throw new Error('the role admin was not stored')
  const everything = { tenantId, roleId: role.id, permission: '*' }
  await db.insert(rolePermissions).values(everything).onConflictDoNothing()
  return role.id
}

async function insertOrFind(db: TenantDb, values: typeof users.$inferInsert): Promise<string | undefined> {
  await db.insert(users).values(values).onConflictDoNothing()
  const [row] = await db
    .select({ id: users.id })
    .from(users)
    .where(and(eq(users.tenantId, values.tenantId), eq(sql`lower(${users.email})`, values.email)))
  return row?.id
}
