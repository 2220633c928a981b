import type { PgTable } from 'drizzle-orm/pg-core'
import { getTableConfig } from 'drizzle-orm/pg-core'
import type { FieldError, PublicError } from '../errors.ts'
import { fail } from '../errors.ts'

/** What a statement tried to do; a broken foreign key means something else to each. */
export type Verb = 'read' | 'write' | 'remove'

/** SQLSTATEs of values that no schema could refuse beforehand: checks, ranges, dates, characters. */
const BAD_VALUE = new Set(['22001', '22003', '22007', '22008', '22021', '22P02', '23502', '23514'])
const NOT_FOUND_HERE = 'names a resource that does not exist'

interface ServerError {
  readonly code: string
  readonly constraint: string | undefined
}

/** Which field each constraint of a table is about, by the constraint's name. */
export interface Violations {
  /** The public error for what the server said; anything that is not the caller's fault comes back as it is. */
  translate(error: unknown, verb: Verb): unknown
}

/** Reads the names of a table's foreign keys and unique indexes, and their columns, from its drizzle table. */
export function violationsOf(table: PgTable, fieldOf: (column: string) => string | undefined): Violations {
  const pointers = new Map<string, string>()
  for (const { name, columns } of constraintsOf(table)) {
    const field = columns.map(fieldOf).find((found) => found !== undefined)
    if (field !== undefined) pointers.set(name, `/${field}`)
  }
  return {
    translate: (error, verb) => {
      const found = serverErrorOf(error)
      return (found && publicErrorOf(found, verb, pointers)) ?? error
    },
  }
}

function constraintsOf(table: PgTable): { name: string; columns: string[] }[] {
  const { foreignKeys, indexes, uniqueConstraints } = getTableConfig(table)
  return [
    ...foreignKeys.map((key) => ({ name: key.getName(), columns: namesOf(key.reference().columns) })),
    ...indexes.map(({ config }) => ({ name: config.name ?? '', columns: namesOf(config.columns) })),
    ...uniqueConstraints.map((key) => ({ name: key.getName() ?? '', columns: namesOf(key.columns) })),
  ]
}

function namesOf(columns: readonly unknown[]): string[] {
  return columns.flatMap((column) => {
    const { name } = column as { name?: unknown }
    return typeof name === 'string' ? [name] : []
  })
}

/** Finds the server's own error below those that wrapped it. Decided by SQLSTATE, never by a message. */
function serverErrorOf(error: unknown): ServerError | null {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const { code, constraint } = at as { code?: unknown; constraint?: unknown }
    if (typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code)) {
      return { code, constraint: typeof constraint === 'string' ? constraint : undefined }
    }
  }
  return null
}

function publicErrorOf(
  { code, constraint }: ServerError,
  verb: Verb,
  pointers: ReadonlyMap<string, string>,
): PublicError | null {
  const pointer = pointers.get(constraint ?? '')
  // The server's error stays out of `cause`: its detail carries the caller's values into the log.
  if (code === '23503' && verb === 'write') {
    return fail('REFERENCE_NOT_FOUND', withPointer(pointer, NOT_FOUND_HERE))
  }
  if (code === '23503' || code === '23001') {
    return fail('CONFLICT', { detail: 'Other resources still refer to this one' })
  }
  if (code === '23505' || code === '23P01') return fail('CONFLICT', withPointer(pointer, 'is taken'))
  if (BAD_VALUE.has(code))
    return fail('VALIDATION_FAILED', withPointer('', 'holds a value that is not allowed'))
  return null
}

function withPointer(pointer: string | undefined, message: string): { errors?: FieldError[] } {
  return pointer === undefined ? {} : { errors: [{ pointer, message }] }
}
