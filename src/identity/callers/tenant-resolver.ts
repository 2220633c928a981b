import type { Route, RouteDirectory } from '../../catalog/directory.ts'
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

interface Remembered extends ResolvedTenant {
  readonly roles: RolesOfTenant
}

const NO_ROLES: RolesOfTenant = new Map()

/**
 * Places those who are known but not yet in a tenant. `code` is what X-Tenant-Code says: it picks among an account's own
 * tenants and among several that a trusted issuer named, and confirms a single one. What their roles permit is that tenant's
 * definition.
 */
export class TenantResolver {
  readonly #parts: TenantResolverParts
  /** Made once for a token, a route and a reading of the tenant's roles: a warm request makes nothing. */
  readonly #known = new WeakMap<UnresolvedIdentity, Map<string, Remembered>>()

  constructor(parts: TenantResolverParts) {
    this.#parts = parts
  }

  /**
   * Answers at once when route and roles are at hand.
   *
   * @throws PublicError TENANT_AMBIGUOUS, CROSS_TENANT_ACCESS, TENANT_NOT_FOUND
   */
  resolve(identity: UnresolvedIdentity, code: string | undefined): ResolvedTenant | Promise<ResolvedTenant> {
    const found = identity.kind === 'account-token' ? this.#pick(identity, code) : this.#named(identity, code)
    if (found instanceof Promise) return found.then((route) => this.#enter(identity, code, route))
    return this.#enter(identity, code, found)
  }

  #pick({ authorization }: AccountIdentity, code: string | undefined): Route | Promise<Route | null> {
    const [only] = authorization.keys()
    if (only === undefined) throw fail('CROSS_TENANT_ACCESS')
    const { directory } = this.#parts
    if (code !== undefined) return directory.peekByCode(code) ?? directory.byCode(code)
    if (authorization.size === 1) return directory.peekById(only) ?? directory.byId(only)
    throw fail('TENANT_AMBIGUOUS', { detail: "X-Tenant-Code must pick one of the account's tenants." })
  }

  #named(identity: ExternalIdentity, code: string | undefined): Route | Promise<Route | null> {
    const { tenants, tenantBy, entry } = identity
    const { directory } = this.#parts
    const [name = '', ...others] = tenants
    if (others.length > 0) return this.#picked(code)
    if (tenantBy === 'code') return this.#byName(name)
    const externalId = { issuer: entry, id: name }
    return directory.peekByExternalId(externalId) ?? directory.byExternalId(externalId)
  }

  #picked(code: string | undefined): Route | Promise<Route | null> {
    const { directory } = this.#parts
    if (code !== undefined) return directory.peekByCode(code) ?? directory.byCode(code)
    throw fail('TENANT_AMBIGUOUS', { detail: 'X-Tenant-Code must pick one of the tenants in the token.' })
  }

  #byName(name: string): Route | Promise<Route | null> {
    const { directory } = this.#parts
    if (!isUuid(name)) return directory.peekByCode(name) ?? directory.byCode(name)
    // A code may be written like an id. The tenant with the id comes first.
    const known = directory.peekById(name.toLowerCase())
    return known ?? directory.byId(name).then((route) => route ?? directory.byCode(name))
  }

  #enter(
    identity: UnresolvedIdentity,
    code: string | undefined,
    route: Route | null,
  ): ResolvedTenant | Promise<ResolvedTenant> {
    const admitted = admit(identity, code, route)
    const { roleCache } = this.#parts
    const roles = hasRoles(identity, admitted.tenantId) ? roleCache.peek(admitted) : NO_ROLES
    if (roles !== undefined) return this.#remember(identity, admitted, roles)
    return roleCache.find(admitted).then((read) => this.#remember(identity, admitted, read))
  }

  #remember(identity: UnresolvedIdentity, route: Route, roles: RolesOfTenant): ResolvedTenant {
    const remembered = this.#known.get(identity) ?? new Map<string, Remembered>()
    const known = remembered.get(route.tenantId)
    if (known?.route === route && known.roles === roles) return known
    const place = { route, roles, principal: principalOf(identity, route, roles) }
    this.#known.set(identity, remembered.set(route.tenantId, place))
    return place
  }
}

/** A tenant that the caller may not pick and one that does not exist get the same answer. */
function admit(identity: UnresolvedIdentity, code: string | undefined, route: Route | null): Route {
  if (route === null || !isMember(identity, route)) {
    const wasPicked = code !== undefined && (identity.kind === 'account-token' || identity.tenants.length > 1)
    throw fail(wasPicked ? 'CROSS_TENANT_ACCESS' : 'TENANT_NOT_FOUND')
  }
  if (route.status !== 'ACTIVE') throw fail('TENANT_NOT_FOUND')
  if (code !== undefined && code !== route.code) throw fail('CROSS_TENANT_ACCESS')
  return route
}

/** The issuer is trusted to name the tenants of its people. A single tenant led to the route. Of several, this must be one. */
function isMember(identity: UnresolvedIdentity, route: Route): boolean {
  if (identity.kind === 'account-token') return identity.authorization.has(route.tenantId)
  const { tenants, tenantBy, entry } = identity
  if (tenants.length === 1) return true
  if (tenantBy === 'code') return tenants.some((name) => isNameOf(name, route))
  return route.externalIds.some(({ issuer, id }) => issuer === entry && tenants.includes(id))
}

/** A name that is written like an id is taken for an id: only a look-up could tell whether another tenant has that id. */
function isNameOf(name: string, { tenantId, code }: Route): boolean {
  return isUuid(name) ? name.toLowerCase() === tenantId : name === code
}

function hasRoles(identity: UnresolvedIdentity, tenantId: string): boolean {
  if (identity.roles.length > 0) return true
  return identity.kind === 'account-token' && identity.authorization.get(tenantId)?.length !== 0
}

/** Roles for the whole application count in each tenant of the map. They give access to no other tenant. */
function namesIn(identity: UnresolvedIdentity, tenantId: string): readonly string[] {
  if (identity.kind === 'external-token') return identity.roles
  const here = identity.authorization.get(tenantId) ?? []
  return identity.roles.length === 0 ? here : [...new Set([...here, ...identity.roles])]
}

/** A role that the tenant does not define means nothing there. */
function principalOf(identity: UnresolvedIdentity, route: Route, roles: RolesOfTenant): MemberPrincipal {
  const isAccount = identity.kind === 'account-token'
  const spelled = (name: string) => (roles.has(name) ? name : composed(name))
  const names = [...new Set(namesIn(identity, route.tenantId).map(spelled))].filter((name) => roles.has(name))
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
