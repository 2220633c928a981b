import { sql } from 'drizzle-orm'
import { parseConnectionString, type SslMode } from '../../lib/postgres/connection-string.ts'
import type { Secret } from '../../lib/secret.ts'
import { noClaim, noError } from './entry-columns.ts'

/** What an operator registers. `sslMode` is the effective one. */
export interface Registration {
  connectionString: Secret
  sslMode: SslMode
  caCertificate: string | null
  poolSize: number
  idleTimeoutSeconds: number
  connectionTimeoutSeconds: number
  applyMigrations: boolean
}

/** The columns of an entry that was not validated yet and that no health check has claimed. */
export const unvalidated = {
  status: 'pending_validation' as const,
  moveRequired: false,
  ...noError,
  consecutiveFailures: 0,
  lastCheckedAt: null,
  validatedAt: null,
  schemaVersion: null,
  serverVersion: null,
  systemIdentifier: null,
  databaseOid: null,
  validationAttempts: 0,
  adopt: false,
  ...noClaim,
  updatedAt: sql`now()`,
}

/** The columns that a registration fills: all that the connection string says, except the password. */
export function registeredColumns({ connectionString, ...settings }: Registration) {
  const target = parseConnectionString(connectionString.reveal())
  const { host, port, database, user, applicationName, handshake } = target
  return { ...settings, host, port, databaseName: database, userName: user, applicationName, handshake }
}
