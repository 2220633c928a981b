import { and, asc, eq, gt, inArray, type SQL, sql } from 'drizzle-orm'
import { idFromCursor, type Page, pageOf } from '../catalog/pages.ts'
import { type FieldError, fail } from '../errors.ts'
import { newId } from '../lib/ids.ts'
import { errorCode } from '../lib/pg.ts'
import { rolePermissions, roles, userRoles, users } from '../tenant/schema.ts'
import type { TenantDb, TenantSession } from '../tenant/session.ts'
import type { PageRequest } from './client-keys.ts'
import { isName, NAME_RULE } from './names.ts'
import { checkPolicy, type PasswordHasher, type PasswordPolicy } from './passwords.ts'

export interface NewUser {
  readonly email: string
  readonly username?: string | null | undefined
  readonly name?: string | null | undefined
  readonly password: string
  /** Names of the tenant's roles. */
  readonly roles?: readonly string[] | undefined
}

/** A tenant's user as people may see it. */
export interface PublicUser {
  readonly id: string
  readonly email: string
  readonly username: string | null
  readonly name: string | null
  readonly status: 'ACTIVE' | 'INACTIVE'
  readonly roles: readonly string[]
  readonly createdAt: string
  readonly updatedAt: string
}

/** A user with what access tokens say, and the hash that proves the password. Never leaves this folder whole. */
export interface UserWithGrants extends PublicUser {
  readonly passwordHash: string
  readonly permissions: readonly string[]
}

/** How a person names themselves at login. */
export type LoginName = { readonly email: string } | { readonly username: string }

/** What a password is hashed with and measured by. */
export interface PasswordRules {
  readonly hasher: PasswordHasher
  readonly policy: PasswordPolicy
}

/** A session, or one of its transactions. */
export type Reader = Pick<TenantSession, 'tenantId' | 'db'>

const UNIQUE_VIOLATION = '23505'
const MAX_ROLES = 50
const EMAIL = /^[^\s@\p{Cc}]{1,64}@[^\s@\p{Cc}]{1,255}$/u
const USERNAME = /^[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}$/

// The outer table is written out: drizzle drops its name from columns where a query has one table only, and inside the
// subquery the bare name would be the inner table's.
const roleNames = sql<string[]>`array(
  select r.name from user_roles ur join roles r on r.tenant_id = ur.tenant_id and r.id = ur.role_id
  where ur.tenant_id = users.tenant_id and ur.user_id = users.id order by r.name)`

const permissionNames = sql<string[]>`array(
  select distinct rp.permission
  from user_roles ur join role_permissions rp on rp.tenant_id = ur.tenant_id and rp.role_id = ur.role_id
  where ur.tenant_id = users.tenant_id and ur.user_id = users.id order by rp.permission)`

const PUBLIC_COLUMNS = {
  id: users.id,
  email: users.email,
  username: users.username,
  name: users.name,
  status: users.status,
  roles: roleNames,
  createdAt: users.createdAt,
  updatedAt: users.updatedAt,
}
const GRANT_COLUMNS = { ...PUBLIC_COLUMNS, passwordHash: users.passwordHash, permissions: permissionNames }

/**
 * Makes a user of the session's tenant.
 *
 * @throws PublicError VALIDATION_FAILED, REFERENCE_NOT_FOUND for a role that is not there, CONFLICT when the email
 *   address or user name is taken, RATE_LIMITED.
 */
export async function createUser(
  session: TenantSession,
  { hasher, policy }: PasswordRules,
  input: NewUser,
): Promise<PublicUser> {
  const faults = checkNewUser(input, policy)
  if (faults.length > 0) throw fail('VALIDATION_FAILED', { errors: faults })
  const values = await userValues(session, hasher, input)
  const wanted = [...new Set(input.roles ?? [])]
  return session
    .transaction(async (db) => {
      const roleIds = await findRoleIds(db, session.tenantId, wanted)
      const [row] = await db.insert(users).values(values).returning()
      if (!row) throw new Error('the user was not stored')
      await assignRoles(db, session.tenantId, row.id, roleIds)
      return publicUser({ ...row, roles: wanted.sort() })
    })
    .catch(conflictOnDuplicate)
}

/** The tenant's users, oldest first. */
export async function listUsers(
  session: TenantSession,
  { limit, cursor }: PageRequest,
): Promise<Page<PublicUser>> {
  const after = cursor === undefined ? undefined : gt(users.id, idFromCursor(cursor))
  const rows = await session.db
    .select(PUBLIC_COLUMNS)
    .from(users)
    .where(and(eq(users.tenantId, session.tenantId), after))
    .orderBy(asc(users.id))
    .limit(limit + 1)
  return pageOf(rows, limit)
}

/** A user with roles and permissions, in one statement. */
export function findUser(session: Reader, userId: string): Promise<UserWithGrants | null> {
  return findOne(session, eq(users.id, userId))
}

/** As `findUser`, by what a person types. Case does not matter. */
export function findForLogin(session: TenantSession, name: LoginName): Promise<UserWithGrants | null> {
  // Folded here and not by the database: each knows other letters, and login counts attempts by our spelling.
  const wanted = loginNameText(name)
  // PostgreSQL has no text with this character: such a user cannot be, and asking would be an error.
  if (wanted.includes('\0')) return Promise.resolve(null)
  const column = 'email' in name ? users.email : users.username
  return findOne(session, eq(sql`lower(${column})`, wanted))
}

/** The one spelling of a login name. */
export function loginNameText(name: LoginName): string {
  return ('email' in name ? name.email : name.username).toLowerCase()
}

/**
 * Makes the tenant's first user, with the role `admin`, which may do everything. Doing it again changes nothing
 * but a missing role: the password of a user who is there stays.
 *
 * @throws PublicError VALIDATION_FAILED, CONFLICT, RATE_LIMITED.
 */
export async function createAdmin(
  session: TenantSession,
  { hasher, policy }: PasswordRules,
  input: Pick<NewUser, 'email' | 'name' | 'password'>,
): Promise<PublicUser> {
  const known = await findForLogin(session, input)
  const faults = known ? [] : checkNewUser(input, policy)
  if (faults.length > 0) throw fail('VALIDATION_FAILED', { errors: faults })
  const values = known ? null : await userValues(session, hasher, input)
  await session.transaction(async (db) => {
    const roleId = await ensureAdminRole(db, session.tenantId)
    const userId = values ? await insertOrFind(db, values) : known?.id
    if (!userId) throw fail('CONFLICT')
    await assignRoles(db, session.tenantId, userId, [roleId])
  })
  const admin = await findForLogin(session, input)
  if (!admin) throw fail('CONFLICT')
  return publicUser(admin)
}

/** What is wrong with a new user. Pointers are into the user's own object. */
export function checkNewUser(input: NewUser, policy: PasswordPolicy): FieldError[] {
  const faults: FieldError[] = []
  const fault = (pointer: string, message: string) => faults.push({ pointer, message })
  if (input.email.length > 254 || !EMAIL.test(input.email)) fault('/email', 'must be an email address')
  if (input.username != null && !USERNAME.test(input.username)) {
    fault('/username', 'must have 1 to 100 letters, digits, or . _ @ + -, and begin with a letter or digit')
  }
  if (input.name != null && !isName(input.name)) fault('/name', NAME_RULE)
  if ((input.roles?.length ?? 0) > MAX_ROLES) fault('/roles', `must not have more than ${MAX_ROLES} items`)
  input.roles?.forEach((role, i) => {
    if (!isName(role)) fault(`/roles/${i}`, NAME_RULE)
  })
  const weak = checkPolicy(input.password, policy)
  return weak ? [...faults, weak] : faults
}

/** Picks what people may see. A column added to the table does not appear by itself. */
export function publicUser(row: PublicUser): PublicUser {
  const { id, email, username, name, status, roles: names, createdAt, updatedAt } = row
  return { id, email, username, name, status, roles: names, createdAt, updatedAt }
}

async function findOne(session: Reader, condition: SQL): Promise<UserWithGrants | null> {
  const [row] = await session.db
    .select(GRANT_COLUMNS)
    .from(users)
    .where(and(eq(users.tenantId, session.tenantId), condition))
  return row ?? null
}

async function userValues(session: TenantSession, hasher: PasswordHasher, input: NewUser) {
  return {
    tenantId: session.tenantId,
    id: newId(),
    email: input.email.toLowerCase(),
    username: input.username ?? null,
    name: input.name ?? null,
    passwordHash: await hasher.hash(input.password),
  }
}

async function findRoleIds(db: TenantDb, tenantId: string, names: readonly string[]): Promise<string[]> {
  if (names.length === 0) return []
  const rows = await db
    .select({ id: roles.id, name: roles.name })
    .from(roles)
    .where(and(eq(roles.tenantId, tenantId), inArray(roles.name, [...names])))
  const known = new Set(rows.map((row) => row.name))
  const errors = names.flatMap((name, i) =>
    known.has(name) ? [] : [{ pointer: `/roles/${i}`, message: 'there is no such role' }],
  )
  if (errors.length > 0) throw fail('REFERENCE_NOT_FOUND', { errors })
  return rows.map((row) => row.id)
}

async function assignRoles(db: TenantDb, tenantId: string, userId: string, roleIds: readonly string[]) {
  if (roleIds.length === 0) return
  const rows = roleIds.map((roleId) => ({ tenantId, userId, roleId }))
  await db.insert(userRoles).values(rows).onConflictDoNothing()
}

/** Two at once make one: the second waits for the first's row and then finds it. */
async function ensureAdminRole(db: TenantDb, tenantId: string): Promise<string> {
  await db
    .insert(roles)
    .values({ tenantId, id: newId(), name: 'admin', description: 'May do everything' })
    .onConflictDoNothing()
  const [roleId] = await findRoleIds(db, tenantId, ['admin'])
  if (!roleId) throw new Error('the role admin was not stored')
  await db.insert(rolePermissions).values({ tenantId, roleId, permission: '*' }).onConflictDoNothing()
  return roleId
}

async function insertOrFind(db: TenantDb, values: typeof users.$inferInsert): Promise<string | undefined> {
  await db.insert(users).values(values).onConflictDoNothing()
  const [row] = await db
    .select({ id: users.id })
    .from(users)
    .where(and(eq(users.tenantId, values.tenantId), eq(sql`lower(${users.email})`, values.email)))
  return row?.id
}

function conflictOnDuplicate(error: unknown): never {
  if (errorCode(error) !== UNIQUE_VIOLATION) throw error
  throw fail('CONFLICT', { detail: 'The email address or user name is taken.', cause: error })
}
