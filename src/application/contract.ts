import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import type { Register } from './register.ts'

/** What an application is handed: a gateway, its tenants, and what they are for it. Types only. */
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
   * transaction, for functions that take a tenant, such as those of resources. One that is begun in it is part of it: where that fails
   * the whole fails, also if it was caught.
   */
  readonly transaction: <T>(fn: (db: ApplicationDb, inside: Tenant) => Promise<T>) => Promise<T>
  /**
   * Writes to the tenant's audit log, in the form `booking.cancel`; inside of a transaction, once that has committed.
   * @throws TypeError for an action of another form or of the core's, and for details that are not JSON of at most 8 KiB
   */
  readonly audit: (action: string, details?: Readonly<Record<string, unknown>>) => void
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
