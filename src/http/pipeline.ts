/**
 * THE corridor: every request passes here, gate by gate, before its body is read. The levels of trust are the
 * lists below; a route that does not say which one it belongs to does not boot.
 */
import type { FastifyInstance, FastifyRequest, RouteOptions } from 'fastify'
import type { Actor } from '../catalog/audit.ts'
import type { Route } from '../catalog/directory.ts'
import { fail } from '../errors.ts'
import type { Principal } from '../identity/principal.ts'
import type { TenantSession } from '../tenant/session.ts'
import type { HttpDeps } from './deps.ts'
import {
  type Access,
  actFor,
  authenticate,
  authorizeOperator,
  authorizeTenant,
  type Gate,
  refuseAmbiguousHeaders,
  refuseOperators,
  refuseUnlessServing,
  resolveTenant,
  type TenantPrincipal,
  unlessOperator,
  type Visit,
} from './gates.ts'
import { STANDING_HEADERS } from './request-headers.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access
  }
  interface FastifyRequest {
    /** On all routes but open ones; throws on those. */
    readonly principal: Principal
    /** Where a tenant's credential was shown; throws elsewhere. */
    readonly tenant: TenantContext
  }
}

/** The tenant a request works for. Frozen; its session is opened by the first who asks. */
export class TenantContext {
  readonly tenantId: string
  readonly route: Route
  readonly principal: TenantPrincipal
  readonly #open: (route: Route) => TenantSession
  #session: TenantSession | undefined

  constructor(route: Route, principal: TenantPrincipal, open: (route: Route) => TenantSession) {
    this.tenantId = route.tenantId
    this.route = route
    this.principal = principal
    this.#open = open
    Object.freeze(this)
  }

  /** The only way to the tenant's rows. */
  get session(): TenantSession {
    this.#session ??= this.#open(this.route)
    return this.#session
  }
}

const PROBE_GATES: readonly Gate[] = []

const OPEN_GATES: readonly Gate[] = [refuseUnlessServing, refuseAmbiguousHeaders]

const OPERATOR_GATES: readonly Gate[] = [
  refuseUnlessServing,
  refuseAmbiguousHeaders,
  authenticate,
  authorizeOperator,
]

const TENANT_GATES: readonly Gate[] = [
  refuseUnlessServing,
  refuseAmbiguousHeaders,
  authenticate,
  refuseOperators,
  resolveTenant,
  actFor,
  authorizeTenant,
]

const EITHER_GATES: readonly Gate[] = [
  refuseUnlessServing,
  refuseAmbiguousHeaders,
  authenticate,
  unlessOperator(resolveTenant),
  unlessOperator(actFor),
  unlessOperator(authorizeTenant),
]

function gatesOf(access: Access): readonly Gate[] {
  if (access.kind === 'operator') return OPERATOR_GATES
  if (access.kind === 'tenant') return TENANT_GATES
  if (access.kind === 'either') return EITHER_GATES
  return access.probe ? PROBE_GATES : OPEN_GATES
}

const kPrincipal = Symbol('principal')
const kTenant = Symbol('tenant')

interface Marked {
  [kPrincipal]: Principal | null
  [kTenant]: TenantContext | null
}

/** Puts the corridor before every route that is registered on `server` from now on. */
export function guardRoutes(server: FastifyInstance, deps: HttpDeps): void {
  server.decorateRequest(kPrincipal, null)
  server.decorateRequest(kTenant, null)
  server.decorateRequest('principal', { getter: readPrincipal })
  server.decorateRequest('tenant', { getter: readTenant })
  server.addHook('onRequest', (request, reply, done) => {
    reply.headers(STANDING_HEADERS).header('x-request-id', request.id)
    done(assertKnownPath(request))
  })
  server.addHook('onRoute', (route) => {
    const access = accessOf(route)
    const open = (home: Route) => deps.sessions.open(home)
    const pass = (request: FastifyRequest) =>
      runGates({ request, deps, access, principal: null, route: null }, open)
    route.onRequest = [hookOf(pass), ...[route.onRequest ?? []].flat()]
    if (access.kind !== 'open') refuseWhatIsNotDeclared(route)
  })
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

/** Unknown paths are answered before anything of their body is read; so is U+0000, which no text can hold. */
function assertKnownPath(request: FastifyRequest): Error | undefined {
  if (request.is404) return fail('NOT_FOUND')
  if (request.url.includes('%00')) return fail('VALIDATION_FAILED', { detail: 'The URL holds U+0000.' })
  return undefined
}

type Done = (error?: Error) => void

/** A hook that goes on in the same turn when `pass` has nothing to wait for. */
function hookOf(pass: (request: FastifyRequest) => Promise<void> | void) {
  return (request: FastifyRequest, _reply: unknown, done: Done): void => {
    let waiting: Promise<void> | void
    try {
      waiting = pass(request)
    } catch (error) {
      done(error as Error)
      return
    }
    if (waiting === undefined) done()
    else waiting.then(() => done(), done)
  }
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

function admit({ request, principal, route }: Visit, open: (route: Route) => TenantSession): void {
  const marked = request as unknown as Marked
  marked[kPrincipal] = principal
  if (route === null || principal === null || principal.kind === 'operator') return
  marked[kTenant] = new TenantContext(route, principal, open)
}

function readPrincipal(this: FastifyRequest): Principal {
  const { [kPrincipal]: principal } = this as unknown as Marked
  if (principal === null) throw new Error('this route knows no principal')
  return principal
}

function readTenant(this: FastifyRequest): TenantContext {
  const { [kTenant]: tenant } = this as unknown as Marked
  if (tenant === null) throw new Error('this route knows no tenant')
  return tenant
}

/** The caller as the audit log names it. */
export function actorOf({ principal, id, ip }: FastifyRequest): Actor {
  const by = { requestId: id, address: ip }
  if (principal.kind === 'operator') return { type: 'operator', id: principal.id, ...by }
  if (principal.kind === 'user') return { type: 'user', id: principal.userId, ...by }
  return { type: 'client-key', id: principal.keyId, ...by }
}

/** Nobody gives away a permission that they do not hold. Operators hold all. */
export function assertMayGrant(principal: Principal, permissions: readonly string[]): void {
  if (principal.kind === 'operator') return
  const missing = permissions.find((permission) => !principal.permissions.has(permission))
  if (missing !== undefined) throw fail('PERMISSION_DENIED', { required: missing })
}
