import { and, eq } from 'drizzle-orm'
import { LRUCache } from 'lru-cache'
import { PublicError } from '../errors.ts'
import { type Clock, systemClock } from '../lib/clock.ts'
import { isUuid } from '../lib/ids.ts'
import type { HandshakeOptions } from '../lib/postgres/connection-string.ts'
import type { Secret } from '../lib/secret.ts'
import { SingleFlight } from '../lib/single-flight.ts'
import { type ExternalId, externalIdsColumn, hasExternalId } from './external-ids.ts'
import {
  type AuthConfig,
  type DatabaseStatus,
  type Placement,
  type SchemaVersion,
  type TenantStatus,
  tenantDatabases,
  tenants,
} from './schema.ts'
import type { SealOf } from './seals.ts'
import { type CatalogStore, catalogErrors } from './store.ts'

/** Where one tenant lives, as the catalog said at one moment. Frozen, and so is everything in it. */
export interface Route {
  readonly tenantId: string
  readonly code: string
  readonly name: string
  readonly status: TenantStatus
  readonly parentId: string | null
  readonly externalIds: readonly ExternalId[]
  readonly placement: Placement
  readonly epoch: number
  /** What its database must be told to let a statement in. */
  readonly seal: Secret
  readonly authConfig: Readonly<AuthConfig>
  readonly createdAt: Date
  readonly updatedAt: Date
  readonly database: RouteDatabase | null
}

/** The tenant's current database entry. `id` and `version` together name what a pool may be kept for. */
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
  /** Which database was found there when it was validated; see `PhysicalIdentity`. Null was never looked at. */
  readonly systemIdentifier: string | null
  readonly databaseOid: number | null
  /** What its schema was when it was last looked at; null when that is not known. */
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
  /** How long it is remembered that there is no such tenant. */
  negativeTtlMs?: number
  /** How long routes serve while the catalog cannot be reached, since they were loaded or last confirmed. */
  maxStalenessMs: number
  clock?: Clock
}

interface Entry {
  readonly route: Route
  readonly loadedAt: number
}

/** A load under way, and the tenants invalidated since it began: what it brings of these may be old and is not kept. */
interface Flight {
  readonly key: string
  readonly invalidated: Set<string>
  cleared: boolean
}

const NEGATIVE_TTL_MS = 5000
// After a failed load, known routes are served without asking again for so long: else each request would wait for the
// connection deadline of a catalog that is down.
const OUTAGE_PAUSE_MS = 1000
const CODE = /^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$/

/** Tenant → route, remembered. Reading it again is shared by all who wait, and cannot bring back what was invalidated. */
export class RouteDirectory {
  readonly #options: Required<DirectoryOptions>
  readonly #entries: LRUCache<string, Entry>
  readonly #idByCode = new Map<string, string>()
  readonly #idByExternalId = new Map<string, string>()
  /** Keys (`id:…`, `code:…`, `external:…`) that name no tenant, and since when. */
  readonly #absent: LRUCache<string, number>
  readonly #flights = new Set<Flight>()
  readonly #loads = new SingleFlight<Route | null>()
  #generation = 0
  #confirmedAt = Number.NEGATIVE_INFINITY
  #failedAt = Number.NEGATIVE_INFINITY

  constructor(options: DirectoryOptions) {
    this.#options = { negativeTtlMs: NEGATIVE_TTL_MS, clock: systemClock, ...options }
    this.#absent = new LRUCache({ max: options.max })
    this.#entries = new LRUCache({ max: options.max, dispose: (entry, id) => this.#unlink(entry, id) })
  }

  /**
   * The tenant's route; null when there is no such tenant. INACTIVE tenants have one.
   *
   * @throws PublicError CATALOG_UNAVAILABLE when it has to be read and cannot be.
   */
  async byId(id: string): Promise<Route | null> {
    const key = id.toLowerCase()
    return isUuid(key) ? this.#find(`id:${key}`, { id: key }) : null
  }

  /** As `byId`, by the tenant's code. */
  async byCode(code: string): Promise<Route | null> {
    return CODE.test(code) ? this.#find(`code:${code}`, { code }) : null
  }

  /** As `byId`, by what a trusted issuer calls the tenant. */
  async byExternalId(externalId: ExternalId): Promise<Route | null> {
    return this.#find(`external:${keyOf(externalId)}`, { externalId })
  }

  /** The route, if it is at hand and may be used without asking: for the warm path. */
  peekById(id: string): Route | undefined {
    const entry = this.#entries.get(id)
    return entry && this.#isFresh(entry) ? entry.route : undefined
  }

  /** As `peekById`, by the tenant's code. */
  peekByCode(code: string): Route | undefined {
    const id = this.#idByCode.get(code)
    return id === undefined ? undefined : this.peekById(id)
  }

  /** As `peekById`, by what a trusted issuer calls the tenant. */
  peekByExternalId(externalId: ExternalId): Route | undefined {
    const id = this.#idByExternalId.get(keyOf(externalId))
    return id === undefined ? undefined : this.peekById(id)
  }

  /** Counts up whenever a route is forgotten, whoever's: while it stands still, every route that was at hand still is. */
  get generation(): number {
    return this.#generation
  }

  /**
   * True while `route` is the one kept of its tenant: nothing has been heard that changes it. It may be too old to be used
   * without asking (`peekById`).
   */
  holds(route: Route): boolean {
    return this.#entries.peek(route.tenantId)?.route === route
  }

  /** Forgets the tenant's route, also where it is being read right now. */
  invalidate(tenantId: string): void {
    this.#entries.delete(tenantId)
    // A tenant just made may have been asked for by another name, which we cannot tell from here.
    this.#absent.clear()
    for (const flight of this.#flights) {
      if (flight.key !== `id:${tenantId}` && flight.key.startsWith('id:')) continue
      flight.invalidated.add(tenantId)
      this.#loads.forget(flight.key)
    }
  }

  /** Forgets everything. */
  clear(): void {
    this.#entries.clear()
    this.#absent.clear()
    for (const flight of this.#flights) {
      flight.cleared = true
      this.#loads.forget(flight.key)
    }
  }

  /** Every change of the catalog up to now has been applied: what is kept here is what the catalog says. */
  confirm(): void {
    this.#confirmedAt = this.#options.clock.monotonic()
  }

  /** The number of routes kept. */
  get size(): number {
    return this.#entries.size
  }

  async #find(key: string, by: RouteKey): Promise<Route | null> {
    const id = this.#knownId(by)
    const fresh = id === undefined ? undefined : this.peekById(id)
    if (fresh) return fresh
    if (this.#isKnownAbsent(key)) return null
    const stale = this.#staleEntry(by)
    if (stale && this.#now() - this.#failedAt < OUTAGE_PAUSE_MS) return stale.route
    try {
      return await this.#loads.run(key, () => this.#load(key, by))
    } catch (error) {
      const usable = isOutage(error) ? this.#staleEntry(by) : undefined
      if (usable) return usable.route
      throw error
    }
  }

  async #load(key: string, by: RouteKey): Promise<Route | null> {
    const flight: Flight = { key, invalidated: new Set(), cleared: false }
    this.#flights.add(flight)
    try {
      const route = await this.#options.load(by)
      // Those who waited for a read that was overtaken wait for the newer one.
      if (route !== null && isOvertaken(flight, route)) return await this.#find(key, by)
      this.#publish(flight, route)
      return route
    } catch (error) {
      if (isOutage(error)) this.#failedAt = this.#now()
      throw error
    } finally {
      this.#flights.delete(flight)
    }
  }

  #publish({ key, invalidated, cleared }: Flight, route: Route | null): void {
    if (route === null) {
      // Whoever was invalidated meanwhile may be just this tenant, made a moment ago.
      if (!cleared && invalidated.size === 0) this.#absent.set(key, this.#now())
      return
    }
    this.#entries.set(route.tenantId, { route, loadedAt: this.#now() })
    this.#idByCode.set(route.code, route.tenantId)
    for (const one of route.externalIds) this.#idByExternalId.set(keyOf(one), route.tenantId)
    this.#absent.delete(key)
  }

  #knownId(by: RouteKey): string | undefined {
    if ('id' in by) return by.id
    return 'code' in by ? this.#idByCode.get(by.code) : this.#idByExternalId.get(keyOf(by.externalId))
  }

  #unlink(entry: Entry, id: string): void {
    this.#generation += 1
    if (this.#idByCode.get(entry.route.code) === id) this.#idByCode.delete(entry.route.code)
    for (const one of entry.route.externalIds) {
      if (this.#idByExternalId.get(keyOf(one)) === id) this.#idByExternalId.delete(keyOf(one))
    }
  }

  #isFresh(entry: Entry): boolean {
    const now = this.#now()
    return now - entry.loadedAt < this.#options.ttlMs && this.#isWithinStaleness(entry, now)
  }

  #isWithinStaleness(entry: Entry, now: number): boolean {
    return now - Math.max(entry.loadedAt, this.#confirmedAt) <= this.#options.maxStalenessMs
  }

  #staleEntry(by: RouteKey): Entry | undefined {
    const id = this.#knownId(by)
    const entry = id === undefined ? undefined : this.#entries.get(id)
    return entry && this.#isWithinStaleness(entry, this.#now()) ? entry : undefined
  }

  #isKnownAbsent(key: string): boolean {
    const since = this.#absent.get(key)
    return since !== undefined && this.#now() - since < this.#options.negativeTtlMs
  }

  #now(): number {
    return this.#options.clock.monotonic()
  }
}

/** The loader for a directory: one query over the tenant and its current database. */
export function loadRoute(store: CatalogStore, sealOf: SealOf): RouteLoader {
  return async (by) => {
    const query = store.db
      .select({ tenant: tenants, database: routeColumns, externalIds: externalIdsColumn })
      .from(tenants)
      .leftJoin(
        tenantDatabases,
        and(eq(tenantDatabases.tenantId, tenants.id), eq(tenantDatabases.slot, 'current')),
      )
      .where(conditionOf(by))
    const [row] = await catalogErrors(query)
    return row === undefined ? null : freezeRoute(row, sealOf)
  }
}

function conditionOf(by: RouteKey) {
  if ('id' in by) return eq(tenants.id, by.id)
  return 'code' in by ? eq(tenants.code, by.code) : hasExternalId(by.externalId)
}

/** A settings' issuer has no line end, so the first one is ours. */
function keyOf({ issuer, id }: ExternalId): string {
  return `${issuer}\n${id}`
}

const routeColumns = {
  id: tenantDatabases.id,
  version: tenantDatabases.rowVersion,
  status: tenantDatabases.status,
  moveRequired: tenantDatabases.moveRequired,
  host: tenantDatabases.host,
  port: tenantDatabases.port,
  databaseName: tenantDatabases.databaseName,
  userName: tenantDatabases.userName,
  applicationName: tenantDatabases.applicationName,
  sslMode: tenantDatabases.sslMode,
  caCertificate: tenantDatabases.caCertificate,
  handshake: tenantDatabases.handshake,
  poolSize: tenantDatabases.poolSize,
  idleTimeoutSeconds: tenantDatabases.idleTimeoutSeconds,
  connectionTimeoutSeconds: tenantDatabases.connectionTimeoutSeconds,
  systemIdentifier: tenantDatabases.systemIdentifier,
  databaseOid: tenantDatabases.databaseOid,
  schemaVersion: tenantDatabases.schemaVersion,
}

type DatabaseColumns = Omit<RouteDatabase, 'idleTimeoutMs' | 'connectTimeoutMs'> & {
  idleTimeoutSeconds: number
  connectionTimeoutSeconds: number
}

interface RouteRow {
  readonly tenant: typeof tenants.$inferSelect
  readonly database: DatabaseColumns | null
  readonly externalIds: readonly ExternalId[]
}

function freezeRoute({ tenant, database, externalIds }: RouteRow, sealOf: SealOf): Route {
  const { id, authConfig, ...rest } = tenant
  Object.freeze(authConfig.passwordPolicy)
  Object.freeze(authConfig.lockout)
  for (const one of externalIds) Object.freeze(one)
  return Object.freeze({
    ...{ tenantId: id, ...rest, authConfig: Object.freeze(authConfig) },
    externalIds: Object.freeze(externalIds),
    seal: sealOf({ ...tenant, tenantId: id }),
    database: database && freezeDatabase(database),
  })
}

function freezeDatabase({
  idleTimeoutSeconds,
  connectionTimeoutSeconds,
  ...rest
}: DatabaseColumns): RouteDatabase {
  const timeouts = {
    idleTimeoutMs: idleTimeoutSeconds * 1000,
    connectTimeoutMs: connectionTimeoutSeconds * 1000,
  }
  return Object.freeze({ ...rest, handshake: Object.freeze(rest.handshake), ...timeouts })
}

function isOvertaken({ cleared, invalidated }: Flight, route: Route): boolean {
  return cleared || invalidated.has(route.tenantId)
}

function isOutage(error: unknown): boolean {
  return error instanceof PublicError && error.code === 'CATALOG_UNAVAILABLE'
}
