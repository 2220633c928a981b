import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import type { Register } from './register.ts'

/** The tables that the application registered (`Register`). */
type Registered = Register extends { tables: infer Tables extends Record<string, unknown> }
  ? Tables
  : Record<string, unknown>

/** drizzle over the application's tables, within one tenant. Use `Tenant.transaction` to begin a transaction. */
export type ApplicationDb = Omit<NodePgDatabase<Registered>, 'transaction'>

/** The person or program that works in a tenant. */
export interface Principal {
  /** `system` is a program that works without a request, such as a script of `gateway.tenants.run`. */
  readonly kind: 'user' | 'client-key' | 'account' | 'external' | 'system'
  /** A user's, key's or account's id, `issuer|subject` of an external person, or the actor of `run`. */
  readonly id: string
  /** The principal's own tenant. It differs from the current tenant while the principal acts for that tenant. */
  readonly tenantId: string
  readonly roles: readonly string[]
  readonly permissions: { readonly list: readonly string[]; has(permission: string): boolean }
}

/** The id, the code and the name of a tenant. */
export interface TenantName {
  readonly id: string
  readonly code: string
  readonly name: string
}

/** One tenant, as an application uses it. It gives access to the rows of this tenant only. */
export interface Tenant extends TenantName {
  readonly principal: Principal
  /** This tenant, if the principal belongs to another tenant and acts for this one; else null. */
  readonly actingFor: TenantName | null
  /** Outside a transaction each statement commits by itself. Inside one, all statements belong to it. */
  readonly db: ApplicationDb
  /**
   * Runs `fn` in one transaction: commits when it resolves, rolls back when it throws. `inside` is this tenant within the
   * transaction; pass it to functions that take a tenant, such as those of resources. A nested transaction joins the outer one:
   * when the nested one fails, the outer one fails too, even if the error is caught.
   */
  readonly transaction: <T>(fn: (db: ApplicationDb, inside: Tenant) => Promise<T>) => Promise<T>
  /**
   * Writes to the tenant's audit log. An action has the form `booking.cancel`. Inside a transaction the entry is written after the
   * commit.
   * @throws TypeError if the action has another form or belongs to the core, or if the details are not JSON of at most 8 KiB
   */
  readonly audit: (action: string, details?: Readonly<Record<string, unknown>>) => void
}

export interface RunOptions {
  /** The actor in the audit log: the name of a script, a job or a person. */
  readonly actor: string
}

export interface EachOptions extends RunOptions {
  /** How many tenants are processed at once. The default is 4, the maximum 64. */
  readonly concurrency?: number
  /** After an abort no further tenant is started. */
  readonly signal?: AbortSignal
}

/** The result of `tenants.each`. */
export interface EachOutcome {
  readonly succeeded: number
  readonly failed: readonly { readonly tenant: TenantName; readonly error: unknown }[]
}

/** Access to tenants without a request. */
export interface Tenants {
  /** Runs `fn` in one tenant. @throws PublicError TENANT_NOT_FOUND, or the error that `fn` throws */
  run<T>(codeOrId: string, fn: (tenant: Tenant) => Promise<T>, options: RunOptions): Promise<T>
  /** Runs `fn` in every active tenant, in shared and dedicated databases. A failure in one tenant does not stop the others. */
  each(fn: (tenant: Tenant) => Promise<unknown>, options: EachOptions): Promise<EachOutcome>
}

/** The state of a gateway and its databases, as in the answer of `GET /health`. */
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

/** A gateway inside your own process. Made by `createGateway`. */
export interface Gateway {
  readonly tenants: Tenants
  /** Prepares the databases. Retries while they cannot be reached. @throws StartRefusedError */
  start(): Promise<void>
  /** Finishes the work in progress and closes every connection. */
  close(): Promise<void>
  health(): Promise<Health>
}
