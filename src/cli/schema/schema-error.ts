export type SchemaErrorCode =
  | 'NAME_INVALID'
  | 'DRIZZLE_KIT_MISSING'
  | 'DRIZZLE_KIT_UNSUPPORTED'
  | 'MIGRATIONS_FOLDER_UNUSABLE'
  | 'MIGRATIONS_LAYOUT_NEWER'
  | 'RENAME_UNCLEAR'
  | 'SERVER_UNUSABLE'

/** Why no migration was written, or none could be checked. The message says what is wrong and how to mend it, for the developer at the terminal. */
export class SchemaError extends Error {
  override readonly name = 'SchemaError'
  readonly code: SchemaErrorCode
  /** What is wrong one by one, where it is more than one thing. */
  readonly details: readonly string[]

  constructor(code: SchemaErrorCode, message: string, details: readonly string[] = []) {
    super(message)
    this.code = code
    this.details = details
  }
}
