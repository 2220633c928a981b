/** The gates of the corridor, one question each. In which order they are asked stands in `pipeline.ts`. */
import type { FastifyRequest } from 'fastify'
import ipaddr from 'ipaddr.js'
import type { Route } from '../catalog/directory.ts'
import { fail } from '../errors.ts'
import { isUnresolved, rateKeyOf } from '../identity/callers/caller-kinds.ts'
import { assertMayWrite } from '../identity/callers/operators.ts'
import type {
  Principal,
  TenantPrincipal,
  TokenIdentity,
  UnresolvedIdentity,
} from '../identity/callers/principal.ts'
import type { ResolvedTenant } from '../identity/callers/tenant-resolver.ts'
import { typedCode } from '../identity/people/names.ts'
import type { Allowance } from '../lib/rate-limiter.ts'
import type { Access } from './access.ts'
import type { HttpDeps } from './deps.ts'
import { assertNotRepeated, readCredential } from './transport/request-headers.ts'

/** What the gates find out on the way. */
export interface Visit {
  readonly request: FastifyRequest
  readonly deps: HttpDeps
  readonly access: Access
  principal: Principal | null
  /** `freshness.lapses` when the gates were passed: later it says whether what they looked at may be old. */
  lapses: number
  /** Whose token leaves open as what they work, or where: `resolveTenant` makes them the principal. */
  unresolved: UnresolvedIdentity | null
  /** The tenant worked for. */
  route: Route | null
  /** The principal's own tenant, where it acts for another. */
  home: Route | null
  /** Where the principal stands within its rate; null before it is known who calls. */
  allowance: Allowance | null
}

/** Returns at once when it can: a warm request passes all gates without waiting. Throws PublicError to refuse. */
export type Gate = (visit: Visit) => Promise<void> | void

export function refuseUnlessServing({ deps }: Visit): void {
  if (deps.lifecycle.phase === 'draining') throw fail('SHUTTING_DOWN')
  if (deps.lifecycle.phase === 'starting') throw fail('CATALOG_UNAVAILABLE')
}

/** Waits only after a pause of the process, in which changes may have been confirmed without it. */
export function catchUp(visit: Visit): Promise<void> | void {
  const { freshness } = visit.deps
  if (freshness.isOver) return freshness.renew().then(() => catchUp(visit))
  visit.lapses = freshness.lapses
}

export function refuseAmbiguousHeaders({ request, deps }: Visit): void {
  assertNotRepeated(request.raw.rawHeaders, deps.settings.actForHeader)
}

/** Exactly one credential becomes the principal, or somebody whom `resolveTenant` makes one. */
export function authenticate(visit: Visit): Promise<void> | void {
  const { tokens, operators, clientKeys } = visit.deps
  const { kind, text } = readCredential(visit.request.headers)
  if (kind === 'client-key') return clientKeys.authenticate(text).then((program) => identify(visit, program))
  const known = tokens.peek(text)
  if (known !== undefined) return identify(visit, known)
  const found: Promise<Principal | TokenIdentity> = operators.recognises(text)
    ? operators.authenticate(text)
    : tokens.verify(text)
  return found.then((caller) => identify(visit, caller))
}

function identify(visit: Visit, caller: Principal | TokenIdentity): void {
  if (isUnresolved(caller)) visit.unresolved = caller
  else visit.principal = caller
}

/** Counted by principal, so that a loop in one program does not slow its neighbours. */
export function limitRate(visit: Visit): void {
  const caller = visit.principal ?? visit.unresolved
  if (caller === null) return
  visit.allowance = visit.deps.rates.principals.take(rateKeyOf(caller))
  assertAllowed(visit.allowance)
}

/** Counted by address: whoever tries a credential is not known by any other name yet. */
export function limitAddress(visit: Visit): void {
  visit.allowance = visit.deps.rates.addresses.take(networkOf(visit.request.ip))
  assertAllowed(visit.allowance)
}

/** What some proxies write into X-Forwarded-For: the caller's port beside the address, which is another each time. */
const WITH_PORT = /^\[([^\]]+)\](?::\d{1,5})?$|^([\d.]+):\d{1,5}$/

/** Whoever has one IPv6 address has the other 2⁶⁴ of its network as well. */
function networkOf(given: string): string {
  const [, bracketed, plain] = WITH_PORT.exec(given) ?? []
  const address = bracketed ?? plain ?? given
  if (!ipaddr.IPv6.isValid(address)) return address
  const parsed = ipaddr.IPv6.parse(address)
  return parsed.isIPv4MappedAddress() ? parsed.toIPv4Address().toString() : parsed.parts.slice(0, 4).join(':')
}

function assertAllowed({ isAllowed, resetSeconds }: Allowance): void {
  if (!isAllowed) throw fail('RATE_LIMITED', { retryAfterSeconds: resetSeconds })
}

export function authorizeOperator({ access, principal }: Visit): void {
  if (principal?.kind !== 'operator') throw fail('OPERATOR_REQUIRED')
  if (access.kind !== 'operator' || access.write) assertMayWrite(principal)
}

export function refuseOperators({ principal }: Visit): void {
  if (principal?.kind === 'operator') {
    throw fail('PERMISSION_DENIED', { detail: "This path takes a tenant's credentials." })
  }
}

export function unlessOperator(gate: Gate): Gate {
  return (visit) => (visit.principal?.kind === 'operator' ? undefined : gate(visit))
}

/**
 * The credential decides the tenant. X-Tenant-Code, which a client key must have beside it, only confirms it; of an account
 * with several tenants it picks one.
 */
export function resolveTenant(visit: Visit): Promise<void> | void {
  const { principal, unresolved, deps, request } = visit
  if (unresolved !== null) return placeMember(visit, unresolved)
  if (principal === null || principal.kind === 'operator') throw fail('UNAUTHENTICATED')
  const code = principal.kind === 'client-key' ? codeOf(request) : null
  const { directory } = deps
  const known = code === null ? directory.peekById(principal.tenantId) : directory.peekByCode(code)
  if (known !== undefined) return confirmTenant(visit, principal, known)
  const asked = code === null ? directory.byId(principal.tenantId) : directory.byCode(code)
  return asked.then((route) => confirmTenant(visit, principal, route))
}

function placeMember(visit: Visit, unresolved: UnresolvedIdentity): Promise<void> | void {
  const { 'x-tenant-code': code } = visit.request.headers
  const named = code === undefined ? undefined : typedCode(String(code))
  const resolved = visit.deps.tenantResolver.resolve(unresolved, named)
  return resolved instanceof Promise
    ? resolved.then((found) => settle(visit, found))
    : settle(visit, resolved)
}

function settle(visit: Visit, { route, principal }: ResolvedTenant): void {
  visit.principal = principal
  visit.route = route
}

function codeOf({ headers }: FastifyRequest): string {
  const code = headers['x-tenant-code']
  if (typeof code === 'string' && code.trim() !== '') return typedCode(code)
  throw fail('TENANT_AMBIGUOUS', { detail: 'X-Tenant-Code must stand beside X-Client-Key.' })
}

function confirmTenant(visit: Visit, principal: TenantPrincipal, route: Route | null): void {
  if (route === null || route.status !== 'ACTIVE') throw fail('TENANT_NOT_FOUND')
  const named = visit.request.headers['x-tenant-code']
  const contradicted = named !== undefined && typedCode(String(named)) !== route.code
  if (contradicted || route.tenantId !== principal.tenantId) throw fail('CROSS_TENANT_ACCESS')
  visit.route = route
}

export function authorizeTenant({ access, principal }: Visit): void {
  if (!('permission' in access) || principal === null || principal.kind === 'operator') {
    throw fail('PERMISSION_DENIED')
  }
  const { permission } = access
  if (permission !== null && !principal.permissions.has(permission)) {
    throw fail('PERMISSION_DENIED', { required: permission })
  }
}
