import { FreshCache } from '../lib/cache/fresh-cache.ts'
import type { Clock } from '../lib/clock.ts'
import { isUuid } from '../lib/ids.ts'
import type { HandshakeOptions } from '../lib/postgres/connection-string.ts'
import type { Secret } from '../lib/secret.ts'
import type { ExternalId } from './external-ids.ts'
import type { AuthConfig, DatabaseStatus, Placement, SchemaVersion, TenantStatus } from './schema.ts'
import { isCatalogOutage } from './store.ts'
import { TENANT_CODE } from './tenant-code.ts'

/** Where one tenant's data is, as the catalog had it at one moment. Deeply frozen. */
export interface Route {
  readonly tenantId: string
  readonly code: string
  readonly name: string
  readonly status: TenantStatus
  readonly parentId: string | null
  readonly externalIds: readonly ExternalId[]
  readonly placement: Placement
  readonly epoch: number
  /** A session must show this seal to the tenant database before it may run a statement. */
  readonly seal: Secret
  readonly authConfig: Readonly<AuthConfig>
  readonly createdAt: Date
  readonly updatedAt: Date
  readonly database: RouteDatabase | null
}

/** True if callers of the tenant are served. For them, an INACTIVE tenant does not exist. */
export function isServed<R extends Pick<Route, 'status'>>(route: R | null | undefined): route is R {
  return route?.status === 'ACTIVE'
}

/** The tenant's current database entry. A pool belongs to one `id` and `version`. */
export interface RouteDatabase {
  readonly id: string
  readonly version: number
  readonly status: DatabaseStatus
  readonly moveRequired: boolean
  readonly host: string
  readonly port: number
  readonly databaseName: string
  readonly userName: string
  readonly applicationName: string | null
  readonly sslMode: string
  readonly caCertificate: string | null
  readonly handshake: HandshakeOptions
  readonly poolSize: number
  readonly idleTimeoutMs: number
  readonly connectTimeoutMs: number
  /** The identity of the validated database; see `PhysicalIdentity`. Null before the first validation. */
  readonly systemIdentifier: string | null
  readonly databaseOid: number | null
  /** The schema that the last check found; null if unknown. */
  readonly schemaVersion: SchemaVersion | null
}

export type RouteKey =
  | { readonly id: string }
  | { readonly code: string }
  | { readonly externalId: ExternalId }
export type RouteLoader = (by: RouteKey) => Promise<Route | null>

export interface DirectoryOptions {
  load: RouteLoader
  /** How many routes are kept. */
  max: number
  /** How long a route is used before it is read again. */
  ttlMs: number
  /** How long the answer "no such tenant" is kept. */
  negativeTtlMs?: number
  /** While the catalog is unavailable, how long a route is used after it was loaded or last confirmed. */
  maxStalenessMs: number
  clock?: Clock
}

/** The routes of recently used tenants. */
export class RouteDirectory extends FreshCache<RouteKey, Route> {
  constructor(options: DirectoryOptions) {
    super({
      ...options,
      keyOf: keyOfTenant,
      isId: isUuid,
      idOf: ({ tenantId }) => tenantId,
      keysOf: ({ code, externalIds }) => [keyOfCode(code), ...externalIds.map(keyOfExternalId)],
      isOutage: isCatalogOutage,
      outageOf: 'all',
      retry: 'wait',
      needsConfirmation: true,
    })
  }

  /**
   * The tenant's route; null if there is no such tenant. An INACTIVE tenant has a route too.
   *
   * @throws PublicError CATALOG_UNAVAILABLE if the catalog must be asked and cannot be reached
   */
  async byId(id: string): Promise<Route | null> {
    const tenantId = id.toLowerCase()
    return isUuid(tenantId) ? this.find({ id: tenantId }) : null
  }

  /** As `byId`, by the tenant's code. */
  async byCode(code: string): Promise<Route | null> {
    return TENANT_CODE.test(code) ? this.find({ code }) : null
  }

  /** As `byId`, by the id that a trusted issuer gives the tenant. */
  async byExternalId(externalId: ExternalId): Promise<Route | null> {
    return this.find({ externalId })
  }

  /** True if the directory still keeps `route`, so no change of it is known. It may be too old for `peekById`. */
  holds(route: Route): boolean {
    return this.keeps(route.tenantId, route)
  }

  /** As `peekById`, by the tenant's code. */
  peekByCode(code: string): Route | undefined {
    return this.peekByKey(keyOfCode(code))
  }

  /** As `peekById`, by the id that a trusted issuer gives the tenant. */
  peekByExternalId(externalId: ExternalId): Route | undefined {
    return this.peekByKey(keyOfExternalId(externalId))
  }
}

function keyOfTenant(by: RouteKey): string {
  if ('id' in by) return by.id
  return 'code' in by ? keyOfCode(by.code) : keyOfExternalId(by.externalId)
}

/** Has a prefix, because a code may look like an id. */
function keyOfCode(code: string): string {
  return `code:${code}`
}

/** No issuer in the settings contains a line end, so the first line end is the separator. */
function keyOfExternalId({ issuer, id }: ExternalId): string {
  return `external:${issuer}\n${id}`
}
