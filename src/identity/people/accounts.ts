import { and, asc, eq, gt, ilike, or, sql } from 'drizzle-orm'
import { type Actor, recordAudit } from '../../catalog/audit/entries.ts'
import { idFromCursor, type Page, pageOf } from '../../catalog/pages.ts'
import { accounts } from '../../catalog/schema.ts'
import { type CatalogStore, type CatalogTx, catalogErrors } from '../../catalog/store.ts'
import { containing, DEFAULT_AUTH_CONFIG } from '../../catalog/tenants.ts'
import type { Vault } from '../../catalog/vault.ts'
import { fail } from '../../errors.ts'
import { isUuid, newId } from '../../lib/ids.ts'
import { errorCode } from '../../lib/postgres/pg.ts'
import type { PageRequest } from '../callers/client-keys.ts'
import { type Revocations, subjectIdOf, voidTokens } from '../callers/revocations.ts'
import { ACCOUNTS_SHARE, type PasswordHasher } from '../login/passwords.ts'
import { assertEmailFree, emailTaken } from './account-emails.ts'
import { assertAccount, assertFitsToken, type NewMembership } from './account-form.ts'
import {
  deleteMembership,
  insertMemberships,
  type Membership,
  membershipsOf,
  putMembership,
  recordMemberships,
} from './account-memberships.ts'
import {
  type Account,
  type AccountColumns,
  type AccountRow,
  auditView,
  changedColumns,
  publicAccount,
  readAccount,
} from './account-view.ts'
import type { Changed } from './changed.ts'
import { typedName } from './names.ts'

export interface NewAccount {
  readonly email: string
  readonly password: string
  readonly name?: string | null
  /** Names of roles that are valid in each tenant of the account. */
  readonly roles?: readonly string[]
  readonly memberships?: readonly NewMembership[]
}

export interface AccountPatch {
  readonly email?: string
  readonly password?: string
  readonly name?: string | null
  readonly status?: 'ACTIVE' | 'INACTIVE'
  readonly roles?: readonly string[]
}

export interface AccountQuery extends PageRequest {
  /** Part of an email address or name, in any case. */
  readonly q?: string | undefined
}

export interface AccountsParts {
  readonly store: CatalogStore
  readonly hasher: PasswordHasher
  readonly revocations: Pick<Revocations, 'apply'>
  /** Gives the service's data key, which seals the personal data of accounts in the audit log: accounts belong to no tenant. */
  readonly vault: Pick<Vault, 'service'>
}

const UNIQUE_VIOLATION = '23505'

/**
 * The accounts of people who belong to several tenants. A change that removes something from an account (a role, a tenant, its
 * password, the account itself) also revokes its tokens, in the same transaction.
 */
export class Accounts {
  readonly #store: CatalogStore
  readonly #hasher: PasswordHasher
  readonly #revocations: Pick<Revocations, 'apply'>
  readonly #vault: Pick<Vault, 'service'>

  constructor({ store, hasher, revocations, vault }: AccountsParts) {
    this.#store = store
    this.#hasher = hasher
    this.#revocations = revocations
    this.#vault = vault
  }

  /**
   * @throws PublicError VALIDATION_FAILED, CONFLICT if the email address is taken, or if memberships and roles do not fit
   *   into a token, REFERENCE_NOT_FOUND for a tenant that does not exist, RATE_LIMITED.
   */
  async create(input: NewAccount, actor: Actor): Promise<Account> {
    const { email, name = null, password, roles = [] } = input
    const memberships = (input.memberships ?? []).map(normalized)
    assertAccount({ ...input, memberships }, DEFAULT_AUTH_CONFIG.passwordPolicy)
    assertFitsToken(roles, memberships)
    const passwordHash = await this.#hasher.hash(password, ACCOUNTS_SHARE)
    const values = { id: newId(), email: typedName(email), name, roles: [...new Set(roles)], passwordHash }
    return this.#store.transaction(async (tx) => {
      await assertEmailFree(tx, email)
      const [row] = await tx.insert(accounts).values(values).onConflictDoNothing().returning()
      if (row === undefined) throw emailTaken()
      await insertMemberships(tx, row.id, memberships)
      const record = { actor, action: 'account.create', tenantId: null, after: auditView(row) }
      await recordAudit(tx, record, this.#vault.service)
      await recordMemberships(tx, { account: row, memberships, actor, key: this.#vault.service })
      return readAccount(tx, row)
    })
  }

  /** Oldest first. */
  async list({ limit, cursor, q }: AccountQuery): Promise<Page<Account>> {
    const after = cursor === undefined ? undefined : gt(accounts.id, idFromCursor(cursor))
    const named =
      q === undefined
        ? undefined
        : or(ilike(accounts.email, containing(q)), ilike(accounts.name, containing(q)))
    const query = this.#store.db
      .select()
      .from(accounts)
      .where(and(after, named))
      .orderBy(asc(accounts.id))
      .limit(limit + 1)
    const { data, nextCursor } = pageOf(await catalogErrors(query), limit)
    const ids = data.map(({ id }) => id)
    const memberships = await catalogErrors(membershipsOf(this.#store.db, ids))
    return { data: data.map((row) => publicAccount(row, memberships.get(row.id) ?? [])), nextCursor }
  }

  /** @throws PublicError NOT_FOUND */
  async find(id: string): Promise<Account> {
    const row = await this.#findRow(id)
    if (row === null) throw fail('NOT_FOUND')
    return catalogErrors(readAccount(this.#store.db, row))
  }

  /** The data that an account may read of itself. Null if the account was deleted. */
  async describe(id: string): Promise<Pick<Account, 'id' | 'email' | 'name'> | null> {
    const row = await this.#findRow(id)
    return row && { id: row.id, email: row.email, name: row.name }
  }

  /** @throws PublicError NOT_FOUND, VALIDATION_FAILED, CONFLICT, RATE_LIMITED */
  async patch(id: string, patch: AccountPatch, actor: Actor): Promise<Changed<Account>> {
    assertAccount(patch, DEFAULT_AUTH_CONFIG.passwordPolicy)
    const { password } = patch
    const passwordHash =
      password === undefined ? undefined : await this.#hasher.hash(password, ACCOUNTS_SHARE)
    return this.#change(id, async (tx, before) => {
      const changed = { ...changesOf(before, patch), ...(passwordHash !== undefined && { passwordHash }) }
      if (Object.keys(changed).length === 0)
        return { result: await readAccount(tx, before), takesAway: false }
      if (changed.email !== undefined) await assertEmailFree(tx, changed.email, id)
      const row = await update(tx, before, changed)
      const result = await readAccount(tx, row)
      assertFitsToken(row.roles, result.memberships)
      const record = { actor, action: 'account.update', tenantId: null }
      const change = { before: changedColumns(before, changed), after: changedColumns(row, changed) }
      await recordAudit(tx, { ...record, ...change }, this.#vault.service)
      return { result, takesAway: takesAway(before, changed) }
    })
  }

  /** @throws PublicError NOT_FOUND */
  async remove(id: string, actor: Actor): Promise<number | null> {
    const { seq } = await this.#change(id, async (tx, before) => {
      const { memberships } = await readAccount(tx, before)
      for (const { tenantId } of memberships)
        await deleteMembership(tx, { account: before, tenantId, actor, key: this.#vault.service })
      await tx.delete(accounts).where(eq(accounts.id, id))
      const record = { actor, action: 'account.delete', tenantId: null, before: auditView(before) }
      await recordAudit(tx, record)
      return { result: undefined, takesAway: true }
    })
    return seq
  }

  /**
   * Makes the account a member of the tenant, with exactly these roles.
   *
   * @throws PublicError NOT_FOUND, TENANT_NOT_FOUND, VALIDATION_FAILED, CONFLICT
   */
  async setMembership(
    id: string,
    { tenantId, roles }: NewMembership,
    actor: Actor,
  ): Promise<Changed<Membership>> {
    assertAccount({ roles }, DEFAULT_AUTH_CONFIG.passwordPolicy)
    return this.#change(id, async (tx, account) => {
      const { membership, takesAway: lost } = await putMembership(tx, {
        account,
        tenantId,
        roles,
        actor,
        key: this.#vault.service,
      })
      assertFitsToken(account.roles, (await readAccount(tx, account)).memberships)
      return { result: membership, takesAway: lost }
    })
  }

  /** @throws PublicError NOT_FOUND, also if the account is no member. */
  async removeMembership(id: string, tenantId: string, actor: Actor): Promise<number | null> {
    const { seq } = await this.#change(id, async (tx, account) => {
      const wasMember = await deleteMembership(tx, { account, tenantId, actor, key: this.#vault.service })
      if (!wasMember) throw fail('NOT_FOUND')
      return { result: undefined, takesAway: true }
    })
    return seq
  }

  /**
   * Changes an account with its row locked, so that two changes of its memberships do not run at once. The change row is written
   * last, because from then on the transaction holds the lock of the change log.
   */
  async #change<T>(
    id: string,
    fn: (tx: CatalogTx, account: AccountRow) => Promise<{ result: T; takesAway: boolean }>,
  ): Promise<Changed<T>> {
    const { result, change } = await this.#store.transaction(async (tx) => {
      const before = await lockAccount(tx, id)
      const { result, takesAway } = await fn(tx, before).catch(conflictOnDuplicate)
      if (!takesAway) return { result, change: null }
      const voided = { tenantId: null, id, generation: before.generation + 1 }
      await tx.update(accounts).set({ generation: voided.generation }).where(eq(accounts.id, id))
      const seq = await voidTokens(tx, voided)
      return { result, change: { seq, tenantId: null, subjectId: subjectIdOf(voided) } }
    })
    // This process need not wait for the change log.
    if (change !== null) this.#revocations.apply({ kind: 'tokens', ...change })
    return { result, seq: change?.seq ?? null }
  }

  async #findRow(id: string): Promise<AccountRow | null> {
    if (!isUuid(id)) return null
    const [row] = await catalogErrors(this.#store.db.select().from(accounts).where(eq(accounts.id, id)))
    return row ?? null
  }
}

/** The id in lower case, and each role once. */
function normalized({ tenantId, roles }: NewMembership): NewMembership {
  return { tenantId: tenantId.toLowerCase(), roles: [...new Set(roles)] }
}

async function lockAccount(tx: CatalogTx, id: string): Promise<AccountRow> {
  if (!isUuid(id)) throw fail('NOT_FOUND')
  const [row] = await tx.select().from(accounts).where(eq(accounts.id, id)).for('update')
  if (row === undefined) throw fail('NOT_FOUND')
  return row
}

async function update(tx: CatalogTx, before: AccountRow, changed: AccountColumns): Promise<AccountRow> {
  const set = { ...changed, updatedAt: sql`now()` }
  const [row] = await tx.update(accounts).set(set).where(eq(accounts.id, before.id)).returning()
  if (row === undefined) throw fail('NOT_FOUND')
  return row
}

function changesOf(before: AccountRow, { email, name, status, roles }: AccountPatch): AccountColumns {
  const changed: AccountColumns = {}
  const folded = email === undefined ? undefined : typedName(email)
  if (folded !== undefined && folded !== before.email) changed.email = folded
  if (name !== undefined && name !== before.name) changed.name = name
  if (status !== undefined && status !== before.status) changed.status = status
  const wanted = roles && [...new Set(roles)]
  if (wanted !== undefined && wanted.join('\n') !== before.roles.join('\n')) changed.roles = wanted
  return changed
}

function takesAway(before: AccountRow, { passwordHash, status, roles }: AccountColumns): boolean {
  const kept = new Set(roles ?? before.roles)
  return passwordHash !== undefined || status === 'INACTIVE' || before.roles.some((role) => !kept.has(role))
}

function conflictOnDuplicate(error: unknown): never {
  throw errorCode(error) === UNIQUE_VIOLATION ? emailTaken(error) : error
}
