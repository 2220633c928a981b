/**
 * The request pipeline: every request passes the gates below, one by one, before its body is read. Each level of trust
 * has its list. A route that does not declare its access does not boot.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import type { Actor } from '../catalog/audit/entries.ts'
import type { Route } from '../catalog/directory.ts'
import { fail } from '../errors.ts'
import { auditNameOf } from '../identity/callers/caller-kinds.ts'
import type { Principal, TenantPrincipal } from '../identity/callers/principal.ts'
import type { TenantSession } from '../sql/session.ts'
import type { Access } from './access.ts'
import type { HttpDeps } from './deps.ts'
import {
  authenticate,
  authorizeOperator,
  authorizeTenant,
  catchUp,
  enterNamedTenant,
  isLeaving,
  limitAddress,
  limitRate,
  type ProcessLoad,
  refusalUnderLoad,
  refuseAmbiguousHeaders,
  refuseOperators,
  refuseUnlessServing,
  resolveTenant,
  unlessOperator,
} from './gates.ts'
import type { Gate, RequestState } from './request-state.ts'
import { faultOfHost, faultOfUrl, STANDING_HEADERS } from './transport/request-head.ts'
import { refuseUndeclaredParts } from './transport/validation.ts'

const PROBE_GATES: readonly Gate[] = []

const OPEN_GATES: readonly Gate[] = [refuseUnlessServing, catchUp, refuseAmbiguousHeaders]

/** For endpoints that check a password or a refresh token. */
const COUNTED_GATES: readonly Gate[] = [refuseUnlessServing, catchUp, refuseAmbiguousHeaders, limitAddress]

const OPERATOR_GATES: readonly Gate[] = [
  refuseUnlessServing,
  catchUp,
  refuseAmbiguousHeaders,
  authenticate,
  limitRate,
  authorizeOperator,
]

/** All that a tenant's request passes before its handler. */
export const TENANT_GATES: readonly Gate[] = [
  refuseUnlessServing,
  catchUp,
  refuseAmbiguousHeaders,
  authenticate,
  limitRate,
  refuseOperators,
  resolveTenant,
  enterNamedTenant,
  authorizeTenant,
]

const EITHER_GATES: readonly Gate[] = [
  refuseUnlessServing,
  catchUp,
  refuseAmbiguousHeaders,
  authenticate,
  limitRate,
  unlessOperator(resolveTenant),
  unlessOperator(enterNamedTenant),
  unlessOperator(authorizeTenant),
]

function gatesOf(access: Access): readonly Gate[] {
  if (access.kind === 'operator') return OPERATOR_GATES
  if (access.kind === 'tenant') return TENANT_GATES
  if (access.kind === 'either') return EITHER_GATES
  if (access.counted) return COUNTED_GATES
  return access.probe ? PROBE_GATES : OPEN_GATES
}

declare module 'fastify' {
  interface FastifyRequest {
    /** The caller. Reading it on an open route throws. */
    readonly principal: Principal
  }
}

const kState = Symbol('state')
const kTenant = Symbol('tenant')

interface Marked {
  [kState]: RequestState | null
  [kTenant]: TenantContext | null
}

/** The tenant that a request works in, and the tenant of its principal. Frozen. */
export class TenantContext {
  readonly tenantId: string
  readonly route: Route
  /** The principal's own tenant. It differs from `route` while the principal acts for another tenant. */
  readonly ownRoute: Route
  readonly principal: TenantPrincipal
  /** The only access to the tenant's rows. Opened when the request is admitted, so that its deadline starts then. */
  readonly session: TenantSession
  /** A session in the principal's own tenant. */
  readonly ownSession: TenantSession

  constructor(
    { route, ownRoute, principal }: { route: Route; ownRoute: Route | null; principal: TenantPrincipal },
    open: (route: Route) => TenantSession,
  ) {
    this.tenantId = route.tenantId
    this.route = route
    this.ownRoute = ownRoute ?? route
    this.principal = principal
    this.session = open(route)
    this.ownSession = ownRoute === null ? this.session : open(ownRoute)
    Object.freeze(this)
  }

  get isActing(): boolean {
    return this.ownRoute !== this.route
  }
}

/** Adds the properties to requests that the gates set. Several gateways may share a server, so it is done once. */
export function decorateRequests(server: FastifyInstance): void {
  if (server.hasRequestDecorator(kState)) return
  server.decorateRequest(kState, null)
  server.decorateRequest(kTenant, null)
  server.decorateRequest('principal', { getter: readPrincipal })
}

/** Puts the gates before every route that is registered on `server` after this. */
export function guardRoutes(server: FastifyInstance, deps: HttpDeps, load: ProcessLoad): void {
  server.addHook('onRequest', (request, reply, done) => {
    reply.headers(STANDING_HEADERS).header('x-request-id', request.id)
    done(faultOf(request) ?? refusalUnderLoad(request, load))
  })
  // biome-ignore lint/complexity/useMaxParams: Fastify calls the hook with these four.
  server.addHook('onSend', (request, reply, payload, done) => {
    // If it stayed open, the connection would delay the shutdown or exceed the limit.
    if (isLeaving(deps.lifecycle) || load.surplus.has(request.raw.socket)) reply.header('connection', 'close')
    done(null, payload)
  })
  server.addHook('onRoute', (route) => {
    guard(route, deps)
    if (accessOf(route).kind !== 'open') refuseUndeclaredParts(route)
  })
}

/** Puts the check of the request's head and the gates before a route of a host. */
export function guardHostRoute(route: RouteOptions, deps: HttpDeps): void {
  guard(route, deps, (request) => {
    const fault = faultOf(request)
    if (fault !== undefined) throw fault
  })
}

function guard(route: RouteOptions, deps: HttpDeps, check?: (request: FastifyRequest) => void): void {
  const access = accessOf(route)
  const open = (of: Route) => deps.sessions.open(of)
  const pass = (request: FastifyRequest) => {
    check?.(request)
    const unknown = { principal: null, unresolved: null, route: null, ownRoute: null, allowance: null }
    const state: RequestState = { request, deps, access, lapses: 0, ...unknown }
    const marked = request as unknown as Marked
    marked[kState] = state
    return runGates(state, open)
  }
  route.onRequest = [hookOf(pass), ...[route.onRequest ?? []].flat()]
  if (access.kind === 'open') return
  const passAgain = (request: FastifyRequest) => passAgainIfMissed(request, deps, pass)
  route.preHandler = [hookOf(passAgain), ...[route.preHandler ?? []].flat()]
}

type Pass = (request: FastifyRequest) => Promise<void> | void

/** The process may have paused while the body arrived. If it missed changes, the request passes the gates again. */
function passAgainIfMissed(request: FastifyRequest, deps: HttpDeps, pass: Pass): Promise<void> | void {
  const { freshness } = deps
  if (freshness.isOver) return freshness.renew().then(() => passAgainIfMissed(request, deps, pass))
  if ((request as unknown as Marked)[kState]?.lapses !== freshness.lapses) return pass(request)
}

function accessOf(route: RouteOptions): Access {
  const access = route.config?.access
  if (access === undefined) throw new Error(`the route ${route.method} ${route.url} declares no access`)
  return access
}

/** An unknown path and a malformed request are refused before the body is read. */
function faultOf(request: FastifyRequest): Error | undefined {
  const detail = faultOfHost(request.raw)
  if (detail !== null) return fail('VALIDATION_FAILED', { detail })
  if (request.is404) return fail('NOT_FOUND')
  const fault = faultOfUrl(request.url)
  return fault === null ? undefined : fail('VALIDATION_FAILED', { detail: fault })
}

type Done = (error?: Error) => void

/** A hook that continues in the same turn if `pass` returns at once. */
function hookOf(pass: Pass) {
  return (request: FastifyRequest, reply: FastifyReply, done: Done): void => {
    const end = (error?: Error) => {
      writeAllowance(request, reply)
      done(error)
    }
    let waiting: Promise<void> | void
    try {
      waiting = pass(request)
    } catch (error) {
      end(error as Error)
      return
    }
    if (waiting === undefined) end()
    else waiting.then(() => end(), end)
  }
}

/** Headers of draft-ietf-httpapi-ratelimit-headers-06, the version that most clients read. */
function writeAllowance(request: FastifyRequest, reply: FastifyReply): void {
  const allowance = (request as unknown as Marked)[kState]?.allowance
  if (allowance == null) return
  reply.header('ratelimit-limit', allowance.limit)
  reply.header('ratelimit-remaining', allowance.remaining)
  reply.header('ratelimit-reset', allowance.resetSeconds)
}

function runGates(state: RequestState, open: (route: Route) => TenantSession): Promise<void> | void {
  const waiting = passGates(gatesOf(state.access), state, 0)
  return waiting === undefined ? admit(state, open) : waiting.then(() => admit(state, open))
}

function passGates(gates: readonly Gate[], state: RequestState, from: number): Promise<void> | void {
  for (let i = from; i < gates.length; i++) {
    const waiting = gates[i]?.(state)
    if (waiting !== undefined) return waiting.then(() => passGates(gates, state, i + 1))
  }
}

function admit(state: RequestState, open: (route: Route) => TenantSession): void {
  const { request, principal, route, ownRoute } = state
  if (route === null || principal === null || principal.kind === 'operator') return
  setContext(request, new TenantContext({ route, ownRoute, principal }, open))
  if (ownRoute !== null) noteActing(state, ownRoute)
}

function readPrincipal(this: FastifyRequest): Principal {
  const principal = (this as unknown as Marked)[kState]?.principal
  if (principal == null) throw new Error('this route has no principal')
  return principal
}

/** Sets the tenant that an admitted request works in. */
export function setContext(request: FastifyRequest, context: TenantContext): void {
  const marked = request as unknown as Marked
  marked[kTenant] = context
}

/** The tenant and principal of a request. @throws Error on a route that takes no tenant's credential */
export function contextOf(request: FastifyRequest): TenantContext {
  const { [kTenant]: tenant } = request as unknown as Marked
  if (tenant == null) throw new Error('this route has no tenant')
  return tenant
}

/** The state that the gates have set for a request. Null before the first gate. */
export function stateOf(request: FastifyRequest): RequestState | null {
  return (request as unknown as Marked)[kState] ?? null
}

/** Records each request of a principal that acts for another tenant, also reads. */
function noteActing({ request, deps, route }: RequestState, ownRoute: Route): void {
  const { method, routeOptions } = request
  const after = { method, path: routeOptions.url ?? '' }
  const tenantId = route?.tenantId ?? ownRoute.tenantId
  deps.auditTrail.note({ actor: actorOf(request), action: 'access.act-for', tenantId, after })
}

/** The caller, as the audit log records it. */
export function actorOf(request: FastifyRequest): Actor {
  const { id, ip } = request
  const { ownRoute, principal, unresolved } = stateOf(request) ?? {}
  const by = { requestId: id, address: ip, ...(ownRoute != null && { ownTenantId: ownRoute.tenantId }) }
  const caller = principal ?? unresolved ?? request.principal
  return { ...auditNameOf(caller), ...by }
}
