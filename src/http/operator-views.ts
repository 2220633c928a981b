import { fail } from '../errors.ts'
import type { DatabaseEntry, DatabaseState, TenantRecord } from './deps.ts'

/** A tenant as operators see it. Columns are picked by name: one that is added does not appear by itself. */
export function tenantView({ tenant, database }: TenantRecord) {
  const { id, code, name, status, parentId, placement, authConfig, createdAt, updatedAt } = tenant
  return {
    id,
    code,
    name,
    status,
    parentId,
    placement,
    database: database && entryView(database),
    authConfig,
    createdAt,
    updatedAt,
  }
}

/** A tenant's database as operators see it: the candidate stands in for a current one that is not there. */
export function databaseView({ tenant, current, candidate, encryptionKeyId }: DatabaseState) {
  const shown = current ?? candidate
  if (shown === null) throw fail('NOT_FOUND', { detail: 'The tenant has no database of its own.' })
  const next = current === null ? null : candidate
  return {
    tenantId: tenant.id,
    ...entryView(shown),
    placement: tenant.placement,
    encryptionKeyId,
    candidate: next && entryView(next),
  }
}

/** Never the connection string nor the password: the entry has neither. */
function entryView(entry: DatabaseEntry) {
  const { databaseType, host, port, databaseName, userName, sslMode, status, moveRequired } = entry
  const { poolSize, idleTimeoutSeconds, connectionTimeoutSeconds, applyMigrations } = entry
  const { consecutiveFailures, lastCheckedAt, validatedAt, schemaVersion, serverVersion } = entry
  const { createdAt, updatedAt } = entry
  return {
    databaseType,
    host,
    port,
    database: databaseName,
    user: userName,
    sslMode,
    poolSize,
    idleTimeoutSeconds,
    connectionTimeoutSeconds,
    applyMigrations,
    status,
    moveRequired,
    lastError: lastErrorOf(entry),
    consecutiveFailures,
    lastCheckedAt,
    validatedAt,
    schemaVersion,
    serverVersion,
    createdAt,
    updatedAt,
  }
}

function lastErrorOf({ lastErrorCode, lastErrorMessage, lastErrorAt }: DatabaseEntry) {
  return lastErrorCode === null ? null : { code: lastErrorCode, message: lastErrorMessage, at: lastErrorAt }
}
