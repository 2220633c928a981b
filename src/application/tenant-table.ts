import { sql } from 'drizzle-orm'
import type { BuildColumns, BuildExtraConfigColumns } from 'drizzle-orm/column-builder'
import type {
  AnyPgColumn,
  ExtraConfigColumn,
  PgColumnBuilderBase,
  PgTableExtraConfigValue,
  PgTableWithColumns,
} from 'drizzle-orm/pg-core'
import {
  foreignKey as pgForeignKey,
  index as pgIndex,
  pgTable,
  unique as pgUnique,
  primaryKey,
  timestamp,
  uuid,
} from 'drizzle-orm/pg-core'
import { newId } from '../lib/ids.ts'

/** The tenant of the session. Without a tenant it is null, which the column refuses. */
const OWN_TENANT = sql`nullif(pg_catalog.current_setting('app.tenant_id', true), '')::pg_catalog.uuid`

const timestampDefaultNow = (name: string) =>
  timestamp(name, { withTimezone: true, mode: 'string' }).notNull().defaultNow()

/** The columns before a tenant table's own. */
const leading = () => ({
  tenantId: uuid('tenant_id')
    .notNull()
    .$defaultFn(() => OWN_TENANT as unknown as string),
  id: uuid('id').notNull().$defaultFn(newId),
})

/** The columns after a tenant table's own. */
const trailing = () => ({
  createdAt: timestampDefaultNow('created_at'),
  updatedAt: timestampDefaultNow('updated_at').$onUpdateFn(() => sql`now()` as unknown as string),
})

type OwnColumns = ReturnType<typeof leading> & ReturnType<typeof trailing>
type Columns = Record<string, PgColumnBuilderBase>

/** The result of drizzle's `pgTable`. It is written out, because TypeScript cannot put the inferred type into a declaration file. */
type Table<Name extends string, Own extends Columns> = PgTableWithColumns<{
  name: Name
  schema: undefined
  columns: BuildColumns<Name, Own, 'pg'>
  dialect: 'pg'
}>

/** A tenant table that a foreign key may refer to. */
export interface Referable {
  readonly tenantId: AnyPgColumn
  readonly id: AnyPgColumn
}

/** Builders of keys and indexes. They put the tenant first and name the result `<table>_<columns>_key`, `_idx` or `_fkey`. */
export interface TenantKeys {
  unique(...columns: readonly ExtraConfigColumn[]): PgTableExtraConfigValue
  index(...columns: readonly ExtraConfigColumn[]): PgTableExtraConfigValue
  /**
   * A foreign key to another tenant table's `id`. `restrict`, the default, is written as NO ACTION. Both refuse to delete a row
   * that other rows refer to, but only NO ACTION can be deferred to the end of a transaction.
   */
  references(
    column: ExtraConfigColumn,
    table: () => Referable,
    options?: { readonly onDelete?: 'cascade' | 'restrict' },
  ): PgTableExtraConfigValue
}

/**
 * drizzle's `pgTable` for rows that belong to a tenant: with `tenantId`, `id` (UUIDv7), `createdAt`, `updatedAt` and the primary
 * key `(tenant_id, id)`. An insert fills `tenantId` and `id`, an update fills `updatedAt`. Timestamps are texts in ISO 8601.
 * `extras` may use drizzle's own builders too; `defineApplication` checks them.
 */
export function tenantTable<Name extends string, Own extends Columns>(
  name: Name,
  columns: Own,
  extras?: (
    table: BuildExtraConfigColumns<Name, Own & OwnColumns, 'pg'>,
    keys: TenantKeys,
  ) => PgTableExtraConfigValue[],
): Table<Name, Own & OwnColumns> {
  const all = { ...leading(), ...columns, ...trailing() } as Own & OwnColumns
  return pgTable(name, all, (table) => {
    const { tenantId, id } = table as unknown as Record<'tenantId' | 'id', ExtraConfigColumn>
    const keys = keysOf(name, tenantId)
    return [
      primaryKey({ name: `${name}_pkey`, columns: [tenantId, id] as never }),
      ...(extras?.(table, keys) ?? []),
    ]
  })
}

/** A table whose rows belong to no tenant, such as countries or plans. Tenants may read it; only migrations write it. */
export function referenceTable<Name extends string, Own extends Columns>(
  name: Name,
  columns: Own,
  extras?: (table: BuildExtraConfigColumns<Name, Own, 'pg'>) => PgTableExtraConfigValue[],
): Table<Name, Own> {
  const table = pgTable(name, columns, (self) => extras?.(self) ?? [])
  referenceTables.add(table)
  return table
}

const referenceTables = new WeakSet<object>()

/** True for a table that was made by `referenceTable`. */
export function isReferenceTable(table: object): boolean {
  return referenceTables.has(table)
}

function keysOf(name: string, tenantId: ExtraConfigColumn): TenantKeys {
  const named = (columns: readonly { name: string }[], kind: string) =>
    [name, ...columns.map((column) => column.name), kind].join('_')
  return {
    unique: (...columns) => pgUnique(named(columns, 'key')).on(...columnsOf(tenantId, columns)),
    index: (...columns) => pgIndex(named(columns, 'idx')).on(...columnsOf(tenantId, columns)),
    references: (column, target, { onDelete = 'restrict' } = {}) => {
      const key = pgForeignKey({
        name: named([column], 'fkey'),
        columns: columnsOf(tenantId, [column]),
        // Read only when drizzle needs it, because tables may refer to each other and to themselves.
        get foreignColumns() {
          const { tenantId: theirs, id } = target()
          return [theirs, id] as [AnyPgColumn, AnyPgColumn]
        },
      })
      return onDelete === 'cascade' ? key.onDelete('cascade') : key
    },
  }
}

function columnsOf(tenantId: ExtraConfigColumn, columns: readonly ExtraConfigColumn[]) {
  return [tenantId, ...columns] as unknown as [AnyPgColumn, ...AnyPgColumn[]]
}
