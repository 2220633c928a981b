import { CatalogSealedWithOtherKeyError } from '../../catalog/vault.ts'
import { databaseError, errorCode } from '../../lib/postgres/pg.ts'
import { PoolerUnsupportedError } from '../../lib/postgres/pooler-faults.ts'
import { MigrationFileError } from '../../migrations/files.ts'

/** A start that cannot succeed by repeating it. The process ends with exit code 78 (sysexits.h, EX_CONFIG). */
export class StartRefusedError extends Error {
  readonly code: string

  constructor(code: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'StartRefusedError'
    this.code = code
  }
}

/** Codes of errors that waiting does not repair. */
const HOPELESS = new Set([
  '28P01',
  '28000',
  '3D000',
  '42501',
  'SCHEMA_DRIFTED',
  'PERMISSION_MISSING',
  'CLEAR_TEXT_PASSWORD',
])

/** The refusal that a failed start ends with. Null where trying again may help. */
export function refusalIn(error: unknown): StartRefusedError | null {
  if (error instanceof StartRefusedError) return error
  if (error instanceof MigrationFileError) return new StartRefusedError(error.code, error.message)
  if (error instanceof CatalogSealedWithOtherKeyError) {
    return new StartRefusedError(error.code, `ENCRYPTION_KEY: ${error.message}`)
  }
  return null
}

/** Refuses the start, naming the setting, where `work` fails for a reason that waiting does not repair. @throws StartRefusedError */
export async function refusing<T>(setting: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof StartRefusedError)
      throw new StartRefusedError(error.code, `${setting}: ${error.message}`)
    if (error instanceof PoolerUnsupportedError)
      throw new StartRefusedError(error.code, `${setting}: ${error.message}`, error)
    const code = errorCode(error)
    if (code === null || !HOPELESS.has(code)) throw error
    const reason =
      databaseError(error) === null ? (error as Error).message : `refused by the server (${code})`
    throw new StartRefusedError(code, `${setting}: ${reason}`, error)
  }
}
