import type { accounts } from '../../catalog/schema.ts'
import type { CatalogTx } from '../../catalog/store.ts'
import { type Membership, membershipsOf } from './account-memberships.ts'

/** An account as operators see it: without the password's hash. */
export interface Account {
  readonly id: string
  readonly email: string
  readonly name: string | null
  readonly status: 'ACTIVE' | 'INACTIVE'
  readonly roles: readonly string[]
  readonly memberships: readonly Membership[]
  readonly createdAt: string
  readonly updatedAt: string
}

export type AccountRow = typeof accounts.$inferSelect
export type AccountColumns = Partial<Pick<AccountRow, 'email' | 'name' | 'status' | 'roles' | 'passwordHash'>>

/** The account with its memberships. */
export async function readAccount(db: Pick<CatalogTx, 'select'>, row: AccountRow): Promise<Account> {
  return publicAccount(row, (await membershipsOf(db, [row.id])).get(row.id) ?? [])
}

export function publicAccount(row: AccountRow, memberships: readonly Membership[]): Account {
  const { id, email, name, status, roles } = row
  const [createdAt, updatedAt] = [row.createdAt.toISOString(), row.updatedAt.toISOString()]
  return { id, email, name, status, roles, memberships, createdAt, updatedAt }
}

/** The account as the audit log shows it. */
export function auditView({ id, email, name, status, roles }: AccountRow) {
  return { accountId: id, email, name, status, roles }
}

/** The columns that a change touches, for the audit log. For a password the log says only that it changed. */
export function changedColumns(row: AccountRow, changed: AccountColumns): Record<string, unknown> {
  const { passwordHash, ...rest } = changed
  const columns = Object.keys(rest).map((name) => [name, row[name as keyof typeof rest]])
  return {
    accountId: row.id,
    ...Object.fromEntries(columns),
    ...(passwordHash !== undefined && { password: row.passwordHash === passwordHash ? 'new' : 'old' }),
  }
}
