import { is, SQL } from 'drizzle-orm'
import {
  type ForeignKey,
  type getTableConfig,
  type PgColumn,
  getTableConfig as read,
} from 'drizzle-orm/pg-core'
import { isReferenceTable } from './tenant-table.ts'

export type TableConfig = ReturnType<typeof getTableConfig>

export const TENANT = 'tenant_id'
/** The only table of the core that an application's keys may lead to. */
const USERS = 'users'
/** What becomes of a longer name is cut off in silence, and two names may become one. */
const MAX_NAME_BYTES = 63

/** What is wrong with the keys of a tenant table. `declared`: the application's tables by name. */
export function faultsOfKeys(config: TableConfig, declared: ReadonlySet<string>): string[] {
  return [
    ...faultsOfPrimaryKey(config),
    ...faultsOfUnique(config),
    ...config.foreignKeys.flatMap((key) => faultsOfForeignKey(config.name, key, declared)),
  ]
}

/** A reference table's rows are every tenant's, so that they can refer to none of them. */
export function faultsOfReferences(
  { name, foreignKeys }: TableConfig,
  declared: ReadonlySet<string>,
): string[] {
  return foreignKeys.flatMap((key) => {
    const { foreignTable } = key.reference()
    const target = read(foreignTable).name
    if (isReferenceTable(foreignTable) && declared.has(target)) return []
    return [
      `The foreign key ${key.getName()} of table "${name}" leads to "${target}", which is no reference table of the application. Take it away.`,
    ]
  })
}

/** Names that PostgreSQL would cut off. */
export function faultsOfNames(config: TableConfig): string[] {
  const { name, columns, indexes, primaryKeys, foreignKeys, uniqueConstraints, checks } = config
  const names = [
    ...[name, ...columns.map((column) => column.name), ...checks.map((check) => check.name)],
    ...indexes.map((index) => index.config.name ?? ''),
    ...columns.map((column) => (column.isUnique ? (column.uniqueName ?? '') : '')),
    ...[...primaryKeys, ...foreignKeys, ...uniqueConstraints].map((key) => key.getName() ?? ''),
  ]
  return names
    .filter((each) => Buffer.byteLength(each) > MAX_NAME_BYTES)
    .map(
      (each) =>
        `The name "${each}" of or in table "${name}" has more than ${MAX_NAME_BYTES} bytes, and PostgreSQL cuts it off. Give it a shorter one, a key by drizzle's own builder.`,
    )
}

function faultsOfPrimaryKey({ name, columns, primaryKeys }: TableConfig): string[] {
  const own = columns.filter((column) => column.primary).map((column) => column.name)
  if (primaryKeys.length + (own.length > 0 ? 1 : 0) > 1)
    return [`Table "${name}" has more than one primary key. Take .primaryKey() off its columns.`]
  const [first] = primaryKeys[0]?.columns.map((column) => column.name) ?? own
  if (first === TENANT) return []
  return [`The primary key of table "${name}" must begin with tenant_id, for example (tenant_id, id).`]
}

function faultsOfUnique({ name, columns, indexes, uniqueConstraints }: TableConfig): string[] {
  const keys = [
    ...columns
      .filter((column) => column.isUnique)
      .map((column) => ({ key: `on ${column.name}`, columns: [column] })),
    ...indexes
      .filter(({ config }) => config.unique)
      .map(({ config }) => ({ key: config.name ?? '', columns: config.columns })),
    ...uniqueConstraints.map((key) => ({ key: key.getName() ?? '', columns: key.columns })),
  ]
  return keys
    .filter(({ columns: [first] }) => !isTenant(first))
    .map(
      ({ key }) =>
        `The unique key ${key} of table "${name}" must begin with tenant_id, or it tells one tenant of another's values: use unique(...) of tenantTable's third argument.`,
    )
}

function faultsOfForeignKey(name: string, key: ForeignKey, declared: ReadonlySet<string>): string[] {
  const { columns, foreignColumns, foreignTable } = key.reference()
  const target = read(foreignTable).name
  const which = `The foreign key ${key.getName()} of table "${name}"`
  if (target !== USERS && !declared.has(target))
    return [
      `${which} leads to "${target}", which is not among the application's tables. Add it, or refer to users: of Freehold's own tables only these may be referred to.`,
    ]
  const clears = [key.onDelete, key.onUpdate].some(
    (action) => action === 'set null' || action === 'set default',
  )
  if (clears && columns.some(isTenant))
    return [
      `${which} would set tenant_id to null as well, which the column refuses. Let it cascade, or do nothing.`,
    ]
  if (isReferenceTable(foreignTable) || (isTenant(columns[0]) && isTenant(foreignColumns[0]))) return []
  return [
    `${which} must begin with tenant_id on both sides, or it accepts another tenant's row: use references(...) of tenantTable's third argument.`,
  ]
}

function isTenant(column: unknown): boolean {
  return column !== undefined && !is(column, SQL) && (column as PgColumn).name === TENANT
}
