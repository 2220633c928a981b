import { fileURLToPath } from 'node:url'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import { getTableConfig, type PgTable } from 'drizzle-orm/pg-core'
import type { FastifyInstance } from 'fastify'
import type { Resource } from './collections/define-resource.ts'
import type { Register } from './register.ts'
import { faultsOfExports, faultsOfTables, tablesIn } from './tables/table-faults.ts'
import { isReferenceTable } from './tables/tenant-table.ts'

/** The contract between Freehold and a product that is built on it. */
type Registered = Register extends { tables: infer Tables extends Record<string, unknown> }
  ? Tables
  : Record<string, unknown>

/** drizzle over the application's tables, within one tenant. Transactions are begun by `Tenant.transaction`. */
export type ApplicationDb = Omit<NodePgDatabase<Registered>, 'transaction'>

/** Who works in a tenant. */
export interface Principal {
  /** `system` is a program that works without a request, such as a script of `gateway.tenants.run`. */
  readonly kind: 'user' | 'client-key' | 'account' | 'external' | 'system'
  /** A user's, key's or account's id, `issuer|subject` of an external person, or the actor of `run`. */
  readonly id: string
  /** The principal's own tenant. It is another than the one that is worked in where the principal acts for that. */
  readonly tenantId: string
  readonly roles: readonly string[]
  readonly permissions: { readonly list: readonly string[]; has(permission: string): boolean }
}

/** What names a tenant. */
export interface TenantName {
  readonly id: string
  readonly code: string
  readonly name: string
}

/** One tenant, as the code of an application works in it. It reaches the rows of no other. */
export interface Tenant extends TenantName {
  readonly principal: Principal
  /** The tenant again where the principal belongs to another one and acts for this; else null. */
  readonly actingFor: TenantName | null
  /** Each statement by itself; inside of a transaction, that transaction. */
  readonly db: ApplicationDb
  /**
   * Runs `fn` in one transaction: commits when it resolves, rolls back when it throws. `inside` is this tenant within the
   * transaction, for functions that take a tenant, such as those of resources.
   */
  transaction<T>(fn: (db: ApplicationDb, inside: Tenant) => Promise<T>): Promise<T>
  /**
   * Writes to the tenant's audit log, in the form `booking.cancel`; inside of a transaction, once that has committed.
   * @throws TypeError for an action of another form or of the core's, and for details that are not JSON of at most 8 KiB
   */
  audit(action: string, details?: Readonly<Record<string, unknown>>): void
}

export interface RunOptions {
  /** Who works, for the audit log: the name of a script, a job or a person. */
  readonly actor: string
}

export interface EachOptions extends RunOptions {
  /** How many tenants are worked in at once. 4 unless said, at most 64. */
  readonly concurrency?: number
  /** Once it is aborted no further tenant is begun. */
  readonly signal?: AbortSignal
}

/** What became of `tenants.each`. */
export interface EachOutcome {
  readonly succeeded: number
  readonly failed: readonly { readonly tenant: TenantName; readonly error: unknown }[]
}

/** The way to tenants without a request. */
export interface Tenants {
  /** Works in one tenant, named by its id or code. @throws PublicError TENANT_NOT_FOUND; whatever `fn` throws */
  run<T>(codeOrId: string, fn: (tenant: Tenant) => Promise<T>, options: RunOptions): Promise<T>
  /** Works in every active tenant, wherever it lives. The failure of one does not keep the others from being worked in. */
  each(fn: (tenant: Tenant) => Promise<unknown>, options: EachOptions): Promise<EachOutcome>
}

/** How a gateway and its databases are, as `GET /health` tells it. */
export interface Health {
  readonly status: 'ok' | 'degraded' | 'unavailable'
  readonly version: string
  readonly uptimeSeconds: number
  readonly activePools: number
  readonly cachedConfigs: number
  readonly connections: { readonly open: number; readonly max: number }
  readonly catalog: PartHealth
  readonly shared: PartHealth
  readonly databases: Readonly<Record<'pending_validation' | 'active' | 'failed' | 'inactive', number>>
  readonly schema: Readonly<Record<'current' | 'behind' | 'failed', number>>
}

export interface PartHealth {
  readonly status: 'ok' | 'read-only' | 'down'
  readonly latencyMs: number | null
}

/** A gateway in a process of one's own. Made by `createGateway`. */
export interface Gateway {
  readonly tenants: Tenants
  /** Prepares the databases, trying again while they cannot be reached. @throws StartRefusedError */
  start(): Promise<void>
  /** Ends what is under way, and closes every connection. */
  close(): Promise<void>
  health(): Promise<Health>
}

/** What an application registers its routes on. */
export interface Scope {
  readonly server: FastifyInstance
}

/** What a developer says of an application. */
export interface ApplicationDefinition {
  /** In lower case, with hyphens. */
  readonly name: string
  /** An object of tables, or a module's namespace: what else is in it is passed over, drizzle's `relations()` are taken. */
  readonly tables: Readonly<Record<string, unknown>>
  /** The folder that drizzle-kit writes: a `file:` URL or an absolute path. */
  readonly migrations: URL | string
  /** Permissions besides those that resources and routes name, such as `reports:export`. */
  readonly permissions?: readonly string[]
  readonly resources?: readonly Resource[]
  readonly routes?: (scope: Scope) => void
  /** Rows for each demo tenant, which it is handed within a transaction. */
  readonly seed?: (tenant: Tenant) => Promise<void>
}

/** An application as the core uses it. Made by `defineApplication` only. */
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
  /** Those of its resources and its own, sorted, each once. */
  readonly permissions: readonly string[]
  readonly resources: readonly Resource[]
  readonly routes: NonNullable<ApplicationDefinition['routes']> | null
  readonly seed: NonNullable<ApplicationDefinition['seed']> | null
}

/** What keeps an application from being one, all of it at once. */
export class ApplicationError extends Error {
  override readonly name = 'ApplicationError'
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.problems = problems
  }
}

const NAME = /^[a-z][a-z0-9-]{0,62}$/
const PERMISSION = /^[a-z][a-z-]*:[a-z][a-z-]*$/
const PATH = /^[a-z][a-z0-9-]*$/
/** First parts of the paths that the core serves, or will. */
const RESERVED_PATHS: ReadonlySet<string> = new Set([
  ...['auth', 'tenant', 'tenants', 'users', 'roles', 'permissions', 'client-keys', 'audit-log', 'accounts'],
  ...['operators', 'encryption', 'jobs', 'databases', 'servers', 'migrations', 'moves', 'erasures'],
  ...['events', 'doctor', 'console', 'docs', 'openapi', 'metrics', 'health', 'signing-keys'],
])
const applications = new WeakSet<object>()

/**
 * Makes an application of its parts, and checks what can be checked without a database. Opens nothing.
 * @throws ApplicationError with every problem
 */
export function defineApplication(definition: ApplicationDefinition): Application {
  // Node removes types and checks none.
  if (typeof definition !== 'object' || definition === null)
    throw new ApplicationError(['defineApplication needs an object: { name, tables, migrations }.'])
  const tables = tablesIn(definition.tables)
  const { resources = [] } = definition
  const problems = [
    ...faultsOfDefinition(definition),
    ...faultsOfTables(tables),
    ...faultsOfExports(definition.tables),
    ...faultsOfResources(resources, tables),
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
    seed: definition.seed ?? null,
  })
  applications.add(application)
  return application
}

/** True for what `defineApplication` has made. */
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
      ? [`The resource "${name}" is of a reference table, which only migrations write. Read it in a route.`]
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
