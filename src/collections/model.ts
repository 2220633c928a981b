import { getTableColumns, is, SQL } from 'drizzle-orm'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
import type { TSchema } from 'typebox'
import { Type } from 'typebox'
import type { Violations } from './violations.ts'

/** A table of src/residence/tables.ts that can be a collection. */
export type ResourceTable = PgTable & Record<'tenantId' | 'id' | 'createdAt' | 'updatedAt', PgColumn>

/** A row in an answer: these three and the declared fields, never the tenant. */
export interface Row {
  readonly id: string
  readonly createdAt: string
  readonly updatedAt: string
  readonly [field: string]: unknown
}

/** A single row with its entity tag (without the quotes). */
export interface Tagged {
  readonly row: Row
  readonly etag: string
}

/** One declared field: its column and its schema without null. */
export interface Field {
  readonly name: string
  readonly column: PgColumn
  readonly schema: TSchema
  readonly required: boolean
  readonly nullable: boolean
  /** Shown, but never read from a body. */
  readonly readOnly: boolean
}

/** A column that is neither shown nor sent, but computed from a field whenever that is written. */
export interface Derived {
  readonly from: string
  /** Its value for the given value of `from`, in the session's tenant. */
  readonly value: (tenantId: SQL, given: SQL) => SQL
}

/** A derived column, by name. */
export type DerivedColumns = Readonly<Record<string, Derived>>

/** Rows that may be changed, and the error text for the others. */
export interface Changeable {
  readonly when: SQL
  readonly otherwise: string
}

/** What the statements of a collection are built from. */
export interface Model {
  readonly name: string
  readonly table: ResourceTable
  readonly fields: readonly Field[]
  readonly derived: DerivedColumns
  readonly filters: readonly string[]
  /** Filters that ignore upper and lower case, with the columns that hold the lower-case text. */
  readonly caseless: ReadonlyMap<string, PgColumn>
  /** Null if every row may be changed. */
  readonly changeable: Changeable | null
  readonly sorts: ReadonlyMap<string, PgColumn>
  readonly defaultSort: string
  readonly violations: Violations
}

/** Columns that the gateway fills itself; a body that names one is refused as an unknown field. */
const OWN_COLUMNS = new Set(['tenantId', 'id', 'createdAt', 'updatedAt'])
/** The name of the column that holds the entity tag of a single row. */
const ETAG_ALIAS = 'etag'

/**
 * Pairs the declared fields with the table's columns. Throws if they do not match (a column without a field, a field that
 * may be left out of a column that must not be null), so that the gateway does not start with it.
 */
export function pairFields(
  table: ResourceTable,
  schemas: Readonly<Record<string, TSchema>>,
  { readOnly, derived }: { readOnly: readonly string[]; derived: DerivedColumns },
): Field[] {
  const columns: Record<string, PgColumn> = getTableColumns(table)
  for (const [name, { generated }] of Object.entries(columns)) {
    const isFilled = OWN_COLUMNS.has(name) || name in schemas || name in derived || generated !== undefined
    if (!isFilled) throw new Error(`Column ${name} has no field`)
  }
  return Object.entries(schemas).map(([name, schema]) => ({
    ...pairField(name, schema, columns[name]),
    readOnly: readOnly.includes(name),
  }))
}

function pairField(name: string, schema: TSchema, column: PgColumn | undefined): Omit<Field, 'readOnly'> {
  if (column === undefined || OWN_COLUMNS.has(name) || name === ETAG_ALIAS)
    throw new Error(`Field ${name} has no column`)
  const required = !Type.IsOptional(schema)
  if (required && !column.notNull) throw new Error(`Field ${name} is required, its column is not`)
  if (!required && column.notNull && !column.hasDefault) throw new Error(`Column ${name} must be required`)
  // Inserts name every column, so a default computed by the server would never apply.
  if (is(column.default, SQL)) throw new Error(`The default of ${name} must be a plain value`)
  // The copy drops TypeBox's hidden mark of an optional property.
  return { name, column, schema: { ...schema }, required, nullable: !column.notNull }
}
