/** Why a migration was not applied, as a code. */
export type MigrationErrorCode = 'SCHEMA_DRIFTED' | 'MIGRATION_FAILED' | 'PERMISSION_MISSING'

/** An object in `public` that took a name of our migration. The name is ours, so it may be shown. */
export interface Clash {
  readonly kind: 'table' | 'view' | 'index' | 'sequence' | 'type' | 'function'
  readonly name: string
}

/** Why a schema is not up to date. The message names migrations only; what PostgreSQL said is the `cause`. */
export class MigrationError extends Error {
  readonly code: MigrationErrorCode
  /** The migration at fault, or null. */
  readonly migrationId: string | null
  /** The object that has the name which the migration gives to a new object. */
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

/** Whether a migration waited in vain for a lock, or for another runner: trying again may help. */
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
