import { getTableName, is, Table } from 'drizzle-orm'
import { getTableConfig, getViewConfig, isPgMaterializedView, isPgView, PgTable } from 'drizzle-orm/pg-core'
import { faultsOfKeys, faultsOfNames, faultsOfReferences, type TableConfig, TENANT } from './key-faults.ts'
import { isReferenceTable } from './tenant-table.ts'

/** Tables of the core. Newer ones begin with `freehold_`. */
const RESERVED: ReadonlySet<string> = new Set([
  ...['residence', 'users', 'roles', 'role_permissions', 'user_roles'],
  ...['sessions', 'login_attempts', 'idempotency_keys'],
])
const PREFIX = 'freehold_'

/** The tables among a module's exports, without duplicates. */
export function tablesIn(exports: Readonly<Record<string, unknown>>): PgTable[] {
  return [...new Set(Object.values(exports ?? {}).filter((value): value is PgTable => is(value, PgTable)))]
}

/**
 * Finds the faults in an application's tables. Each text names the table and says what to do. Every key must begin with the tenant,
 * because PostgreSQL does not apply row-level security when it checks unique indexes and foreign keys.
 */
export function faultsOfTables(tables: readonly PgTable[]): string[] {
  const configs = tables.map((table) => ({ table, config: getTableConfig(table) }))
  const names = configs.map(({ config }) => config.name)
  const declared = new Set(names)
  const faults = ({ table, config }: { table: PgTable; config: TableConfig }) => [
    ...faultsOfName(config),
    ...faultsOfNames(config),
    ...faultsOfColumns(config),
    ...(isReferenceTable(table)
      ? [...faultsOfReferenceTable(config), ...faultsOfReferences(config, declared)]
      : faultsOfTenantTable(config, declared)),
  ]
  return [
    ...duplicatesIn(names).map((name) => `Two tables are named "${name}". Rename one of them.`),
    ...configs.flatMap(faults),
  ]
}

/**
 * Finds the faults in a module's other exports. A view shows what its owner may see, so every tenant's rows, unless it runs as its
 * invoker. A table for another kind of database would be ignored silently.
 */
export function faultsOfExports(exports: Readonly<Record<string, unknown>>): string[] {
  if (typeof exports !== 'object' || exports === null)
    return ['tables must be an object of tables, or a module: import * as tables from "../tables/tables.ts".']
  return Object.values(exports).flatMap((value) => [...faultsOfView(value), ...faultsOfOther(value)])
}

function faultsOfView(view: unknown): string[] {
  if (isPgMaterializedView(view))
    return [
      'A materialised view holds rows of every tenant, and shows them to every tenant. Make it a table, or a view.',
    ]
  if (!isPgView(view)) return []
  const { name, isExisting, with: options } = getViewConfig(view)
  if (isExisting || options?.securityInvoker === true) return []
  return [
    `The view "${name}" would show every tenant's rows. Make it with({ securityInvoker: true }), which needs PostgreSQL 15.`,
  ]
}

function faultsOfOther(value: unknown): string[] {
  if (!is(value, Table) || is(value, PgTable)) return []
  return [
    `Table "${getTableName(value)}" is not a PostgreSQL table. Make it with tenantTable or referenceTable.`,
  ]
}

function faultsOfName({ name, schema }: TableConfig): string[] {
  if (schema !== undefined && schema !== 'public')
    return [
      `Table "${name}" is in the schema "${schema}". Tables of an application belong to public: use pgTable.`,
    ]
  if (RESERVED.has(name) || name.startsWith(PREFIX))
    return [`Table "${name}" has a name that is reserved for Freehold's own tables. Rename it.`]
  return []
}

function faultsOfColumns({ name, columns, policies }: TableConfig): string[] {
  return [
    ...duplicatesIn(columns.map((column) => column.name)).map(
      (column) =>
        `Table "${name}" has two columns named "${column}". tenantTable itself adds tenant_id, id, created_at and updated_at.`,
    ),
    ...policies
      .filter((policy) => policy.as !== 'restrictive')
      .map(
        (policy) =>
          `The policy "${policy.name}" of table "${name}" would show more rows than the tenant's own. Make it restrictive, or remove it.`,
      ),
  ]
}

function faultsOfTenantTable(config: TableConfig, declared: ReadonlySet<string>): string[] {
  const { name, columns } = config
  const tenant = columns.find((column) => column.name === TENANT)
  if (tenant === undefined)
    return [
      `Table "${name}" has no column tenant_id. Make it with tenantTable, or with referenceTable if its rows belong to no tenant.`,
    ]
  if (tenant.getSQLType() !== 'uuid' || !tenant.notNull)
    return [`Column tenant_id of table "${name}" must be uuid and NOT NULL. Make the table with tenantTable.`]
  return [...faultsOfSerials(config), ...faultsOfKeys(config, declared)]
}

function faultsOfReferenceTable({ name, columns }: TableConfig): string[] {
  if (!columns.some((column) => column.name === TENANT)) return []
  return [
    `Reference table "${name}" has a column tenant_id, and every tenant reads all of its rows. Make it with tenantTable.`,
  ]
}

/** The serving role has no right to use a serial's sequence. An identity column needs no such right. */
function faultsOfSerials({ name, columns }: TableConfig): string[] {
  return columns
    .filter((column) => column.getSQLType().endsWith('serial'))
    .map(
      (column) =>
        `Column "${column.name}" of table "${name}" is a serial, whose sequence the serving role may not use. Make it an integer generatedAlwaysAsIdentity().`,
    )
}

function duplicatesIn(names: readonly string[]): string[] {
  return [...new Set(names.filter((name, index) => names.indexOf(name) !== index))]
}
