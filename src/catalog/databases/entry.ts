import { getTableColumns } from 'drizzle-orm'
import type { PhysicalIdentity } from '../../lib/postgres/pg.ts'
import { type DatabaseStatus, tenantDatabases } from '../schema.ts'

/** What can be wrong with a tenant database, by code, with the text that callers see. Never the server's own text. */
export const DATABASE_ERRORS = {
  DNS_FAILED: 'The host name could not be resolved',
  HOST_NOT_ALLOWED: 'Databases may not be registered at this host',
  CONNECTION_REFUSED: 'The server does not accept connections',
  CONNECTION_TIMEOUT: 'The server did not answer in time',
  TLS_FAILED:
    'The requested TLS connection could not be made: check sslmode, caCertificate, channel_binding and sslnegotiation',
  AUTHENTICATION_FAILED: 'The server refused the user or password',
  DATABASE_DOES_NOT_EXIST: 'The server has no such database',
  SERVER_VERSION_UNSUPPORTED: 'The server is older than PostgreSQL 14',
  // A test runs these statements. They are explained in how-to/register-a-database.md.
  ROLE_BYPASSES_RLS:
    "The user bypasses row-level security, as the first user at a hosting provider often does. Create an ordinary user with its own database: CREATE ROLE acme LOGIN NOBYPASSRLS PASSWORD '…'; GRANT acme TO CURRENT_USER; CREATE DATABASE acme OWNER acme;",
  PERMISSION_MISSING: 'The user lacks a right that is needed in this database',
  BELONGS_TO_ANOTHER_TENANT: "The database holds another tenant's data",
  IDENTITY_MISMATCH: 'The database is not the one that was validated',
  IDENTITY_AMBIGUOUS: 'The catalog and the databases disagree about which one is the tenant database',
  SCHEMA_OUT_OF_DATE: 'The schema lacks migrations; a run of migrations applies them',
  SCHEMA_DRIFTED: 'The schema differs from what the applied migrations create',
  MIGRATION_FAILED: 'A migration failed',
  ENCODING_UNSUPPORTED: 'The encoding of the database is not UTF8; create a database with ENCODING UTF8',
  READ_ONLY: 'The database is read-only: it is a standby, or its server refuses writes',
  TOO_MANY_CONNECTIONS: 'The server has no connection left for this user or database',
  PROTOCOL_VIOLATION: "The server does not follow PostgreSQL's protocol",
  POOLER_UNSUPPORTED: 'The pooler in front of the database cannot be used with its settings',
  UNKNOWN: 'The check failed for a reason that has no code',
} as const

export type DatabaseErrorCode = keyof typeof DATABASE_ERRORS

const { sealedConnectionString: _sealed, ...columns } = getTableColumns(tenantDatabases)

/** All columns but the sealed connection string, which only `credentials.ts` reads. */
export const entryColumns = columns

/** A database entry: the row of a registered database in `tenant_databases`, without its secret. */
export type DatabaseEntry = Omit<typeof tenantDatabases.$inferSelect, 'sealedConnectionString'>

/** What a validation finds out about a database. */
export type DatabaseFacts = Pick<
  DatabaseEntry,
  'serverVersion' | 'schemaVersion' | 'systemIdentifier' | 'databaseOid'
>

/** The identity of the database that was validated; null if none was. */
export function identityOf(
  found: Pick<DatabaseEntry, 'systemIdentifier' | 'databaseOid'>,
): PhysicalIdentity | null {
  const { systemIdentifier, databaseOid } = found
  return databaseOid === null ? null : { systemIdentifier, databaseOid }
}

/** The fields of an entry that the lifecycle changes. */
export interface LifecycleState {
  readonly status: DatabaseStatus
  readonly consecutiveFailures: number
  /** Failed validations since the last one that succeeded or that an operator requested. */
  readonly validationAttempts: number
}

export type LifecycleEvent =
  | 'validation-requested'
  | 'validation-succeeded'
  | 'validation-failed'
  | 'validation-cancelled'
  | 'ping-succeeded'
  | 'ping-failed'
  | 'reactivated'
  | 'validation-read-only'
  | 'ping-read-only'

/** `retryInMs`: when the next validation is due; null for none. */
export interface LifecycleStep {
  readonly state: LifecycleState
  readonly retryInMs: number | null
}

/** Decides how an event changes an entry; `health/states.ts` implements it. */
export type Lifecycle = (state: LifecycleState, event: LifecycleEvent) => LifecycleStep

/** One version of one entry. */
export type EntryRef = Pick<DatabaseEntry, 'id' | 'tenantId' | 'rowVersion'>

/** The entry was replaced or removed after the caller had read it. The caller must read the route again. */
export class DatabaseEntryChangedError extends Error {
  override readonly name = 'DatabaseEntryChangedError'
  readonly code = 'DATABASE_ENTRY_CHANGED'

  constructor() {
    super('the database entry was replaced or removed')
  }
}
