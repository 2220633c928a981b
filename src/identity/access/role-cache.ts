import { and, eq } from 'drizzle-orm'
import { LRUCache } from 'lru-cache'
import type { Route } from '../../catalog/directory.ts'
import { PublicError } from '../../errors.ts'
import { type Clock, systemClock } from '../../lib/clock.ts'
import { SingleFlight } from '../../lib/single-flight.ts'
import { rolePermissions, roles } from '../../residence/tables.ts'
import type { TenantSession } from '../../sql/session.ts'

/** The permissions of each role of one tenant, by the role's name. One object for as long as nothing was read anew. */
export type RolesOfTenant = ReadonlyMap<string, readonly string[]>

export interface RoleCacheOptions {
  readonly open: (route: Route) => Pick<TenantSession, 'tenantId' | 'db'>
  readonly max?: number
  /** After this the roles are read again. */
  readonly ttlMs?: number
  /** How long after their reading they still serve while the tenant's database does not answer. */
  readonly maxStalenessMs?: number
  readonly clock?: Clock
}

interface Entry {
  readonly roles: RolesOfTenant
  readonly loadedAt: number
}

const OUTAGE_PAUSE_MS = 1000

/**
 * What names of roles mean in a tenant: that tenant's own table. Kept for those whose tokens carry names instead of
 * permissions. Changes (`invalidate`, `clear`) keep it right; time keeps it right where those were missed.
 */
export class RoleCache {
  readonly #options: Required<RoleCacheOptions>
  readonly #entries: LRUCache<string, Entry>
  readonly #loads = new SingleFlight<RolesOfTenant>()
  /** Loads under way that began before an invalidation: what they bring may be old, and is not kept. */
  readonly #flights = new Map<string, { overtaken: boolean }>()
  /** When a tenant's database last failed us. */
  readonly #failedAt: LRUCache<string, number>

  constructor(options: RoleCacheOptions) {
    const defaults = { max: 10_000, ttlMs: 60_000, maxStalenessMs: 300_000, clock: systemClock }
    this.#options = { ...defaults, ...options }
    this.#entries = new LRUCache({ max: this.#options.max })
    this.#failedAt = new LRUCache({ max: this.#options.max })
  }

  /** The tenant's roles, if they are at hand and may be used without asking. */
  peek({ tenantId }: Route): RolesOfTenant | undefined {
    const entry = this.#entries.get(tenantId)
    if (entry === undefined) return undefined
    const age = this.#now() - entry.loadedAt
    return age < this.#options.ttlMs || this.#isInOutage(tenantId, age) ? entry.roles : undefined
  }

  /** @throws PublicError what the tenant's session throws, when the roles are not known well enough without it. */
  async find(route: Route): Promise<RolesOfTenant> {
    const { tenantId } = route
    const known = this.peek(route)
    return known ?? this.#loads.run(tenantId, () => this.#load(route))
  }

  /** To be called for each change of kind `role`. */
  invalidate(tenantId: string): void {
    this.#entries.delete(tenantId)
    const flight = this.#flights.get(tenantId)
    if (flight) flight.overtaken = true
    this.#loads.forget(tenantId)
  }

  /** To be called when changes may have been missed. */
  clear(): void {
    this.#entries.clear()
    for (const tenantId of this.#flights.keys()) this.invalidate(tenantId)
  }

  async #load(route: Route): Promise<RolesOfTenant> {
    const { tenantId } = route
    const flight = { overtaken: false }
    this.#flights.set(tenantId, flight)
    const loadedAt = this.#now()
    try {
      const found = await readRoles(this.#options.open(route))
      // Those who waited for a reading that was overtaken wait for the newer one.
      if (flight.overtaken) return await this.find(route)
      this.#entries.set(tenantId, { roles: found, loadedAt })
      return found
    } catch (error) {
      return this.#staleOr(error, tenantId)
    } finally {
      if (this.#flights.get(tenantId) === flight) this.#flights.delete(tenantId)
    }
  }

  #staleOr(error: unknown, tenantId: string): RolesOfTenant {
    if (!(error instanceof PublicError) || error.status !== 503) throw error
    const entry = this.#entries.get(tenantId)
    if (entry === undefined || this.#now() - entry.loadedAt > this.#options.maxStalenessMs) throw error
    this.#failedAt.set(tenantId, this.#now())
    return entry.roles
  }

  /** After a failed reading, known roles serve a while without another try: else each request would wait for one. */
  #isInOutage(tenantId: string, age: number): boolean {
    const failedAt = this.#failedAt.get(tenantId)
    if (failedAt === undefined || age > this.#options.maxStalenessMs) return false
    return this.#now() - failedAt < OUTAGE_PAUSE_MS
  }

  #now(): number {
    return this.#options.clock.monotonic()
  }
}

async function readRoles({ tenantId, db }: Pick<TenantSession, 'tenantId' | 'db'>): Promise<RolesOfTenant> {
  const rows = await db
    .select({ name: roles.name, permission: rolePermissions.permission })
    .from(roles)
    .leftJoin(
      rolePermissions,
      and(eq(rolePermissions.tenantId, roles.tenantId), eq(rolePermissions.roleId, roles.id)),
    )
    .where(eq(roles.tenantId, tenantId))
  const found = new Map<string, string[]>()
  for (const { name, permission } of rows) {
    const granted = found.get(name) ?? []
    if (permission !== null) granted.push(permission)
    found.set(name, granted)
  }
  return found
}
