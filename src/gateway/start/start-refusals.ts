import { CatalogSealedWithOtherKeyError } from '../../catalog/vault.ts'
import { databaseError, errorCode } from '../../lib/postgres/pg.ts'
import { PoolerUnsupportedError } from '../../lib/postgres/pooler-faults.ts'
import { MigrationFileError } from '../../migrations/files.ts'

/** A start that a retry cannot help. The process ends with exit code 78 (sysexits.h, EX_CONFIG). */
export class StartRefusedError extends Error {
  readonly code: string

  constructor(code: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'StartRefusedError'
    this.code = code
  }
}

/** Codes of errors that a retry cannot help. */
const PERMANENT = new Set([
  '28P01',
  '28000',
  '3D000',
  '42501',
  'SCHEMA_DRIFTED',
  'PERMISSION_MISSING',
  'CLEAR_TEXT_PASSWORD',
])

/** The refusal of a failed start. Null if a retry may help. */
export function refusalIn(error: unknown): StartRefusedError | null {
  if (error instanceof StartRefusedError) return error
  if (error instanceof MigrationFileError) return new StartRefusedError(error.code, error.message)
  if (error instanceof CatalogSealedWithOtherKeyError) {
    return new StartRefusedError(error.code, `ENCRYPTION_KEY: ${error.message}`)
  }
  return null
}

/** Turns a permanent failure of `work` into a refusal that names the setting. @throws StartRefusedError */
export async function refusing<T>(setting: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof StartRefusedError)
      throw new StartRefusedError(error.code, `${setting}: ${error.message}`)
    if (error instanceof PoolerUnsupportedError)
      throw new StartRefusedError(error.code, `${setting}: ${error.message}`, error)
    const code = errorCode(error)
    if (code === null || !PERMANENT.has(code)) throw error
    const reason =
      databaseError(error) === null ? (error as Error).message : `refused by the server (${code})`
    throw new StartRefusedError(code, `${setting}: ${reason}`, error)
  }
}
