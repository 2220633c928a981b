import { isServed, type Route, type RouteDirectory } from '../../catalog/directory.ts'
import { fail } from '../../errors.ts'
import { isUuid } from '../../lib/ids.ts'
import { PermissionSet } from '../access/permissions.ts'
import type { RoleCache, RolesOfTenant } from '../access/role-cache.ts'
import { composed } from '../people/names.ts'
import { subjectOf } from './caller-kinds.ts'
import type { AccountIdentity, ExternalIdentity, MemberPrincipal, UnresolvedIdentity } from './principal.ts'

/** The tenant and principal of a request. */
export interface ResolvedTenant {
  readonly route: Route
  readonly principal: MemberPrincipal
}

export interface TenantResolverParts {
  readonly directory: Pick<
    RouteDirectory,
    'peekById' | 'byId' | 'peekByCode' | 'byCode' | 'peekByExternalId' | 'byExternalId'
  >
  readonly roleCache: Pick<RoleCache, 'peek' | 'find'>
}

interface CachedTenant extends ResolvedTenant {
  readonly roles: RolesOfTenant
}

const NO_ROLES: RolesOfTenant = new Map()

/**
 * Finds the tenant of a caller whose token does not contain one tenant's permissions. `code` is the header X-Tenant-Code. It
 * chooses among an account's tenants, or among several tenants that a trusted issuer named. If there is only one tenant, `code`
 * must be its code. The tenant defines what the caller's roles permit.
 */
export class TenantResolver {
  readonly #parts: TenantResolverParts
  /** One principal for each token, route and version of the tenant's roles, so that a warm request creates none. */
  readonly #cached = new WeakMap<UnresolvedIdentity, Map<string, CachedTenant>>()

  constructor(parts: TenantResolverParts) {
    this.#parts = parts
  }

  /**
   * Returns the tenant without a promise if the route and the roles are cached.
   *
   * @throws PublicError TENANT_AMBIGUOUS, CROSS_TENANT_ACCESS, TENANT_NOT_FOUND
   */
  resolve(identity: UnresolvedIdentity, code: string | undefined): ResolvedTenant | Promise<ResolvedTenant> {
    const found =
      identity.kind === 'account-token'
        ? this.#routeOfAccount(identity, code)
        : this.#routeOfExternal(identity, code)
    if (found instanceof Promise) return found.then((route) => this.#admit(identity, code, route))
    return this.#admit(identity, code, found)
  }

  #routeOfAccount(
    { authorization }: AccountIdentity,
    code: string | undefined,
  ): Route | Promise<Route | null> {
    const [only] = authorization.keys()
    if (only === undefined) throw fail('CROSS_TENANT_ACCESS')
    const { directory } = this.#parts
    if (code !== undefined) return directory.peekByCode(code) ?? directory.byCode(code)
    if (authorization.size === 1) return directory.peekById(only) ?? directory.byId(only)
    throw fail('TENANT_AMBIGUOUS', { detail: "X-Tenant-Code must pick one of the account's tenants." })
  }

  #routeOfExternal(identity: ExternalIdentity, code: string | undefined): Route | Promise<Route | null> {
    const { tenants, tenantBy, entry } = identity
    const { directory } = this.#parts
    const [name = '', ...others] = tenants
    if (others.length > 0) return this.#routeOfHeader(code)
    if (tenantBy === 'code') return this.#byName(name)
    const externalId = { issuer: entry, id: name }
    return directory.peekByExternalId(externalId) ?? directory.byExternalId(externalId)
  }

  #routeOfHeader(code: string | undefined): Route | Promise<Route | null> {
    const { directory } = this.#parts
    if (code !== undefined) return directory.peekByCode(code) ?? directory.byCode(code)
    throw fail('TENANT_AMBIGUOUS', { detail: 'X-Tenant-Code must pick one of the tenants in the token.' })
  }

  #byName(name: string): Route | Promise<Route | null> {
    const { directory } = this.#parts
    if (!isUuid(name)) return directory.peekByCode(name) ?? directory.byCode(name)
    // A code may look like an id. A tenant with this id takes precedence over a tenant with this code.
    const known = directory.peekById(name.toLowerCase())
    return known ?? directory.byId(name).then((route) => route ?? directory.byCode(name))
  }

  #admit(
    identity: UnresolvedIdentity,
    code: string | undefined,
    route: Route | null,
  ): ResolvedTenant | Promise<ResolvedTenant> {
    const admitted = admit(identity, code, route)
    const { roleCache } = this.#parts
    const roles = hasRoles(identity, admitted.tenantId) ? roleCache.peek(admitted) : NO_ROLES
    if (roles !== undefined) return this.#resolved(identity, admitted, roles)
    return roleCache.find(admitted).then((read) => this.#resolved(identity, admitted, read))
  }

  #resolved(identity: UnresolvedIdentity, route: Route, roles: RolesOfTenant): ResolvedTenant {
    const byTenant = this.#cached.get(identity) ?? new Map<string, CachedTenant>()
    const cached = byTenant.get(route.tenantId)
    if (cached?.route === route && cached.roles === roles) return cached
    const resolved = { route, roles, principal: principalOf(identity, route, roles) }
    this.#cached.set(identity, byTenant.set(route.tenantId, resolved))
    return resolved
  }
}

/** A tenant that the caller may not choose gets the same answer as a tenant that does not exist. */
function admit(identity: UnresolvedIdentity, code: string | undefined, route: Route | null): Route {
  if (route === null || !isMember(identity, route)) {
    const wasChosen = code !== undefined && (identity.kind === 'account-token' || identity.tenants.length > 1)
    throw fail(wasChosen ? 'CROSS_TENANT_ACCESS' : 'TENANT_NOT_FOUND')
  }
  if (!isServed(route)) throw fail('TENANT_NOT_FOUND')
  if (code !== undefined && code !== route.code) throw fail('CROSS_TENANT_ACCESS')
  return route
}

/**
 * An issuer is trusted to name the tenants of its users. If the token names one tenant, the route was found by that name. If it
 * names several, the route must be one of them.
 */
function isMember(identity: UnresolvedIdentity, route: Route): boolean {
  if (identity.kind === 'account-token') return identity.authorization.has(route.tenantId)
  const { tenants, tenantBy, entry } = identity
  if (tenants.length === 1) return true
  if (tenantBy === 'code') return tenants.some((name) => isNameOf(name, route))
  return route.externalIds.some(({ issuer, id }) => issuer === entry && tenants.includes(id))
}

/** A name that looks like an id counts as an id: only a look-up could tell whether another tenant has that id. */
function isNameOf(name: string, { tenantId, code }: Route): boolean {
  return isUuid(name) ? name.toLowerCase() === tenantId : name === code
}

function hasRoles(identity: UnresolvedIdentity, tenantId: string): boolean {
  if (identity.roles.length > 0) return true
  return identity.kind === 'account-token' && identity.authorization.get(tenantId)?.length !== 0
}

/** `identity.roles` are valid in each tenant of the map. They give access to no other tenant. */
function namesIn(identity: UnresolvedIdentity, tenantId: string): readonly string[] {
  if (identity.kind === 'external-token') return identity.roles
  const ofTenant = identity.authorization.get(tenantId) ?? []
  return identity.roles.length === 0 ? ofTenant : [...new Set([...ofTenant, ...identity.roles])]
}

/** A role that the tenant does not define permits nothing. */
function principalOf(identity: UnresolvedIdentity, route: Route, roles: RolesOfTenant): MemberPrincipal {
  const isAccount = identity.kind === 'account-token'
  const storedName = (name: string) => (roles.has(name) ? name : composed(name))
  const names = [...new Set(namesIn(identity, route.tenantId).map(storedName))].filter((name) =>
    roles.has(name),
  )
  const carried = isAccount ? [] : identity.permissions.list
  const granted = names.flatMap((name) => roles.get(name) ?? [])
  return Object.freeze({
    kind: isAccount ? 'account' : 'external',
    subject: subjectOf(identity),
    tenantId: route.tenantId,
    tenantCode: route.code,
    permissions: new PermissionSet([...carried, ...granted]),
    roles: Object.freeze(names),
  })
}
