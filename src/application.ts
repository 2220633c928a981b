import { fileURLToPath } from 'node:url'
import { getTableConfig, type PgTable } from 'drizzle-orm/pg-core'
import type { Tenant } from './application/contract.ts'
import { faultsOfErrors, type OwnErrors } from './application/own-errors.ts'
import { type ApplicationJob, faultsOfJobs } from './application/own-jobs.ts'
import type { Scope } from './application/scope.ts'
import { faultsOfExports, faultsOfTables, tablesIn } from './application/table-faults.ts'
import { isReferenceTable } from './application/tenant-table.ts'
import type { Resource } from './collections/define-resource.ts'

export type * from './application/contract.ts'
export type { ApplicationJob, JobContext, JobLog, JobTenants } from './application/own-jobs.ts'
export type * from './application/scope.ts'

/** The argument of `defineApplication`. */
export interface ApplicationDefinition {
  /** In lower case, with hyphens. */
  readonly name: string
  /** An object of tables, or the namespace of a module. drizzle's `relations()` are used; other exports are ignored. */
  readonly tables: Readonly<Record<string, unknown>>
  /** The folder that drizzle-kit writes: a `file:` URL or an absolute path. */
  readonly migrations: URL | string
  /** Permissions besides those that resources and routes name, such as `reports:export`. */
  readonly permissions?: readonly string[]
  readonly resources?: readonly Resource[]
  readonly routes?: (scope: Scope) => void
  /** The application's own codes for `problem`, such as `SLOT_TAKEN: { status: 409, title: 'The slot is taken' }`. */
  readonly errors?: OwnErrors
  readonly jobs?: readonly ApplicationJob[]
  /** Inserts rows for one demo tenant. Runs in a transaction. */
  readonly seed?: (tenant: Tenant) => Promise<void>
}

/** An application as the core uses it. Only `defineApplication` makes one. */
export interface Application {
  readonly name: string
  /** The tables and relations that `request.tenant.db` knows. */
  readonly schema: Readonly<Record<string, unknown>>
  /** Names in SQL of the tables that hold tenants' rows. */
  readonly tenantTables: readonly string[]
  /** Names in SQL of the tables that belong to no tenant. */
  readonly referenceTables: readonly string[]
  /** The folder's absolute path. */
  readonly migrations: string
  /** The permissions of the resources and of the definition, sorted, without duplicates. */
  readonly permissions: readonly string[]
  readonly resources: readonly Resource[]
  readonly routes: NonNullable<ApplicationDefinition['routes']> | null
  readonly errors: OwnErrors
  readonly jobs: readonly ApplicationJob[]
  readonly seed: NonNullable<ApplicationDefinition['seed']> | null
}

/** A definition has problems. Lists all of them. */
export class ApplicationError extends Error {
  override readonly name = 'ApplicationError'
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.problems = problems
  }
}

const NAME = /^[a-z][a-z0-9-]{0,62}$/
export const PERMISSION = /^[a-z][a-z-]*:[a-z][a-z-]*$/
export const PATH = /^[a-z][a-z0-9-]*$/
/** First segments of the paths that the core serves or reserves. */
export const RESERVED_PATHS: ReadonlySet<string> = new Set([
  ...['auth', 'tenant', 'tenants', 'users', 'roles', 'permissions', 'client-keys', 'audit-log', 'accounts'],
  ...['operators', 'encryption', 'jobs', 'databases', 'servers', 'migrations', 'moves', 'erasures'],
  ...['events', 'doctor', 'console', 'docs', 'openapi', 'metrics', 'health', 'signing-keys'],
])
const applications = new WeakSet<object>()

/**
 * Makes an application and checks everything that needs no database. Opens no connection.
 * @throws ApplicationError with every problem
 */
export function defineApplication(definition: ApplicationDefinition): Application {
  // Node does not check types, so the argument may be anything.
  if (typeof definition !== 'object' || definition === null)
    throw new ApplicationError(['defineApplication needs an object: { name, tables, migrations }.'])
  const tables = tablesIn(definition.tables)
  const { resources = [] } = definition
  const problems = [
    ...faultsOfDefinition(definition),
    ...faultsOfTables(tables),
    ...faultsOfExports(definition.tables),
    ...faultsOfResources(resources, tables),
    ...faultsOfErrors(definition.errors ?? {}),
    ...faultsOfJobs(definition.jobs ?? []),
  ]
  if (problems.length > 0) throw new ApplicationError(problems)
  const names = (isReference: boolean) =>
    tables
      .filter((table) => isReferenceTable(table) === isReference)
      .map((table) => getTableConfig(table).name)
      .sort()
  const application = Object.freeze({
    name: definition.name,
    schema: definition.tables,
    tenantTables: names(false),
    referenceTables: names(true),
    migrations: folderOf(definition.migrations),
    permissions: permissionsOf(definition),
    resources,
    routes: definition.routes ?? null,
    errors: definition.errors ?? {},
    jobs: definition.jobs ?? [],
    seed: definition.seed ?? null,
  })
  applications.add(application)
  return application
}

/** True for an application that `defineApplication` made. */
export function isApplication(value: unknown): value is Application {
  return typeof value === 'object' && value !== null && applications.has(value)
}

function faultsOfDefinition({ name, migrations, permissions = [] }: ApplicationDefinition): string[] {
  const wrong = permissions.filter((permission) => !PERMISSION.test(permission))
  return [
    ...(typeof name === 'string' && NAME.test(name)
      ? []
      : [`The application's name "${name}" must be lower case, with digits and hyphens.`]),
    ...(isFolder(migrations) ? [] : ['migrations must be a file: URL or an absolute path of a folder.']),
    ...wrong.map((permission) => `The permission "${permission}" must be of the form "bookings:read".`),
  ]
}

function faultsOfResources(resources: readonly Resource[], tables: readonly PgTable[]): string[] {
  const names = resources.map(({ name }) => name)
  return resources.flatMap(({ name, table, permission }, index) => [
    ...(names.indexOf(name) === index ? [] : [`Two resources have the path "/${name}". Rename one of them.`]),
    ...(PATH.test(name)
      ? []
      : [`The resource "${name}" must have a path of lower-case letters, digits, hyphens.`]),
    ...(RESERVED_PATHS.has(name)
      ? [`The resource "${name}" has a path that Freehold serves itself. Rename it.`]
      : []),
    ...(tables.includes(table)
      ? []
      : [
          `The table "${getTableConfig(table).name}" of the resource "${name}" is not in the application's tables. Add it.`,
        ]),
    ...(isReferenceTable(table)
      ? [
          `The resource "${name}" uses a reference table, which only migrations may write. Read it in a route.`,
        ]
      : []),
    ...(PERMISSION.test(`${permission}:read`)
      ? []
      : [
          `The resource "${name}" has the permission "${permission}", which must be a word such as "bookings".`,
        ]),
  ])
}

function permissionsOf({ resources = [], permissions = [] }: ApplicationDefinition): string[] {
  const ofResources = resources.flatMap(({ permission, methods }) => [
    `${permission}:read`,
    ...(methods.length > 0 ? [`${permission}:write`] : []),
  ])
  return [...new Set([...ofResources, ...permissions])].sort()
}

function isFolder(migrations: URL | string): boolean {
  if (migrations instanceof URL) return migrations.protocol === 'file:'
  if (typeof migrations !== 'string') return false
  return migrations.startsWith('/') || /^[A-Za-z]:[\\/]/.test(migrations)
}

function folderOf(migrations: URL | string): string {
  return migrations instanceof URL ? fileURLToPath(migrations) : migrations
}
