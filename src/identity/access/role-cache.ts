import { and, eq } from 'drizzle-orm'
import type { Route } from '../../catalog/directory.ts'
import { PublicError } from '../../errors.ts'
import { FreshCache } from '../../lib/cache/fresh-cache.ts'
import { type Clock, systemClock } from '../../lib/clock.ts'
import { rolePermissions, roles } from '../../residence/tables.ts'
import type { TenantSession } from '../../sql/session.ts'

/** The permissions of each role of one tenant, by the role's name. The object stays the same until the roles are read again. */
export type RolesOfTenant = ReadonlyMap<string, readonly string[]>

export interface RoleCacheOptions {
  readonly open: (route: Route) => Pick<TenantSession, 'tenantId' | 'db'>
  readonly max?: number
  /** How long roles are used before they are read again. */
  readonly ttlMs?: number
  /** How long roles may be used after they were read, while the tenant database does not answer. */
  readonly maxStalenessMs?: number
  readonly clock?: Clock
}

const NO_ROLES: RolesOfTenant = new Map()

/**
 * Caches what each tenant's roles permit, from the tenant's own tables. It is for callers whose tokens contain names of roles
 * instead of permissions. Changes of kind `role` invalidate it. After `ttlMs` they are read again: a change may be missed.
 */
export class RoleCache {
  readonly #roles: FreshCache<Route, RolesOfTenant>

  constructor({ open, max = 10_000, ttlMs = 60_000, ...options }: RoleCacheOptions) {
    const { maxStalenessMs = 300_000, clock = systemClock } = options
    this.#roles = new FreshCache({
      ...{ max, ttlMs, maxStalenessMs, clock },
      load: (route) => readRoles(open(route)),
      keyOf: ({ tenantId }) => tenantId,
      idOf: (_roles, { tenantId }) => tenantId,
      isId: () => true,
      // Each tenant's roles are in its own database.
      outageOf: 'each',
      isOutage: (error) => error instanceof PublicError && error.status === 503,
      retry: 'wait',
    })
  }

  /** The tenant's roles, if they may be used without waiting. */
  peek(route: Route): RolesOfTenant | undefined {
    return this.#roles.peek(route) ?? undefined
  }

  /** @throws PublicError as the tenant's session, if no cached roles may be used. */
  async find(route: Route): Promise<RolesOfTenant> {
    return (await this.#roles.find(route)) ?? NO_ROLES
  }

  /** Call this for each change of kind `role`. */
  invalidate(tenantId: string): void {
    this.#roles.invalidate(tenantId)
  }

  /** Call this when changes may have been missed. */
  clear(): void {
    this.#roles.clear()
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
