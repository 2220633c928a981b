/** The parts that the HTTP layer uses. The gateway builds them. */
import type { Application } from '../application.ts'
import type { AuditTrail } from '../catalog/audit/trail.ts'
import type { ShareWait } from '../catalog/changes/connection-shares.ts'
import type { Freshness } from '../catalog/changes/freshness.ts'
import type { Confirmations } from '../catalog/changes/replicas.ts'
import type { Route, RouteDirectory } from '../catalog/directory.ts'
import type { DatabaseStatus } from '../catalog/schema.ts'
import type { CursorCodec } from '../collections/cursor.ts'
import type { Schemas } from '../databases/schemas.ts'
import type { RoleService } from '../identity/access/role-service.ts'
import type { ClientKeys } from '../identity/callers/client-keys.ts'
import type { Operators } from '../identity/callers/operators.ts'
import type { TenantResolver } from '../identity/callers/tenant-resolver.ts'
import type { AccountSignInParts } from '../identity/login/account-login.ts'
import type { SignInParts } from '../identity/login/sign-in.ts'
import type { Accounts } from '../identity/people/accounts.ts'
import type { People } from '../identity/people/people.ts'
import type { AccessTokens } from '../identity/tokens/access-tokens.ts'
import type { ServiceKeys } from '../identity/tokens/service-keys.ts'
import type { SigningKeys } from '../identity/tokens/signing.ts'
import type { TenantKeys } from '../identity/tokens/tenant-keys.ts'
import type { Ping } from '../lib/postgres/pg.ts'
import type { RateLimiter } from '../lib/rate-limiter.ts'
import type { Logger } from '../logger.ts'
import type { Metrics } from '../metrics.ts'
import type { Operations } from '../operations/operations.ts'
import type { TenantSession } from '../sql/session.ts'
import type { Own } from './own/own.ts'
import type { ConnectionLimit } from './transport/connection-limit.ts'

/**
 * The phase of a gateway. `leaving`: it was told to stop. It still serves requests, but proxies should send no new ones.
 * `draining`: it refuses new requests.
 */
export type Phase = 'starting' | 'ready' | 'leaving' | 'draining'

export interface HttpDeps {
  readonly application: Application
  /** What the gateway has read from the application at the start. */
  readonly own: Own
  readonly settings: HttpSettings
  readonly log: Logger
  readonly metrics: Metrics
  /** The phase changes while requests are served. */
  readonly lifecycle: { readonly phase: Phase }
  readonly freshness: Freshness
  readonly directory: Pick<RouteDirectory, 'peekById' | 'byId' | 'peekByCode' | 'byCode'>
  readonly tokens: Pick<AccessTokens, 'peek' | 'verify'>
  readonly clientKeys: Pick<ClientKeys, 'authenticate' | 'create' | 'list' | 'find' | 'revoke'>
  readonly operators: Pick<Operators, 'recognises' | 'authenticate' | 'create' | 'list' | 'revoke'>
  readonly signingKeys: Pick<SigningKeys, 'jwks'> & {
    readonly service: Pick<ServiceKeys, 'rotate'>
    readonly tenants: Pick<TenantKeys, 'jwks' | 'describe' | 'replace' | 'rotate' | 'remove'>
  }
  readonly signIn: SignInParts
  readonly people: Pick<People, 'create' | 'find' | 'change' | 'remove'>
  readonly roles: Pick<RoleService, 'create' | 'find' | 'change' | 'remove'>
  readonly accounts: Pick<
    Accounts,
    'create' | 'list' | 'find' | 'describe' | 'patch' | 'remove' | 'setMembership' | 'removeMembership'
  >
  readonly accountSignIn: AccountSignInParts
  readonly tenantResolver: Pick<TenantResolver, 'resolve'>
  readonly sessions: { open(route: Route, options?: { readonly ownSql?: boolean }): TenantSession }
  /** True if the tenant database is known to be down. Then only data from the catalog can be served. */
  isDatabaseDown(route: Route): boolean
  readonly operations: Operations
  readonly schemas: Pick<Schemas, 'report' | 'list'>
  /** Waits a few seconds at most until every live replica has applied the change (null: all changes up to now). */
  confirmations(seq: number | null): Promise<Confirmations>
  readonly probes: Probes
  readonly cursors: CursorCodec
  readonly rates: Rates
  readonly auditTrail: Pick<AuditTrail, 'note'>
}

/** `principals` counts every request. `addresses` counts requests that present a credential to get tokens. */
export interface Rates {
  readonly principals: Pick<RateLimiter, 'take'>
  readonly addresses: Pick<RateLimiter, 'take'>
}

export interface HttpSettings {
  /** In lower case. */
  readonly actForHeader: string
  readonly version: string
  /** Addresses and networks of proxies whose X-Forwarded-For is believed. */
  readonly trustedProxies: readonly string[]
  /** Origins whose scripts may read answers. None if absent. */
  readonly corsOrigins?: readonly string[]
  /** The whole request, with its body, must arrive within this time. */
  readonly requestTimeoutMs?: number
  /** A connection is closed if its answer makes no progress for this time. */
  readonly stallTimeoutMs?: number
  /** How many HTTP connections may be open. No limit if absent. */
  readonly connections?: ConnectionLimit
  /** How long the event loop delay is measured for one sample. */
  readonly overloadSampleMs?: number
  /** Requests are refused if the mean event loop delay is above this. */
  readonly overloadDelayMs?: number
}

export interface Probes {
  /** `ready` if the catalog was reached, the migrations match, and every key that secrets need is loaded. */
  readiness(): 'ready' | 'starting' | 'key-missing' | 'connections-missing'
  /** Why this process may open no connections to tenant databases. Null if it may. */
  waitsFor(): ShareWait | null
  /** Rejects when it fails. May hang: the caller sets the deadline. */
  pingCatalog(): Promise<Ping>
  pingShared(): Promise<Ping>
  countDatabases(): Promise<Readonly<Record<DatabaseStatus, number>>>
  countSchemas(): Promise<Readonly<Record<'current' | 'behind' | 'failed', number>>>
  gauges(): ProbeGauges
}

export interface ProbeGauges {
  readonly activePools: number
  readonly cachedConfigs: number
  readonly connections: { readonly open: number; readonly max: number }
}
