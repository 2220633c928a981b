import { sql } from 'drizzle-orm'
import { parseConnectionString, type SslMode } from '../../lib/postgres/connection-string.ts'
import type { Secret } from '../../lib/secret.ts'

/** What an operator registers. `sslMode` is the effective one: the default is the caller's to choose. */
export interface Registration {
  connectionString: Secret
  sslMode: SslMode
  caCertificate: string | null
  poolSize: number
  idleTimeoutSeconds: number
  connectionTimeoutSeconds: number
  applyMigrations: boolean
}

/** An entry of which nothing is known yet, and of which no health check is under way. */
export const unvalidated = {
  status: 'pending_validation' as const,
  moveRequired: false,
  lastErrorCode: null,
  lastErrorMessage: null,
  lastErrorAt: null,
  consecutiveFailures: 0,
  lastCheckedAt: null,
  validatedAt: null,
  schemaVersion: null,
  serverVersion: null,
  systemIdentifier: null,
  databaseOid: null,
  validationAttempts: 0,
  adopt: false,
  claimedBy: null,
  claimedUntil: null,
  updatedAt: sql`now()`,
}

/** The columns that a registration fills: everything the connection string says but the password. */
export function registeredColumns({ connectionString, ...settings }: Registration) {
  const target = parseConnectionString(connectionString.reveal())
  const { host, port, database, user, applicationName, handshake } = target
  return { ...settings, host, port, databaseName: database, userName: user, applicationName, handshake }
}
