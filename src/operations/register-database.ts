import type { Actor } from '../catalog/audit/entries.ts'
import type { DatabaseEntry } from '../catalog/databases/entry.ts'
import type { DatabaseRegistry } from '../catalog/databases/registry.ts'
import { assertNoAdministrator, lockRoles } from '../catalog/servers/administrators.ts'
import type { CatalogStore } from '../catalog/store.ts'
import { findTenant } from '../catalog/tenants.ts'
import type { Vault } from '../catalog/vault.ts'
import { fail } from '../errors.ts'
import { Secret } from '../lib/secret.ts'
import { type ConnectionRules, readBundle, readTarget } from './given-connection.ts'

export interface DatabaseRegistration {
  readonly connectionString: string
  readonly caCertificate?: string
  readonly poolSize: number
  readonly idleTimeoutSeconds: number
  /** If absent, `connect_timeout` of the connection string applies; if that is absent too, the default. */
  readonly connectionTimeoutSeconds?: number
  readonly applyMigrations: boolean
}

export interface RegisterDatabaseDeps extends ConnectionRules {
  readonly store: CatalogStore
  readonly vault: Vault
  readonly registry: DatabaseRegistry
  /** Lets the validation start now, before the next poll. */
  readonly wake: () => void
}

const DEFAULT_CONNECTION_TIMEOUT_SECONDS = 5

/**
 * Registers a database for a tenant. A background job validates it later. Faults that can be found without a connection are
 * refused here. The catalog stores the connection string sealed.
 * @throws PublicError VALIDATION_FAILED, TENANT_NOT_FOUND
 */
export async function registerDatabase(
  deps: RegisterDatabaseDeps,
  {
    tenantId,
    registration: body,
    actor,
  }: { tenantId: string; registration: DatabaseRegistration; actor: Actor },
): Promise<DatabaseEntry> {
  const target = readTarget(deps, body.connectionString)
  const caCertificate = readBundle(body.caCertificate)
  if ((await findTenant(deps.store, tenantId)) === null) throw fail('TENANT_NOT_FOUND')
  // Before the transaction, because the first use of a data key takes a connection.
  await deps.vault.dataKey(tenantId)
  const { poolSize, idleTimeoutSeconds, applyMigrations } = body
  const connectionTimeoutSeconds =
    body.connectionTimeoutSeconds ?? target.connectTimeoutSeconds ?? DEFAULT_CONNECTION_TIMEOUT_SECONDS
  const registration = {
    connectionString: new Secret(body.connectionString),
    sslMode: target.sslMode,
    caCertificate,
    ...{ poolSize, idleTimeoutSeconds, connectionTimeoutSeconds, applyMigrations },
  }
  const entry = await deps.store.transaction(async (tx) => {
    await lockRoles(tx, 'shared')
    await assertNoAdministrator(tx, target)
    return deps.registry.put(tx, { tenantId, registration, actor })
  })
  deps.wake()
  return entry
}
