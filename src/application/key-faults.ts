import { is, SQL } from 'drizzle-orm'
import { type ForeignKey, getTableConfig, type PgColumn } from 'drizzle-orm/pg-core'
import { isReferenceTable } from './tenant-table.ts'

export type TableConfig = ReturnType<typeof getTableConfig>

export const TENANT = 'tenant_id'
/** The only table of the core that an application's foreign keys may refer to. */
const USERS = 'users'
/** PostgreSQL silently truncates a longer name, so two names may become the same. */
const MAX_NAME_BYTES = 63

/** Finds the faults in the keys of a tenant table. `declared`: the names of the application's tables. */
export function faultsOfKeys(config: TableConfig, declared: ReadonlySet<string>): string[] {
  return [
    ...faultsOfPrimaryKey(config),
    ...faultsOfUnique(config),
    ...config.foreignKeys.flatMap((key) => faultsOfForeignKey(config.name, key, declared)),
  ]
}

/** Every tenant reads the rows of a reference table, so they must not refer to the rows of one tenant. */
export function faultsOfReferences(
  { name, foreignKeys }: TableConfig,
  declared: ReadonlySet<string>,
): string[] {
  return foreignKeys.flatMap((key) => {
    const { foreignTable } = key.reference()
    const target = getTableConfig(foreignTable).name
    if (isReferenceTable(foreignTable) && declared.has(target)) return []
    return [
      `The foreign key ${key.getName()} of table "${name}" refers to "${target}", which is not a reference table of the application. Remove the key.`,
    ]
  })
}

/** Finds names that PostgreSQL would truncate. */
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
        `The name "${each}" in table "${name}" has more than ${MAX_NAME_BYTES} bytes, and PostgreSQL would truncate it. Choose a shorter name; name a key with drizzle's own builder.`,
    )
}

function faultsOfPrimaryKey({ name, columns, primaryKeys }: TableConfig): string[] {
  const own = columns.filter((column) => column.primary).map((column) => column.name)
  if (primaryKeys.length + (own.length > 0 ? 1 : 0) > 1)
    return [`Table "${name}" has more than one primary key. Remove .primaryKey() from its columns.`]
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
        `The unique key ${key} of table "${name}" must begin with tenant_id, or it shows a tenant which values other tenants use. Use unique(...) of tenantTable's third argument.`,
    )
}

function faultsOfForeignKey(name: string, key: ForeignKey, declared: ReadonlySet<string>): string[] {
  const { columns, foreignColumns, foreignTable } = key.reference()
  const target = getTableConfig(foreignTable).name
  const which = `The foreign key ${key.getName()} of table "${name}"`
  if (target !== USERS && !declared.has(target))
    return [
      `${which} refers to "${target}", which is not one of the application's tables. Add the table, or refer to users, the only table of Freehold that a key may refer to.`,
    ]
  const clears = [key.onDelete, key.onUpdate].some(
    (action) => action === 'set null' || action === 'set default',
  )
  if (clears && columns.some(isTenant))
    return [`${which} would also set tenant_id to null, which the column forbids. Use cascade or no action.`]
  if (isReferenceTable(foreignTable) || (isTenant(columns[0]) && isTenant(foreignColumns[0]))) return []
  return [
    `${which} must begin with tenant_id on both sides, or it accepts another tenant's row. Use references(...) of tenantTable's third argument.`,
  ]
}

function isTenant(column: unknown): boolean {
  return column !== undefined && !is(column, SQL) && (column as PgColumn).name === TENANT
}
