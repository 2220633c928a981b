import { is, SQL } from 'drizzle-orm'
import type { PgTable } from 'drizzle-orm/pg-core'
import { getTableConfig } from 'drizzle-orm/pg-core'
import type { ErrorCode, FieldError, PublicError } from '../errors.ts'
import { fail } from '../errors.ts'

/** What a statement tried to do. A broken foreign key means something different for each. */
export type Verb = 'read' | 'write' | 'remove'

/** SQLSTATEs of bad values that the schemas of bodies cannot refuse: checks, ranges, dates, characters. */
const BAD_VALUE = new Set(['22001', '22003', '22007', '22008', '22021', '22P02', '22P05', '23502', '23514'])
const TRIGGER_REFUSED = 'A rule of the database refuses this change'
const NOT_FOUND_HERE = 'names a resource that does not exist'

interface ServerError {
  readonly code: string
  readonly constraint: string | undefined
  /** False for an error that a trigger raised itself. PostgreSQL's own errors name the constraint or the column. */
  readonly isNamed: boolean
}

/** What a broken constraint means, if its name and SQLSTATE do not say enough. */
export interface Meaning {
  readonly field: string
  readonly message?: string
  /** Replaces the code that follows from the SQLSTATE. */
  readonly code?: ErrorCode
}

/** Meanings by the constraint's name. It may be a constraint of another table, which a trigger writes to. */
export type Meanings = Readonly<Record<string, Meaning>>

/** The field that each constraint of a table belongs to, by the constraint's name. */
export interface Violations {
  /** True for a constraint whose field is known. */
  knows(constraint: string | undefined): boolean
  /** The public error for a server's error. An error that is not the caller's fault is returned unchanged. */
  translate(error: unknown, verb: Verb): unknown
}

/** Reads the names of a table's constraints and unique indexes, and their columns, from its drizzle table. */
export function violationsOf(
  table: PgTable,
  fieldOf: (column: string) => string | undefined,
  meanings: Meanings = {},
): Violations {
  const known = new Map<string, Meaning>()
  for (const { name, columns } of constraintsOf(table)) {
    const field = columns.map(fieldOf).find((found) => found !== undefined)
    if (field !== undefined) known.set(name, { field })
  }
  for (const [name, meaning] of Object.entries(meanings)) known.set(name, meaning)
  return {
    knows: (constraint) => constraint !== undefined && known.has(constraint),
    translate: (error, verb) => {
      const found = serverErrorOf(error)
      return (found && publicErrorOf(found, verb, known)) ?? error
    },
  }
}

function constraintsOf(table: PgTable): { name: string; columns: string[] }[] {
  const { foreignKeys, indexes, uniqueConstraints, checks } = getTableConfig(table)
  return [
    ...foreignKeys.map((key) => ({ name: key.getName(), columns: namesOf(key.reference().columns) })),
    ...indexes.map(({ config }) => ({ name: config.name ?? '', columns: namesOf(config.columns) })),
    ...uniqueConstraints.map((key) => ({ name: key.getName() ?? '', columns: namesOf(key.columns) })),
    ...checks.map((check) => ({ name: check.name, columns: namesOf([check.value]) })),
  ]
}

/** The columns' own names, also of those inside an expression such as `lower(email)`. */
function namesOf(columns: readonly unknown[]): string[] {
  return columns.flatMap((column) => {
    if (is(column, SQL)) return namesOf(column.queryChunks)
    const { name } = column as { name?: unknown }
    return typeof name === 'string' ? [name] : []
  })
}

/** Finds the server's own error among its wrappers. Decides by SQLSTATE, never by a message. */
function serverErrorOf(error: unknown): ServerError | null {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const { code, constraint, column } = at as { code?: unknown; constraint?: unknown; column?: unknown }
    if (typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code)) {
      const isNamed = constraint !== undefined || column !== undefined
      return { code, constraint: typeof constraint === 'string' ? constraint : undefined, isNamed }
    }
  }
  return null
}

function publicErrorOf(
  { code: state, constraint, isNamed }: ServerError,
  verb: Verb,
  known: ReadonlyMap<string, Meaning>,
): PublicError | null {
  const meaning = known.get(constraint ?? '')
  // The server's error stays out of `cause`: its detail carries the caller's values into the log.
  const failure = (code: ErrorCode, message: string, defaultPointer?: string) => {
    const pointer = meaning === undefined ? defaultPointer : `/${meaning.field}`
    return fail(meaning?.code ?? code, withPointer(pointer, meaning?.message ?? message))
  }
  if (state.startsWith('23') && !isNamed) return fail('CONFLICT', { detail: TRIGGER_REFUSED })
  if (state === '23503' && verb === 'write') return failure('REFERENCE_NOT_FOUND', NOT_FOUND_HERE)
  if (state === '23503' || state === '23001') {
    return fail('CONFLICT', { detail: 'Other resources still refer to this one' })
  }
  if (state === '23505' || state === '23P01') return failure('CONFLICT', 'is taken')
  if (BAD_VALUE.has(state)) return failure('VALIDATION_FAILED', 'holds a value that is not allowed', '')
  return null
}

function withPointer(pointer: string | undefined, message: string): { errors?: FieldError[] } {
  return pointer === undefined ? {} : { errors: [{ pointer, message }] }
}
