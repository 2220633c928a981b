/** What the HTTP layer asks of the rest of the house. Built in the composition root. */
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
 * Of a gateway. `leaving`: it was told to stop, and proxies should send nothing new; requests are still served. `draining`: new
 * requests are refused.
 */
export type Phase = 'starting' | 'ready' | 'leaving' | 'draining'

export interface HttpDeps {
  readonly application: Application
  /** What was read out of the application. */
  readonly own: Own
  readonly settings: HttpSettings
  readonly log: Logger
  readonly metrics: Metrics
  /** Changes while requests are served. */
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
  /** Whether the tenant's own database is known not to answer, so that only the catalog's part can be served. */
  homeIsDown(route: Route): boolean
  readonly operations: Operations
  readonly schemas: Pick<Schemas, 'report' | 'list' | 'listRuns' | 'findRun'>
  /** Waits until every live replica applies the change (null: all up to now), for seconds at most. */
  confirmations(seq: number | null): Promise<Confirmations>
  readonly probes: Probes
  readonly cursors: CursorCodec
  readonly rates: Rates
  readonly auditTrail: Pick<AuditTrail, 'note'>
}

/** `principals` counts every request, `addresses` those that try a credential to get tokens. */
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
  /** Whose scripts may read answers; nobody's when absent. */
  readonly corsOrigins?: readonly string[]
  /** The whole of a request, its body included, must have arrived after this. */
  readonly requestTimeoutMs?: number
  /** How long nothing may move on a connection whose answer is under way. */
  readonly stallTimeoutMs?: number
  /** How many callers may be connected; as many as come where it is absent. */
  readonly connections?: ConnectionLimit
  /** How long the event loop is watched before it is judged. */
  readonly overloadSampleMs?: number
  /** How late the event loop may be on average before requests are turned away. */
  readonly overloadDelayMs?: number
}

export interface Probes {
  /** `ready` once the catalog has been reached, the migrations match, and while every key is at hand that secrets need. */
  readiness(): 'ready' | 'starting' | 'key-missing' | 'connections-missing'
  /** Why there are no connections to tenants' databases; null where there are. */
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
