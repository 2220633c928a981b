import { getTableColumns } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { getTableConfig } from 'drizzle-orm/pg-core'
import type { TSchema } from 'typebox'
import type { Body } from './commands.ts'
import { Writer } from './commands.ts'
import type { CursorCodec } from './cursor.ts'
import type { Changeable, DerivedColumns, Model, ResourceTable, Tagged } from './model.ts'
import { pairFields } from './model.ts'
import type { ListQuery, Page } from './query.ts'
import { LIST_PARAMETERS, Reader } from './query.ts'
import type { ResourceSchemas } from './resource-schemas.ts'
import { resourceSchemas } from './resource-schemas.ts'
import type { Within } from './statement.ts'
import type { Meanings } from './violations.ts'
import { violationsOf } from './violations.ts'

/** What may be done to a collection's rows besides reading them. */
export type Method = 'create' | 'update' | 'remove'

const ALL_METHODS: readonly Method[] = ['create', 'update', 'remove']

/** The declaration of a collection. */
export interface Declaration<Fields extends Record<string, TSchema>> {
  /** The collection's path, in the plural: `rooms`. */
  readonly name: string
  /** The name of one row, for documentation: `Place`. */
  readonly title: string
  /** The first half of its permissions: `properties` for `properties:read` and `properties:write`. */
  readonly permission: string
  readonly table: ResourceTable
  /** One for each column, except the four that every table has. `Type.Optional` for those that may be left out. */
  readonly fields: Fields
  /** What may be done besides reading. Default: everything. */
  readonly methods?: readonly Method[]
  /** Fields that are shown, but never read from a body. */
  readonly readOnly?: readonly (keyof Fields & string)[]
  /** Columns that are neither shown nor sent, but computed from a field. */
  readonly derived?: DerivedColumns
  /** Which rows may be changed. Default: all. */
  readonly changeable?: Changeable
  /** Fields by which `?field=value` filters the list. */
  readonly filters?: readonly (keyof Fields & string)[]
  /** The filters that ignore upper and lower case, with the `folded` columns that hold the lower-case text. */
  readonly caseless?: Readonly<Record<string, PgColumn>>
  /** Keys for `?sort=`; the first is the default order. All must be `NOT NULL`, so that the order is total. */
  readonly sorts?: readonly ((keyof Fields & string) | 'createdAt' | 'updatedAt')[]
  /** The collection that each reference field points to. */
  readonly references?: { readonly [Name in keyof Fields]?: Resource }
  /** The meanings of constraints that the drizzle table does not fully show. */
  readonly constraints?: Meanings
}

/** A collection with its schemas. */
export interface Resource {
  readonly name: string
  readonly title: string
  readonly permission: string
  readonly table: ResourceTable
  readonly methods: readonly Method[]
  readonly schemas: ResourceSchemas
  list(tenant: Within, query: ListQuery, cursors: CursorCodec): Promise<Page>
  find(tenant: Within, id: string): Promise<Tagged>
  create(tenant: Within, body: Body): Promise<Tagged>
  update(tenant: Within, id: string, patch: Body, ifMatch?: string): Promise<Tagged>
  remove(tenant: Within, id: string, ifMatch?: string): Promise<void>
}

/** Names that a filter may not take. */
const RESERVED: ReadonlySet<string> = new Set(LIST_PARAMETERS)

/** Declares a collection over its table. Throws if declaration and table do not match, so that the gateway does not start. */
export function defineResource<const Fields extends Record<string, TSchema>>(
  declaration: Declaration<Fields>,
): Resource {
  assertReferences(declaration.table, declaration.references ?? {})
  const model = modelOf(declaration)
  const reader = new Reader(model)
  const writer = new Writer(model, reader)
  const { name, title, permission, table, methods = ALL_METHODS } = declaration
  return {
    name,
    title,
    permission,
    table,
    methods,
    schemas: resourceSchemas(title, model),
    list: reader.list.bind(reader),
    find: reader.find.bind(reader),
    create: writer.create.bind(writer),
    update: writer.update.bind(writer),
    remove: writer.remove.bind(writer),
  }
}

/** Resolves a declaration against its table. */
function modelOf<Fields extends Record<string, TSchema>>(declaration: Declaration<Fields>): Model {
  const { name, table, filters = [], sorts = ['createdAt'], readOnly = [], derived = {} } = declaration
  const reserved = filters.find((filter) => RESERVED.has(filter))
  if (reserved !== undefined) throw new Error(`${reserved} cannot be a filter`)
  const fields = pairFields(table, declaration.fields, { readOnly, derived })
  const fieldOf = (column: string) => fields.find((field) => field.column.name === column)?.name
  return {
    name,
    table,
    fields,
    derived,
    filters,
    caseless: new Map(Object.entries(declaration.caseless ?? {})),
    changeable: declaration.changeable ?? null,
    sorts: new Map(sorts.map((sort) => [sort, sortColumn(table, sort)])),
    defaultSort: sorts[0] ?? 'createdAt',
    violations: violationsOf(table, fieldOf, declaration.constraints),
  }
}

/** A null matches no keyset comparison, so its row would be on no page. */
function sortColumn(table: ResourceTable, sort: string): PgColumn {
  const column = (getTableColumns(table) as Record<string, PgColumn>)[sort]
  if (column === undefined || !column.notNull) throw new Error(`${sort} cannot be a sort key`)
  return column
}

/** A reference needs a foreign key. Without one, the id of a row that does not exist would be accepted. */
function assertReferences(table: ResourceTable, references: Record<string, Resource | undefined>): void {
  const columns: Record<string, PgColumn> = getTableColumns(table)
  for (const [field, target] of Object.entries(references)) {
    const found = getTableConfig(table).foreignKeys.some((key) => {
      const { columns: from, foreignTable } = key.reference()
      return foreignTable === target?.table && from.some((column) => column.name === columns[field]?.name)
    })
    if (!found) throw new Error(`Field ${field} has no foreign key to ${target?.name}`)
  }
}
