import type pg from 'pg'
import type { DatabaseEntry } from '../catalog/databases/entry.ts'
import type { SealOf } from '../catalog/seals.ts'
import type { ServerAddress } from '../lib/postgres/pg.ts'
import type { AddressBook } from '../pools/addresses.ts'
import { withAdminConnection } from '../pools/admin-connection.ts'
import type { ConnectionBudget } from '../pools/budget.ts'

export interface TenantConnectionDeps {
  readonly addresses: AddressBook
  readonly budget: ConnectionBudget
  /** The shared database, as the role that owns its tables. */
  readonly shared: ServerAddress
  readonly sealOf: SealOf
  /** Time limit for connecting and for each statement. Default: `STATEMENT_TIMEOUT_MS`. */
  readonly timeoutMs?: number
}

export const ADMISSION_TIMEOUT_MS = 3_000
export const STATEMENT_TIMEOUT_MS = 5_000

/**
 * Lends a connection to a tenant database: the dedicated one of `entry` or, for null, the shared one.
 * @throws IdentityMismatchError if the server now has another database under this name; errors of connecting and of `fn`
 */
export function withTenantDatabase<T>(
  deps: TenantConnectionDeps,
  entry: DatabaseEntry | null,
  fn: (client: pg.Client) => Promise<T>,
): Promise<T> {
  return lend(deps, entry === null ? deps.shared : deps.addresses.validatedAddressOf(entry), fn)
}

/** As `withTenantDatabase`, but does not check that the database is the validated one. */
export function withUnverifiedDatabase<T>(
  deps: TenantConnectionDeps,
  entry: DatabaseEntry,
  fn: (client: pg.Client) => Promise<T>,
): Promise<T> {
  return lend(deps, deps.addresses.addressOf(entry), fn)
}

function lend<T>(
  { budget, timeoutMs = STATEMENT_TIMEOUT_MS }: TenantConnectionDeps,
  address: ServerAddress,
  fn: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const limits = { connectTimeoutMs: timeoutMs, statementTimeoutMs: timeoutMs }
  return withAdminConnection(address, { budget, limits, admissionTimeoutMs: ADMISSION_TIMEOUT_MS }, fn)
}
