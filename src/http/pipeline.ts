/**
 * THE corridor: every request passes here, gate by gate, before its body is read. The levels of trust are the
 * lists below; a route that does not say which one it belongs to does not boot.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import type { Actor } from '../catalog/audit/entries.ts'
import type { Route } from '../catalog/directory.ts'
import { fail } from '../errors.ts'
import { auditNameOf } from '../identity/callers/caller-kinds.ts'
import type { Principal, TenantPrincipal } from '../identity/callers/principal.ts'
import type { TenantSession } from '../sql/session.ts'
import type { Access } from './access.ts'
import { actFor } from './act-for.ts'
import type { HttpDeps } from './deps.ts'
import {
  authenticate,
  authorizeOperator,
  authorizeTenant,
  catchUp,
  type Gate,
  limitAddress,
  limitRate,
  refuseAmbiguousHeaders,
  refuseOperators,
  refuseUnlessServing,
  resolveTenant,
  unlessOperator,
  type Visit,
} from './gates.ts'
import { STANDING_HEADERS } from './transport/request-headers.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** On all routes but open ones; throws on those. */
    readonly principal: Principal
  }
}

/** The tenant a request works for, and the one it comes from. Frozen. */
export class TenantContext {
  readonly tenantId: string
  readonly route: Route
  /** The principal's own tenant: another than `route` where it acts for one. */
  readonly home: Route
  readonly principal: TenantPrincipal
  /** The only way to the tenant's rows. Opened as the request is let in: what happens between counts. */
  readonly session: TenantSession
  /** Where the principal's own user stands. */
  readonly homeSession: TenantSession

  constructor(
    { route, home, principal }: { route: Route; home: Route | null; principal: TenantPrincipal },
    open: (route: Route) => TenantSession,
  ) {
    this.tenantId = route.tenantId
    this.route = route
    this.home = home ?? route
    this.principal = principal
    this.session = open(route)
    this.homeSession = home === null ? this.session : open(home)
    Object.freeze(this)
  }

  get isActing(): boolean {
    return this.home !== this.route
  }
}

const PROBE_GATES: readonly Gate[] = []

const OPEN_GATES: readonly Gate[] = [refuseUnlessServing, catchUp, refuseAmbiguousHeaders]

/** Where credentials are tried. */
const COUNTED_GATES: readonly Gate[] = [refuseUnlessServing, catchUp, refuseAmbiguousHeaders, limitAddress]

const OPERATOR_GATES: readonly Gate[] = [
  refuseUnlessServing,
  catchUp,
  refuseAmbiguousHeaders,
  authenticate,
  limitRate,
  authorizeOperator,
]

/** The whole way of a tenant’s request to its handler. */
export const TENANT_GATES: readonly Gate[] = [
  refuseUnlessServing,
  catchUp,
  refuseAmbiguousHeaders,
  authenticate,
  limitRate,
  refuseOperators,
  resolveTenant,
  actFor,
  authorizeTenant,
]

const EITHER_GATES: readonly Gate[] = [
  refuseUnlessServing,
  catchUp,
  refuseAmbiguousHeaders,
  authenticate,
  limitRate,
  unlessOperator(resolveTenant),
  unlessOperator(actFor),
  unlessOperator(authorizeTenant),
]

function gatesOf(access: Access): readonly Gate[] {
  if (access.kind === 'operator') return OPERATOR_GATES
  if (access.kind === 'tenant') return TENANT_GATES
  if (access.kind === 'either') return EITHER_GATES
  if (access.counted) return COUNTED_GATES
  return access.probe ? PROBE_GATES : OPEN_GATES
}

const kVisit = Symbol('visit')
const kTenant = Symbol('tenant')

interface Marked {
  [kVisit]: Visit | null
  [kTenant]: TenantContext | null
}

/** What the gates leave on a request. Once a server, also where several gateways stand in it. */
export function decorateRequests(server: FastifyInstance): void {
  if (server.hasRequestDecorator(kVisit)) return
  server.decorateRequest(kVisit, null)
  server.decorateRequest(kTenant, null)
  server.decorateRequest('principal', { getter: readPrincipal })
}

/** Puts the corridor before every route that is registered on `server` from now on. */
export function guardRoutes(server: FastifyInstance, deps: HttpDeps): void {
  server.addHook('onRequest', (request, reply, done) => {
    reply.headers(STANDING_HEADERS).header('x-request-id', request.id)
    done(faultOf(request))
  })
  server.addHook('onRoute', (route) => {
    guard(route, deps)
    if (accessOf(route).kind !== 'open') refuseWhatIsNotDeclared(route)
  })
}

/** Puts the corridor before a route of a host. What the request is made of is checked there, too. */
export function guardHostRoute(route: RouteOptions, deps: HttpDeps): void {
  guard(route, deps, (request) => {
    const fault = faultOf(request)
    if (fault !== undefined) throw fault
  })
}

function guard(route: RouteOptions, deps: HttpDeps, check?: (request: FastifyRequest) => void): void {
  const access = accessOf(route)
  const open = (home: Route) => deps.sessions.open(home)
  const pass = (request: FastifyRequest) => {
    check?.(request)
    const nobody = { principal: null, unresolved: null, route: null, home: null, allowance: null }
    const visit: Visit = { request, deps, access, lapses: 0, ...nobody }
    const marked = request as unknown as Marked
    marked[kVisit] = visit
    return runGates(visit, open)
  }
  route.onRequest = [hookOf(pass), ...[route.onRequest ?? []].flat()]
  if (access.kind === 'open') return
  const passAgain = (request: FastifyRequest) => unlessMissed(request, deps, pass)
  route.preHandler = [hookOf(passAgain), ...[route.preHandler ?? []].flat()]
}

type Pass = (request: FastifyRequest) => Promise<void> | void

/** A body may have been on its way while the process stood still: where that has missed changes, the gates are asked again. */
function unlessMissed(request: FastifyRequest, deps: HttpDeps, pass: Pass): Promise<void> | void {
  const { freshness } = deps
  if (freshness.isOver) return freshness.renew().then(() => unlessMissed(request, deps, pass))
  if ((request as unknown as Marked)[kVisit]?.lapses !== freshness.lapses) return pass(request)
}

function accessOf(route: RouteOptions): Access {
  const access = route.config?.access
  if (access === undefined) throw new Error(`the route ${route.method} ${route.url} declares no access`)
  return access
}

/** What a route does not declare, it does not take: no query or body is passed over in silence. */
function refuseWhatIsNotDeclared(route: RouteOptions): void {
  const nothing = { type: 'object', properties: {}, additionalProperties: false }
  // A body that is not there is validated as null.
  const bodiless = ['GET', 'HEAD'].includes(String(route.method))
  const body = bodiless ? {} : { body: { ...nothing, type: ['object', 'null'] } }
  route.schema = { querystring: nothing, ...body, ...route.schema }
}

/** Unknown paths are answered before anything of their body is read; so is what is wrong with the request as a whole. */
function faultOf(request: FastifyRequest): Error | undefined {
  const detail = faultOfHost(request.raw)
  if (detail !== null) return fail('VALIDATION_FAILED', { detail })
  if (request.is404) return fail('NOT_FOUND')
  const { url } = request
  if (!url.includes('%')) return undefined
  if (url.includes('%00')) return fail('VALIDATION_FAILED', { detail: 'The URL holds U+0000.' })
  // What is no UTF-8 would be taken for another text. Of a path the router has refused it before.
  if (!isReadable(url))
    return fail('VALIDATION_FAILED', { detail: 'The query is not percent-encoded UTF-8.' })
  return undefined
}

/** RFC 9112, section 3.2: one Host, no more and no less. Of several Node keeps the first, and a proxy may have read another. */
function faultOfHost({ rawHeaders, httpVersion }: FastifyRequest['raw']): string | null {
  let hosts = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? ''
    if (name.length === 4 && name.toLowerCase() === 'host') hosts += 1
  }
  if (hosts > 1) return 'The request has several Hosts.'
  return hosts === 0 && httpVersion === '1.1' ? 'The request has no Host.' : null
}

function isReadable(url: string): boolean {
  try {
    decodeURIComponent(url)
    return true
  } catch {
    return false
  }
}

type Done = (error?: Error) => void

/** A hook that goes on in the same turn when `pass` has nothing to wait for. */
function hookOf(pass: Pass) {
  return (request: FastifyRequest, reply: FastifyReply, done: Done): void => {
    const end = (error?: Error) => {
      tellAllowance(request, reply)
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

/** The IETF draft's fields in the form that most clients read (draft-ietf-httpapi-ratelimit-headers-06). */
function tellAllowance(request: FastifyRequest, reply: FastifyReply): void {
  const allowance = (request as unknown as Marked)[kVisit]?.allowance
  if (allowance == null) return
  reply.header('ratelimit-limit', allowance.limit)
  reply.header('ratelimit-remaining', allowance.remaining)
  reply.header('ratelimit-reset', allowance.resetSeconds)
}

function runGates(visit: Visit, open: (route: Route) => TenantSession): Promise<void> | void {
  const waiting = passGates(gatesOf(visit.access), visit, 0)
  return waiting === undefined ? admit(visit, open) : waiting.then(() => admit(visit, open))
}

function passGates(gates: readonly Gate[], visit: Visit, from: number): Promise<void> | void {
  for (let i = from; i < gates.length; i++) {
    const waiting = gates[i]?.(visit)
    if (waiting !== undefined) return waiting.then(() => passGates(gates, visit, i + 1))
  }
}

function admit(visit: Visit, open: (route: Route) => TenantSession): void {
  const { request, principal, route, home } = visit
  if (route === null || principal === null || principal.kind === 'operator') return
  setContext(request, new TenantContext({ route, home, principal }, open))
  if (home !== null) noteActing(visit, home)
}

function readPrincipal(this: FastifyRequest): Principal {
  const principal = (this as unknown as Marked)[kVisit]?.principal
  if (principal == null) throw new Error('this route knows no principal')
  return principal
}

/** Says in which tenant a request works, once it is let in. */
export function setContext(request: FastifyRequest, context: TenantContext): void {
  const marked = request as unknown as Marked
  marked[kTenant] = context
}

/** The tenant and principal of a request. @throws Error on routes that take no tenant's credential */
export function contextOf(request: FastifyRequest): TenantContext {
  const { [kTenant]: tenant } = request as unknown as Marked
  if (tenant == null) throw new Error('this route knows no tenant')
  return tenant
}

/** What the gates have found out of a request; null before they were asked. */
export function visitOf(request: FastifyRequest): Visit | null {
  return (request as unknown as Marked)[kVisit] ?? null
}

/** Who acts for another is recorded with every request, read or write. */
function noteActing({ request, deps, route }: Visit, home: Route): void {
  const { method, routeOptions } = request
  const after = { method, path: routeOptions.url ?? '' }
  const tenantId = route?.tenantId ?? home.tenantId
  deps.auditTrail.note({ actor: actorOf(request), action: 'access.act-for', tenantId, after })
}

/** Records that a known caller was refused; to be called when the answer to `request` is 403. */
export function noteRefusal(request: FastifyRequest, code: string): void {
  const visit = (request as unknown as Marked)[kVisit]
  const caller = visit?.principal ?? visit?.unresolved
  if (visit == null || caller == null) return
  const { deps, route } = visit
  const after = { code, method: request.method, path: request.routeOptions.url ?? '' }
  const own = 'tenantId' in caller ? caller.tenantId : null
  const tenantId = route?.tenantId ?? own
  deps.auditTrail.note({ actor: actorOf(request), action: 'access.refused', tenantId, after })
}

/** The caller as the audit log names it. */
export function actorOf(request: FastifyRequest): Actor {
  const { id, ip } = request
  const { home, principal, unresolved } = (request as unknown as Marked)[kVisit] ?? {}
  const by = { requestId: id, address: ip, ...(home != null && { ownTenantId: home.tenantId }) }
  const caller = principal ?? unresolved ?? request.principal
  return { ...auditNameOf(caller), ...by }
}
