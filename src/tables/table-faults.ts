import { is, SQL } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { getTableConfig, PgTable } from 'drizzle-orm/pg-core'
import { isReferenceTable } from './tenant-table.ts'

type Config = ReturnType<typeof getTableConfig>

/** Tables of the core. Later ones begin with `freehold_`. */
const RESERVED: ReadonlySet<string> = new Set([
  ...['residence', 'users', 'roles', 'role_permissions', 'user_roles'],
  ...['sessions', 'login_attempts', 'idempotency_keys'],
])
const PREFIX = 'freehold_'
const TENANT = 'tenant_id'

/** The tables among a module's exports, by their names in SQL; what else it exports is passed over. */
export function tablesIn(exports: Readonly<Record<string, unknown>>): PgTable[] {
  return Object.values(exports).filter((value): value is PgTable => is(value, PgTable))
}

/**
 * Says what keeps tables from being an application's, in sentences that name the table and the mend; none where all is well.
 * A row belongs to a tenant only if its keys begin with it: unique indexes and foreign keys pass by row-level security.
 */
export function faultsOfTables(tables: readonly PgTable[]): string[] {
  const configs = tables.map((table) => ({ table, config: getTableConfig(table) }))
  const names = configs.map(({ config }) => config.name)
  const twice = names.filter((name, index) => names.indexOf(name) !== index)
  return [
    ...[...new Set(twice)].map((name) => `Two tables are named "${name}". Rename one of them.`),
    ...configs.flatMap(({ config }) => faultsOfName(config)),
    ...configs.flatMap(({ table, config }) => (isReferenceTable(table) ? [] : faultsOfTenantTable(config))),
  ]
}

function faultsOfName({ name, schema }: Config): string[] {
  if (schema !== undefined && schema !== 'public')
    return [
      `Table "${name}" is in the schema "${schema}". Tables of an application belong to public: use pgTable.`,
    ]
  if (RESERVED.has(name) || name.startsWith(PREFIX))
    return [`Table "${name}" has a name that Freehold keeps for its own tables. Rename it.`]
  return []
}

function faultsOfTenantTable(config: Config): string[] {
  const { name, columns } = config
  const tenant = columns.find((column) => column.name === TENANT)
  if (tenant === undefined)
    return [
      `Table "${name}" has no column tenant_id. Make it with tenantTable, or with referenceTable if its rows belong to no tenant.`,
    ]
  if (tenant.getSQLType() !== 'uuid' || !tenant.notNull)
    return [`Column tenant_id of table "${name}" must be uuid and NOT NULL. Make the table with tenantTable.`]
  return [...faultsOfPrimaryKey(config), ...faultsOfUnique(config), ...faultsOfForeignKeys(config)]
}

function faultsOfPrimaryKey({ name, columns, primaryKeys }: Config): string[] {
  const own = columns.filter((column) => column.primary).map((column) => column.name)
  const [first] = primaryKeys[0]?.columns.map((column) => column.name) ?? own
  if (first === TENANT) return []
  return [`The primary key of table "${name}" must begin with tenant_id, for example (tenant_id, id).`]
}

function faultsOfUnique({ name, columns, indexes, uniqueConstraints }: Config): string[] {
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

function faultsOfForeignKeys({ name, foreignKeys }: Config): string[] {
  return foreignKeys.flatMap((key) => {
    const { columns, foreignColumns, foreignTable } = key.reference()
    if (isReferenceTable(foreignTable)) return []
    if (isTenant(columns[0]) && isTenant(foreignColumns[0])) return []
    return [
      `The foreign key ${key.getName()} of table "${name}" must begin with tenant_id on both sides, or it accepts another tenant's row: use references(...) of tenantTable's third argument.`,
    ]
  })
}

function isTenant(column: unknown): boolean {
  return column !== undefined && !is(column, SQL) && (column as PgColumn).name === TENANT
}
