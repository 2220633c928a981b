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
}

export const ADMISSION_TIMEOUT_MS = 3_000
export const STATEMENT_TIMEOUT_MS = 5_000

/**
 * Lends a connection to a tenant's home: its own database, or (null) the shared one.
 * @throws IdentityMismatchError where another database has taken its place; what connecting and `fn` throw
 */
export function withTenantDatabase<T>(
  deps: TenantConnectionDeps,
  entry: DatabaseEntry | null,
  fn: (client: pg.Client) => Promise<T>,
  timeoutMs = STATEMENT_TIMEOUT_MS,
): Promise<T> {
  return lend(deps, entry === null ? deps.shared : deps.addresses.validatedAddressOf(entry), {
    fn,
    timeoutMs,
  })
}

/** As `withTenantDatabase`, to whatever stands under the entry's name. */
export function withUnverifiedDatabase<T>(
  deps: TenantConnectionDeps,
  entry: DatabaseEntry,
  fn: (client: pg.Client) => Promise<T>,
): Promise<T> {
  return lend(deps, deps.addresses.addressOf(entry), { fn, timeoutMs: STATEMENT_TIMEOUT_MS })
}

function lend<T>(
  { budget }: TenantConnectionDeps,
  address: ServerAddress,
  { fn, timeoutMs }: { fn: (client: pg.Client) => Promise<T>; timeoutMs: number },
): Promise<T> {
  const limits = { connectTimeoutMs: timeoutMs, statementTimeoutMs: timeoutMs }
  return withAdminConnection(address, { budget, limits, admissionTimeoutMs: ADMISSION_TIMEOUT_MS }, fn)
}
