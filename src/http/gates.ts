/** The gates of the corridor, one question each. In which order they are asked stands in `pipeline.ts`. */
import type { FastifyRequest } from 'fastify'
import type { Route } from '../catalog/directory.ts'
import { fail } from '../errors.ts'
import { assertMayWrite } from '../identity/operators.ts'
import type { ClientKeyPrincipal, Principal, UserPrincipal } from '../identity/principal.ts'
import type { HttpDeps } from './deps.ts'
import { assertNotRepeated, readCredential } from './request-headers.ts'

/**
 * Who may call a route. `permission: null` is anybody of the tenant; `probe` answers also while draining; `either` is
 * a path that operators and tenants share, each seeing their part.
 */
export type Access =
  | { readonly kind: 'open'; readonly probe?: boolean }
  | { readonly kind: 'operator'; readonly write: boolean }
  | { readonly kind: 'tenant'; readonly permission: string | null }
  | { readonly kind: 'either'; readonly permission: string }

export type TenantPrincipal = UserPrincipal | ClientKeyPrincipal

/** What the gates find out on the way. */
export interface Visit {
  readonly request: FastifyRequest
  readonly deps: HttpDeps
  readonly access: Access
  principal: Principal | null
  route: Route | null
}

/** Returns at once when it can: a warm request passes all gates without waiting. Throws PublicError to refuse. */
export type Gate = (visit: Visit) => Promise<void> | void

export function refuseUnlessServing({ deps }: Visit): void {
  if (deps.lifecycle.isDraining()) throw fail('SHUTTING_DOWN')
  if (deps.lifecycle.isStarting()) throw fail('CATALOG_UNAVAILABLE')
}

export function refuseAmbiguousHeaders({ request, deps }: Visit): void {
  assertNotRepeated(request.raw.rawHeaders, deps.settings.actForHeader)
}

/** Exactly one credential becomes the principal. */
export function authenticate(visit: Visit): Promise<void> | void {
  const { tokens, operators, clientKeys } = visit.deps
  const { kind, text } = readCredential(visit.request.headers)
  if (kind === 'client-key') return clientKeys.authenticate(text).then((program) => identify(visit, program))
  const known = tokens.peek(text)
  if (known !== undefined) return identify(visit, known)
  const found: Promise<Principal> = operators.recognises(text)
    ? operators.authenticate(text)
    : tokens.verify(text)
  return found.then((principal) => identify(visit, principal))
}

function identify(visit: Visit, principal: Principal): void {
  visit.principal = principal
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

/** The credential decides the tenant; X-Tenant-Code, which a client key must have beside it, only confirms it. */
export function resolveTenant(visit: Visit): Promise<void> | void {
  const { principal, deps, request } = visit
  if (principal === null || principal.kind === 'operator') throw fail('UNAUTHENTICATED')
  const code = principal.kind === 'client-key' ? codeOf(request) : null
  const { directory } = deps
  const known = code === null ? directory.peekById(principal.tenantId) : directory.peekByCode(code)
  if (known !== undefined) return confirmTenant(visit, principal, known)
  const asked = code === null ? directory.byId(principal.tenantId) : directory.byCode(code)
  return asked.then((route) => confirmTenant(visit, principal, route))
}

function codeOf({ headers }: FastifyRequest): string {
  const code = headers['x-tenant-code']
  if (typeof code === 'string' && code !== '') return code
  throw fail('TENANT_AMBIGUOUS', { detail: 'X-Tenant-Code must stand beside X-Client-Key.' })
}

function confirmTenant(visit: Visit, principal: TenantPrincipal, route: Route | null): void {
  if (route === null || route.status !== 'ACTIVE') throw fail('TENANT_NOT_FOUND')
  const named = visit.request.headers['x-tenant-code']
  const contradicted = named !== undefined && named !== route.code
  if (contradicted || route.tenantId !== principal.tenantId) throw fail('CROSS_TENANT_ACCESS')
  visit.route = route
}

/** Until there is a hierarchy to act through, everybody acts for their own tenant; any other name is a stranger's. */
export function actFor({ request, route, deps }: Visit): void {
  const named = request.headers[deps.settings.actForHeader]
  if (named === undefined || named === route?.code) return
  if (String(named).toLowerCase() !== route?.tenantId) throw fail('CROSS_TENANT_ACCESS')
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
