import { X509Certificate } from 'node:crypto'
import type { Actor } from '../catalog/audit/entries.ts'
import type { DatabaseEntry } from '../catalog/databases/entry.ts'
import type { DatabaseRegistry } from '../catalog/databases/registry.ts'
import type { CatalogStore } from '../catalog/store.ts'
import { findTenant } from '../catalog/tenants.ts'
import type { Vault } from '../catalog/vault.ts'
import { type FieldError, fail, type PublicError } from '../errors.ts'
import {
  ConnectionStringError,
  type ConnectionTarget,
  effectiveSslMode,
  parseConnectionString,
  type SslMode,
} from '../lib/postgres/connection-string.ts'
import type { EgressPolicy } from '../lib/postgres/egress.ts'
import { Secret } from '../lib/secret.ts'

export interface DatabaseRegistration {
  readonly connectionString: string
  readonly caCertificate?: string
  readonly poolSize: number
  readonly idleTimeoutSeconds: number
  /** If absent, `connect_timeout` of the connection string applies; if that is absent too, the default. */
  readonly connectionTimeoutSeconds?: number
  readonly applyMigrations: boolean
}

export interface RegisterDatabaseDeps {
  readonly store: CatalogStore
  readonly vault: Vault
  readonly registry: DatabaseRegistry
  readonly policy: EgressPolicy
  readonly sslModeDefault: SslMode
  /** The addresses of the catalog and the shared database, which cannot be registered. */
  readonly ownAddresses: readonly Pick<ConnectionTarget, 'host' | 'port' | 'database'>[]
  /** Lets the validation start now, before the next poll. */
  readonly wake: () => void
}

const DEFAULT_CONNECTION_TIMEOUT_SECONDS = 5
const CERTIFICATE_END = '-----END CERTIFICATE-----'

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
  const { target, sslMode } = parse(body.connectionString, deps.sslModeDefault)
  assertAllowed(deps, target)
  const caCertificate = body.caCertificate === undefined ? null : readBundle(body.caCertificate)
  if ((await findTenant(deps.store, tenantId)) === null) throw fail('TENANT_NOT_FOUND')
  // Before the transaction, because the first use of a data key takes a connection.
  await deps.vault.dataKey(tenantId)
  const { poolSize, idleTimeoutSeconds, applyMigrations } = body
  const connectionTimeoutSeconds =
    body.connectionTimeoutSeconds ?? target.connectTimeoutSeconds ?? DEFAULT_CONNECTION_TIMEOUT_SECONDS
  const registration = {
    connectionString: new Secret(body.connectionString),
    sslMode,
    caCertificate,
    ...{ poolSize, idleTimeoutSeconds, connectionTimeoutSeconds, applyMigrations },
  }
  const entry = await deps.store.transaction((tx) => deps.registry.put(tx, { tenantId, registration, actor }))
  deps.wake()
  return entry
}

function parse(text: string, sslModeDefault: SslMode): { target: ConnectionTarget; sslMode: SslMode } {
  try {
    const target = parseConnectionString(text)
    return { target, sslMode: effectiveSslMode(target, sslModeDefault) }
  } catch (error) {
    if (error instanceof ConnectionStringError) throw invalid('/connectionString', error.message)
    throw error
  }
}

function assertAllowed({ policy, ownAddresses }: RegisterDatabaseDeps, target: ConnectionTarget): void {
  if (policy.checkLiteral(target.host, target.port) === 'refused') {
    throw invalid('/connectionString', 'databases may not be registered at this host')
  }
  const { host, port, database } = target
  if (ownAddresses.some((own) => own.host === host && own.port === port && own.database === database)) {
    throw invalid('/connectionString', 'this database is not for tenants')
  }
}

/**
 * Takes the certificates out of a bundle. Providers publish bundles with text between the certificates. OpenSSL ignores, without
 * an error, everything after the first certificate that it cannot read. So we read each one here.
 */
function readBundle(pem: string): string {
  // The bundle is stored unsealed, so a private key in it must be refused.
  if (/-----BEGIN (?!CERTIFICATE-----)/.test(pem))
    throw invalid('/caCertificate', 'must hold nothing but certificates')
  const [, ...parts] = pem.split('-----BEGIN CERTIFICATE-----')
  if (parts.length === 0) throw invalid('/caCertificate', 'must be certificates in PEM form, not a file name')
  return parts.map((part, index) => readCertificate(part, index + 1)).join('')
}

function readCertificate(part: string, number: number): string {
  const end = part.indexOf(CERTIFICATE_END)
  try {
    return new X509Certificate(
      `-----BEGIN CERTIFICATE-----${part.slice(0, end)}${CERTIFICATE_END}`,
    ).toString()
  } catch {
    throw invalid(
      '/caCertificate',
      `must be certificates in PEM form; certificate ${number} of it cannot be read`,
    )
  }
}

function invalid(pointer: string, message: string): PublicError {
  const errors: FieldError[] = [{ pointer, message }]
  return fail('VALIDATION_FAILED', { errors })
}
