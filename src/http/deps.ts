/** What the HTTP layer asks of the rest of the house. Built in the composition root. */
import type { Route, RouteDirectory } from '../catalog/directory.ts'
import type { DatabaseStatus } from '../catalog/schema.ts'
import type { CursorCodec } from '../data/cursor.ts'
import type { ClientKeys } from '../identity/client-keys.ts'
import type { SignInParts } from '../identity/login.ts'
import type { Operators } from '../identity/operators.ts'
import type { SigningKeys } from '../identity/signing.ts'
import type { AccessTokens } from '../identity/tokens.ts'
import type { Logger } from '../logger.ts'
import type { Metrics } from '../metrics.ts'
import type { Operations } from '../operations/operations.ts'
import type { TenantSession } from '../tenant/session.ts'

export interface HttpDeps {
  readonly settings: HttpSettings
  readonly log: Logger
  readonly metrics: Metrics
  readonly lifecycle: { isStarting(): boolean; isDraining(): boolean }
  readonly directory: Pick<RouteDirectory, 'peekById' | 'byId' | 'peekByCode' | 'byCode'>
  readonly tokens: Pick<AccessTokens, 'peek' | 'verify'>
  readonly clientKeys: Pick<ClientKeys, 'authenticate' | 'create' | 'list' | 'find' | 'revoke'>
  readonly operators: Pick<Operators, 'recognises' | 'authenticate' | 'create' | 'list' | 'revoke'>
  readonly signingKeys: Pick<SigningKeys, 'jwks'>
  readonly signIn: SignInParts
  readonly sessions: { open(route: Route): TenantSession }
  /** Whether the tenant's own database is known not to answer, so that only the catalog's part can be served. */
  homeIsDown(route: Route): boolean
  readonly operations: Operations
  readonly probes: Probes
  readonly cursors: CursorCodec
}

export interface HttpSettings {
  /** In lower case. */
  readonly actForHeader: string
  readonly version: string
  /** The whole of a request, its body included, must have arrived after this. */
  readonly requestTimeoutMs?: number
}

export interface Probes {
  /** `ready` once the catalog has been reached and the migrations match. */
  readiness(): 'ready' | 'starting'
  /** Milliseconds of one round trip; rejects when it fails. May hang: the caller sets the deadline. */
  pingCatalog(): Promise<number>
  pingShared(): Promise<number>
  countDatabases(): Promise<Readonly<Record<DatabaseStatus, number>>>
  gauges(): ProbeGauges
}

export interface ProbeGauges {
  readonly activePools: number
  readonly cachedConfigs: number
  readonly connections: { readonly open: number; readonly max: number }
}
