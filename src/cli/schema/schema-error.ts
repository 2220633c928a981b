export type SchemaErrorCode =
  | 'NAME_INVALID'
  | 'DRIZZLE_KIT_MISSING'
  | 'DRIZZLE_KIT_UNSUPPORTED'
  | 'MIGRATIONS_FOLDER_UNUSABLE'
  | 'MIGRATIONS_LAYOUT_NEWER'
  | 'RENAME_UNCLEAR'
  | 'SERVER_UNUSABLE'

/** A migration could not be written or checked. The message tells the developer at the terminal the fault and the remedy. */
export class SchemaError extends Error {
  override readonly name = 'SchemaError'
  readonly code: SchemaErrorCode
  /** All faults, if there are several. */
  readonly details: readonly string[]

  constructor(code: SchemaErrorCode, message: string, details: readonly string[] = []) {
    super(message)
    this.code = code
    this.details = details
  }
}
