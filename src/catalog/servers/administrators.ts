import { and, eq, isNotNull, or, sql } from 'drizzle-orm'
import type { Binding } from '../../crypto/envelope.ts'
import { invalidField } from '../../errors.ts'
import type { ConnectionTarget, SslMode } from '../../lib/postgres/connection-string.ts'
import type { Secret } from '../../lib/secret.ts'
import { type OpenedTarget, readOpened } from '../databases/credentials.ts'
import { noError } from '../databases/entry-columns.ts'
import { tenantDatabases } from '../schema.ts'
import { type CatalogDb, type CatalogTx, catalogErrors } from '../store.ts'
import type { Vault } from '../vault.ts'
import { type ServerRow, servers } from './schema.ts'

/** The role that administers a server, after it was checked. */
export interface Administrator {
  readonly connectionString: Secret
  readonly target: OpenedTarget
  readonly caCertificate: string | null
  /** Null if the server does not show it. */
  readonly systemIdentifier: string | null
}

type Reader = Pick<CatalogDb, 'select' | 'selectDistinct'>

/** A server, known by the address that was given for it or by its own identifier. */
export interface ServerIdentity extends Pick<ConnectionTarget, 'host' | 'port'> {
  readonly systemIdentifier: string | null
}

// A number that no other advisory lock of the catalog has: 'fhsr' in ASCII.
const ROLES_LOCK = 0x66687372

/**
 * Until the transaction ends, no role becomes a server's administrator (`shared`), or neither that nor a tenant's (`exclusive`).
 * Take it before the lock of a tenant or a server.
 */
export async function lockRoles(tx: CatalogTx, mode: 'shared' | 'exclusive'): Promise<void> {
  await tx.execute(
    mode === 'shared'
      ? sql`select pg_advisory_xact_lock_shared(${ROLES_LOCK}::bigint)`
      : sql`select pg_advisory_xact_lock(${ROLES_LOCK}::bigint)`,
  )
}

/** The names of the roles that administer a server. */
export async function administratorsOf(db: Reader, server: ServerIdentity): Promise<string[]> {
  const query = db.selectDistinct({ name: servers.userName }).from(servers)
  const rows = await catalogErrors(query.where(isAt(servers, server)))
  return rows.map(({ name }) => name)
}

/** @throws PublicError VALIDATION_FAILED if the role administers the server of `target` */
export async function assertNoAdministrator(db: Reader, target: ConnectionTarget): Promise<void> {
  const names = await administratorsOf(db, { ...target, systemIdentifier: null })
  if (names.includes(target.user))
    throw invalidField('/connectionString', 'the administrator of a server may not serve a tenant')
}

/** @throws PublicError VALIDATION_FAILED if a tenant's database uses the administrator's role */
export async function assertServesNoTenant(
  db: Reader,
  { target, systemIdentifier }: Pick<Administrator, 'target' | 'systemIdentifier'>,
): Promise<void> {
  if (await servesTenant(db, { ...target, systemIdentifier }))
    throw invalidField('/connectionString', 'a role that serves a tenant may not administer its server')
}

/** True if a tenant's database, or a candidate, uses the role. */
export async function servesTenant(
  db: Reader,
  { user, ...server }: ServerIdentity & Pick<ConnectionTarget, 'user'>,
): Promise<boolean> {
  const query = db.select({ id: tenantDatabases.id }).from(tenantDatabases)
  const used = and(eq(tenantDatabases.userName, user), isAt(tenantDatabases, server))
  return (await catalogErrors(query.where(used).limit(1))).length > 0
}

function isAt(
  {
    host,
    port,
    systemIdentifier,
  }: Pick<typeof servers | typeof tenantDatabases, 'host' | 'port' | 'systemIdentifier'>,
  at: ServerIdentity,
) {
  const address = and(eq(host, at.host), eq(port, at.port))
  if (at.systemIdentifier === null) return address
  return or(address, and(isNotNull(systemIdentifier), eq(systemIdentifier, at.systemIdentifier)))
}

/** The columns of a server that its administrator's connection string fills. */
export function sealedColumns(
  vault: Pick<Vault, 'service'>,
  ref: Pick<ServerRow, 'id' | 'rowVersion'>,
  { target, connectionString, caCertificate, systemIdentifier }: Administrator,
) {
  const { host, port, database, user, sslMode, handshake } = target
  const sealed = vault.service.seal('server-credential', connectionString.reveal(), bindingOf(ref))
  return {
    ...{ host, port, databaseName: database, userName: user, sslMode, handshake },
    ...{ caCertificate, systemIdentifier, sealedConnectionString: sealed },
    ...noError,
  }
}

/** Opens the connection string of a server's administrator. */
export function openAdministrator(vault: Pick<Vault, 'service'>, server: ServerRow): OpenedTarget {
  const opened = vault.service.open('server-credential', server.sealedConnectionString, bindingOf(server))
  return readOpened(opened, server.sslMode as SslMode)
}

function bindingOf({ id, rowVersion }: Pick<ServerRow, 'id' | 'rowVersion'>): Binding {
  return { table: 'servers', column: 'sealed_connection_string', tenantId: null, rowId: id, rowVersion }
}
