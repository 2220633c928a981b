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
  /** Absent: the string's `connect_timeout`, or the default. */
  readonly connectionTimeoutSeconds?: number
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

const DEFAULT_CONNECTION_TIMEOUT_SECONDS = 5
const CERTIFICATE_END = '-----END CERTIFICATE-----'

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
  const { target, sslMode } = parse(body.connectionString, deps.sslModeDefault)
  assertAllowed(deps, target)
  const caCertificate = body.caCertificate === undefined ? null : readBundle(body.caCertificate)
  if ((await findTenant(deps.store, tenantId)) === null) throw fail('TENANT_NOT_FOUND')
  // Made before the transaction: it takes a connection of its own.
  await deps.vault.dataKey(tenantId)
  const { poolSize, idleTimeoutSeconds, applyMigrations } = body
  // The body's own word is the later one.
  const connectionTimeoutSeconds =
    body.connectionTimeoutSeconds ?? target.connectTimeoutSeconds ?? DEFAULT_CONNECTION_TIMEOUT_SECONDS
  const registration = {
    connectionString: new Secret(body.connectionString),
    sslMode,
    caCertificate,
    ...{ poolSize, idleTimeoutSeconds, connectionTimeoutSeconds, applyMigrations },
  }
  const entry = await deps.store.transaction((tx) => deps.registry.put(tx, tenantId, registration, actor))
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

function assertAllowed({ policy, ownPlaces }: RegisterDatabaseDeps, target: ConnectionTarget): void {
  if (policy.checkLiteral(target.host, target.port) === 'refused') {
    throw invalid('/connectionString', 'databases may not be registered at this host')
  }
  const { host, port, database } = target
  if (ownPlaces.some((own) => own.host === host && own.port === port && own.database === database)) {
    throw invalid('/connectionString', 'this database is not for tenants')
  }
}

/**
 * Reads a bundle as providers publish it, with text between the certificates, and gives the certificates alone. OpenSSL
 * stops at the first that it cannot read and does not say so.
 */
function readBundle(pem: string): string {
  // It is kept in clear, and a bundle may bring the private key along.
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
