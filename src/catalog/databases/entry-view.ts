import type { DatabaseStatus, Placement, SchemaVersion } from '../schema.ts'
import type { DatabaseEntry } from './entry.ts'

/** One database as operators see it: the fields of `GET /tenants/{id}/database` except the candidate. */
export interface DatabaseSummary {
  tenantId: string
  databaseType: 'postgres'
  host: string
  port: number
  database: string
  user: string
  sslMode: string
  poolSize: number
  idleTimeoutSeconds: number
  connectionTimeoutSeconds: number
  status: DatabaseStatus
  placement: Placement
  moveRequired: boolean
  lastError: { code: string; message: string; at: string } | null
  consecutiveFailures: number
  lastCheckedAt: string | null
  validatedAt: string | null
  schemaVersion: SchemaVersion | null
  serverVersion: string | null
  encryptionKeyId: string | null
}

export interface DatabaseView extends DatabaseSummary {
  candidate: DatabaseSummary | null
}

export interface Shown {
  readonly placement: Placement
  /** Fingerprint of the master key that wraps the tenant's data key. */
  readonly encryptionKeyId: string | null
}

/** An entry as operators see it: every field of the contract, and no secret. */
export function describeDatabase(
  entry: DatabaseEntry,
  { candidate, ...shown }: Shown & { readonly candidate: DatabaseEntry | null },
): DatabaseView {
  return { ...summarize(entry, shown), candidate: candidate && summarize(candidate, shown) }
}

export function summarize(entry: DatabaseEntry, { placement, encryptionKeyId }: Shown): DatabaseSummary {
  return {
    tenantId: entry.tenantId,
    databaseType: entry.databaseType,
    host: entry.host,
    port: entry.port,
    database: entry.databaseName,
    user: entry.userName,
    sslMode: entry.sslMode,
    poolSize: entry.poolSize,
    idleTimeoutSeconds: entry.idleTimeoutSeconds,
    connectionTimeoutSeconds: entry.connectionTimeoutSeconds,
    status: entry.status,
    placement,
    moveRequired: entry.moveRequired,
    lastError: summarizeError(entry),
    consecutiveFailures: entry.consecutiveFailures,
    lastCheckedAt: entry.lastCheckedAt?.toISOString() ?? null,
    validatedAt: entry.validatedAt?.toISOString() ?? null,
    schemaVersion: entry.schemaVersion,
    serverVersion: entry.serverVersion,
    encryptionKeyId,
  }
}

export function summarizeError({
  lastErrorCode: code,
  lastErrorMessage: message,
  lastErrorAt: at,
}: Pick<DatabaseEntry, 'lastErrorCode' | 'lastErrorMessage' | 'lastErrorAt'>): DatabaseSummary['lastError'] {
  return code === null || message === null || at === null ? null : { code, message, at: at.toISOString() }
}
