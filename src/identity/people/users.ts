import { and, asc, eq, gt, type SQL, sql } from 'drizzle-orm'
import { idFromCursor, type Page, pageOf } from '../../catalog/pages.ts'
import { fail, type PublicError } from '../../errors.ts'
import { isUuid, newId } from '../../lib/ids.ts'
import { databaseError } from '../../lib/postgres/pg.ts'
import { users } from '../../residence/tables.ts'
import type { TenantSession } from '../../sql/session.ts'
import type { PageRequest } from '../callers/client-keys.ts'
import { storedSpellings, typedName } from './names.ts'
import { isGeneration, isId, namesOf } from './tenant-rows.ts'
import type { NewUser, UserStatus } from './user-form.ts'

/** A tenant's user as callers may see it. */
export interface PublicUser {
  readonly id: string
  readonly email: string
  readonly username: string | null
  readonly name: string | null
  readonly taxNumber: string | null
  readonly status: UserStatus
  readonly roles: readonly string[]
  readonly createdAt: string
  readonly updatedAt: string
}

/** A user with the data for access tokens, and the hash of the password. Only `identity` may use it. */
export interface UserWithGrants extends PublicUser {
  readonly passwordHash: string
  readonly permissions: readonly string[]
  /** Grows when earlier access tokens are revoked. */
  readonly generation: number
}

/** The name that a person types at login. */
export type LoginName = { readonly email: string } | { readonly username: string }

/** A session, or one of its transactions. */
export type Reader = Pick<TenantSession, 'tenantId' | 'db'>

/** The columns of a user that a change sets. */
export type UserChanges = Partial<
  Pick<typeof users.$inferInsert, 'email' | 'username' | 'name' | 'taxNumber' | 'status' | 'passwordHash'>
>

const UNIQUE_VIOLATION = '23505'
const TAKEN: Readonly<Record<string, { pointer: string; what: string }>> = {
  users_email_key: { pointer: '/email', what: 'email address' },
  users_username_key: { pointer: '/username', what: 'user name' },
  users_tax_number_key: { pointer: '/taxNumber', what: 'tax number' },
}

// The outer table's name is written out. Drizzle omits it from columns if a query has only one table, and inside the subquery a
// column without it would be the inner table's.
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
  taxNumber: users.taxNumber,
  status: users.status,
  roles: roleNames,
  createdAt: users.createdAt,
  updatedAt: users.updatedAt,
}
const GRANT_COLUMNS = {
  ...PUBLIC_COLUMNS,
  passwordHash: users.passwordHash,
  permissions: permissionNames,
  generation: users.generation,
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
  return pageOf(rows.map(withValidRoles), limit)
}

/** Finds a user with roles and permissions, in one statement. Returns null also for a text that cannot be an id. */
export function findUser(reader: Reader, userId: string): Promise<UserWithGrants | null> {
  return isUuid(userId) ? findOne(reader, eq(users.id, userId)) : Promise.resolve(null)
}

/**
 * Finds a user by the typed name, in upper or lower case. If no user has the user name, it may be an email address: many people
 * type their address as their user name.
 */
export function findForLogin(reader: Reader, name: LoginName): Promise<UserWithGrants | null> {
  // Spelled here and not by the database: databases convert letters differently, and attempts are counted by our spelling.
  const wanted = loginNameText(name)
  // PostgreSQL cannot store a text with this character, so no user has it, and a query with it would fail.
  if (wanted.includes('\0')) return Promise.resolve(null)
  const byEmail = hasEmail('email' in name ? name.email : name.username)
  const byUsername = eq(sql`lower(${users.username})`, wanted)
  if ('email' in name) return findOne(reader, byEmail)
  if (!wanted.includes('@')) return findOne(reader, byUsername)
  const taken = sql`(select 1 from users u where u.tenant_id = ${reader.tenantId} and lower(u.username) = ${wanted})`
  return findOne(reader, sql`(${byUsername} or (${byEmail} and not exists ${taken}))`)
}

/** The one spelling of a login name. */
export function loginNameText(name: LoginName): string {
  return typedName('email' in name ? name.email : name.username)
}

/**
 * A condition: the user has this address. Old addresses are not composed (NFC), so two users may differ only in that. The exact
 * spelling comes first, so that each of them is found.
 */
function hasEmail(text: string): SQL {
  const spellings = sql.param([...storedSpellings(text)])
  return sql`${users.id} = (
    select u.id from users u where u.tenant_id = users.tenant_id and lower(u.email) = any(${spellings}::text[])
    order by array_position(${spellings}::text[], lower(u.email)) limit 1)`
}

/**
 * The unique index compares one spelling only, so older spellings are checked here.
 *
 * @throws PublicError CONFLICT if another user has the address in an older spelling.
 */
export async function assertEmailFree(
  { tenantId, db }: Reader,
  email: string,
  userId: string | null,
): Promise<void> {
  const [other] = await db
    .select({ id: users.id })
    .from(users)
    .where(and(eq(users.tenantId, tenantId), hasEmail(email)))
  if (other !== undefined && other.id !== userId) throw duplicate('users_email_key')
}

/** The row of a new user. */
export function userValues(tenantId: string, input: NewUser, passwordHash: string) {
  const { email, username = null, name = null, taxNumber = null } = input
  return { tenantId, id: newId(), email: typedName(email), username, name, taxNumber, passwordHash }
}

/** Changes a user's row, which is locked from here until the transaction ends. */
export async function updateUser(
  { tenantId, db }: Reader,
  userId: string,
  changes: UserChanges,
): Promise<void> {
  const set = { ...changes, updatedAt: sql`now()` }
  await db
    .update(users)
    .set(set)
    .where(and(eq(users.tenantId, tenantId), eq(users.id, userId)))
}

/** Replaces the hash by a stronger one of the same password, unless the hash has changed in the meantime. */
export async function replaceHash(
  { tenantId, db }: Reader,
  { id, passwordHash }: Pick<UserWithGrants, 'id' | 'passwordHash'>,
  stronger: string,
): Promise<void> {
  const unchanged = and(eq(users.id, id), eq(users.passwordHash, passwordHash))
  await db
    .update(users)
    .set({ passwordHash: stronger })
    .where(and(eq(users.tenantId, tenantId), unchanged))
}

/**
 * Starts a new generation, which revokes earlier tokens. It is above the announced `lowest`, which a restored database may have
 * lost. Locks the row as `updateUser` does.
 */
export async function raiseGeneration(
  { tenantId, db }: Reader,
  userId: string,
  lowest: number,
): Promise<number | null> {
  const [row] = await db
    .update(users)
    .set({ generation: sql`greatest(${users.generation}, ${lowest}::int) + 1` })
    .where(and(eq(users.tenantId, tenantId), eq(users.id, userId)))
    .returning({ generation: users.generation })
  return row?.generation ?? null
}

/** Deletes a user who is INACTIVE and still has this generation, and all rows of the user. Returns true if there was one. */
export async function deleteUser(
  { tenantId, db }: Reader,
  { id, generation }: Pick<UserWithGrants, 'id' | 'generation'>,
): Promise<boolean> {
  const unchanged = and(eq(users.generation, generation), eq(users.status, 'INACTIVE'))
  const deleted = await db
    .delete(users)
    .where(and(eq(users.tenantId, tenantId), eq(users.id, id), unchanged))
    .returning({ id: users.id })
  return deleted.length > 0
}

/** Lists the columns that callers may see, so that a new column of the table does not appear by itself. */
export function publicUser(row: PublicUser): PublicUser {
  const { id, email, username, name, taxNumber, status, roles, createdAt, updatedAt } = row
  return { id, email, username, name, taxNumber, status, roles, createdAt, updatedAt }
}

/** Translates the error of a statement on `users`. */
export function conflictOnDuplicate(error: unknown): never {
  const refused = databaseError(error)
  if (refused?.code !== UNIQUE_VIOLATION) throw error
  // The server's error is not the `cause`: its detail would write the caller's values to the log.
  throw duplicate(refused.constraint ?? '')
}

function duplicate(constraint: string): PublicError {
  const taken = TAKEN[constraint]
  if (taken === undefined) return fail('CONFLICT')
  return fail('CONFLICT', {
    detail: `The ${taken.what} is taken.`,
    errors: [{ pointer: taken.pointer, message: 'is taken' }],
  })
}

async function findOne({ tenantId, db }: Reader, condition: SQL): Promise<UserWithGrants | null> {
  const [row] = await db
    .select(GRANT_COLUMNS)
    .from(users)
    .where(and(eq(users.tenantId, tenantId), condition))
  return row && isId(row.id) && isGeneration(row.generation)
    ? { ...withValidRoles(row), permissions: namesOf(row.permissions) }
    : null
}

function withValidRoles<T extends PublicUser>(row: T): T {
  return { ...row, roles: namesOf(row.roles) }
}
