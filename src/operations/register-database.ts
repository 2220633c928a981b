import { X509Certificate } from 'node:crypto'
import type { Actor } from '../catalog/audit.ts'
import type { DatabaseEntry } from '../catalog/database-entry.ts'
import type { DatabaseRegistry } from '../catalog/databases.ts'
import type { CatalogStore } from '../catalog/store.ts'
import { findTenant } from '../catalog/tenants.ts'
import type { Vault } from '../catalog/vault.ts'
import { type FieldError, fail, type PublicError } from '../errors.ts'
import type { EgressPolicy } from '../health/egress.ts'
import { isLoopback } from '../lib/addresses.ts'
import {
  ConnectionStringError,
  type ConnectionTarget,
  parseConnectionString,
  type SslMode,
} from '../lib/connection-string.ts'
import { Secret } from '../lib/secret.ts'

export interface DatabaseRegistration {
  readonly connectionString: string
  readonly caCertificate?: string
  readonly poolSize: number
  readonly idleTimeoutSeconds: number
  readonly connectionTimeoutSeconds: number
  readonly applyMigrations: boolean
}

export interface RegisterDatabaseDeps {
  readonly store: CatalogStore
  readonly vault: Vault
  readonly registry: DatabaseRegistry
  readonly policy: EgressPolicy
  readonly sslModeDefault: SslMode
  /** Places where no tenant's database can be: the catalog's and the shared database's own. */
  readonly ownPlaces: readonly Pick<ConnectionTarget, 'host' | 'port' | 'database'>[]
  /** Tells the workers that there is something to validate. */
  readonly wake: () => void
}

/**
 * Takes a database for a tenant into the catalog, sealed, to be validated in the background. What can be refused without
 * touching the network is refused here.
 * @throws PublicError VALIDATION_FAILED, TENANT_NOT_FOUND
 */
export async function registerDatabase(
  deps: RegisterDatabaseDeps,
  tenantId: string,
  body: DatabaseRegistration,
  actor: Actor,
): Promise<DatabaseEntry> {
  const target = parse(body.connectionString)
  assertAllowed(deps, target)
  assertCertificate(body.caCertificate)
  if ((await findTenant(deps.store, tenantId)) === null) throw fail('TENANT_NOT_FOUND')
  // Made before the transaction: it takes a connection of its own.
  await deps.vault.dataKey(tenantId)
  const { poolSize, idleTimeoutSeconds, connectionTimeoutSeconds, applyMigrations } = body
  const registration = {
    connectionString: new Secret(body.connectionString),
    sslMode: target.sslMode ?? (isLoopback(target.host) ? 'disable' : deps.sslModeDefault),
    caCertificate: body.caCertificate ?? null,
    ...{ poolSize, idleTimeoutSeconds, connectionTimeoutSeconds, applyMigrations },
  }
  const entry = await deps.store.transaction((tx) => deps.registry.put(tx, tenantId, registration, actor))
  deps.wake()
  return entry
}

function parse(text: string): ConnectionTarget {
  try {
    return parseConnectionString(text)
  } catch (error) {
    if (error instanceof ConnectionStringError) throw invalid('/connectionString', error.message)
    throw error
  }
}

function assertAllowed({ policy, ownPlaces }: RegisterDatabaseDeps, target: ConnectionTarget): void {
  if (policy.checkLiteral(target.host, target.port) === 'refused') {
    throw invalid('/connectionString', 'databases may not be registered at this host')
  }
  const { host, port, database } = target
  if (ownPlaces.some((own) => own.host === host && own.port === port && own.database === database)) {
    throw invalid('/connectionString', 'this database is not for tenants')
  }
}

function assertCertificate(pem: string | undefined): void {
  if (pem === undefined) return
  // It is kept in clear, and a bundle may bring the private key along.
  if (/-----BEGIN (?!CERTIFICATE-----)/.test(pem))
    throw invalid('/caCertificate', 'must hold nothing but certificates')
  try {
    new X509Certificate(pem)
  } catch {
    throw invalid('/caCertificate', 'must be a certificate in PEM form')
  }
}

function invalid(pointer: string, message: string): PublicError {
  const errors: FieldError[] = [{ pointer, message }]
  return fail('VALIDATION_FAILED', { errors })
}
