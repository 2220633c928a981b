/** The reason why a migration was not applied. */
export type MigrationErrorCode = 'SCHEMA_DRIFTED' | 'MIGRATION_FAILED' | 'PERMISSION_MISSING'

/** An object in `public` that has the name of a new object. The name is from our migration, so it may be shown. */
export interface Clash {
  readonly kind: 'table' | 'view' | 'index' | 'sequence' | 'type' | 'function'
  readonly name: string
}

/** Why a schema is not up to date. The message names only migrations. PostgreSQL's error is the `cause`. */
export class MigrationError extends Error {
  readonly code: MigrationErrorCode
  /** The migration that failed, or null. */
  readonly migrationId: string | null
  /** The existing object that has the name of a new one. */
  readonly clash: Clash | null

  constructor(
    code: MigrationErrorCode,
    message: string,
    about: { migrationId?: string; clash?: Clash | null; cause?: unknown } = {},
  ) {
    super(message, about.cause === undefined ? undefined : { cause: about.cause })
    this.name = 'MigrationError'
    this.code = code
    this.migrationId = about.migrationId ?? null
    this.clash = about.clash ?? null
  }
}

/** SQLSTATE of a lock that was not granted in time. */
const LOCK_NOT_AVAILABLE = '55P03'

/** True if a migration did not get a lock in time, or waited too long for another runner. Another attempt may help. */
export function isLockWait(error: unknown): boolean {
  if (!(error instanceof MigrationError) || error.code !== 'MIGRATION_FAILED') return false
  const isOtherRunner = error.migrationId === null && error.cause === undefined
  return isOtherRunner || sqlState(error.cause) === LOCK_NOT_AVAILABLE
}

/** SQLSTATE 42501, insufficient_privilege. */
export function isPermissionError(error: unknown): boolean {
  return sqlState(error) === '42501'
}

export function sqlState(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
}
