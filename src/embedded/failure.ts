export type EmbeddedServerFailure =
  | 'PACKAGE_MISSING'
  | 'UNSUPPORTED_PLATFORM'
  | 'BINARIES_UNUSABLE'
  | 'IN_USE'
  | 'DATA_UNUSABLE'
  | 'INIT_FAILED'
  | 'START_FAILED'
  | 'STOP_FAILED'

/** The embedded PostgreSQL could not be started or stopped. The message is for the person at the terminal. */
export class EmbeddedServerError extends Error {
  readonly code: EmbeddedServerFailure

  constructor(code: EmbeddedServerFailure, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'EmbeddedServerError'
    this.code = code
  }
}

/** The errno or Node code of an error (`ENOENT`, …), or null. */
export function errorCode(error: unknown): string | null {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code
  return null
}

/** The value of `promise`, or null if it fails with one of `codes`. Other failures are thrown. */
export async function unless<T>(codes: readonly string[], promise: Promise<T>): Promise<T | null> {
  try {
    return await promise
  } catch (error) {
    if (codes.includes(errorCode(error) ?? '')) return null
    throw error
  }
}
