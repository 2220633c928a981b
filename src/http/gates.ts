/** The gates of the request pipeline. Each makes one check. `pipeline.ts` has their order. */
import type { Socket } from 'node:net'
import type { FastifyRequest } from 'fastify'
import ipaddr from 'ipaddr.js'
import { isServed, type Route } from '../catalog/directory.ts'
import { fail } from '../errors.ts'
import { rateKeyOf } from '../identity/callers/caller-kinds.ts'
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
import { actFor } from './act-for.ts'
import type { Gate, RequestState } from './request-state.ts'
import { assertNotRepeated, readCredential } from './transport/request-head.ts'

export function refuseUnlessServing({ deps }: RequestState): void {
  if (deps.lifecycle.phase === 'draining') throw fail('SHUTTING_DOWN')
  if (deps.lifecycle.phase === 'starting') throw fail('CATALOG_UNAVAILABLE')
}

/** True after the gateway was told to stop. */
export function isLeaving({ phase }: { readonly phase: string }): boolean {
  return phase === 'leaving' || phase === 'draining'
}

/** The load of this process. */
export interface ProcessLoad {
  /** The connections beyond the number that the process can serve. */
  readonly surplus: { has(socket: Socket): boolean }
  /** `isLate` is true if the event loop's mean delay is too long. */
  readonly loop: { readonly isLate: boolean }
}

/** Open routes are answered under any load: an orchestrator must not kill a process that is only busy. */
export function refusalUnderLoad(request: FastifyRequest, { surplus, loop }: ProcessLoad): Error | undefined {
  const isSurplus = surplus.has(request.raw.socket)
  if ((!isSurplus && !loop.isLate) || request.routeOptions.config.access?.kind === 'open') return undefined
  const detail = isSurplus ? 'The service has too many connections.' : 'The service is overloaded.'
  return fail('NO_CONNECTION_AVAILABLE', { detail })
}

/** Waits only after a pause of the process. Other gateways may have confirmed changes without this one during the pause. */
export function catchUp(state: RequestState): Promise<void> | void {
  const { freshness } = state.deps
  if (freshness.isOver) return freshness.renew().then(() => catchUp(state))
  state.lapses = freshness.lapses
}

export function refuseAmbiguousHeaders({ request, deps }: RequestState): void {
  assertNotRepeated(request.raw.rawHeaders, deps.settings.actForHeader)
}

/** Checks the request's one credential and sets the principal, or a caller that `resolveTenant` makes the principal. */
export function authenticate(state: RequestState): Promise<void> | void {
  const { tokens, operators, clientKeys } = state.deps
  const { kind, text } = readCredential(state.request.headers)
  if (kind === 'client-key') return clientKeys.authenticate(text).then((program) => identify(state, program))
  const known = tokens.peek(text)
  if (known !== undefined) return identify(state, known)
  const found: Promise<Principal | TokenIdentity> = operators.recognises(text)
    ? operators.authenticate(text)
    : tokens.verify(text)
  return found.then((caller) => identify(state, caller))
}

function identify(state: RequestState, caller: Principal | TokenIdentity): void {
  if (caller.kind === 'account-token' || caller.kind === 'external-token') state.unresolved = caller
  else state.principal = caller
}

/** One principal serves many requests, so its key is made once. */
const rateKeys = new WeakMap<Principal | TokenIdentity, string>()

/** Counts by principal, so that a loop in one program does not slow other programs down. */
export function limitRate(state: RequestState): void {
  const caller = state.principal ?? state.unresolved
  if (caller === null) return
  const known = rateKeys.get(caller)
  const key = known ?? rateKeyOf(caller)
  if (known === undefined) rateKeys.set(caller, key)
  state.allowance = state.deps.rates.principals.take(key)
  assertAllowed(state.allowance)
}

/** Counts by address, because nothing else is known of a caller before its credential is checked. */
export function limitAddress(state: RequestState): void {
  state.allowance = state.deps.rates.addresses.take(networkOf(state.request.ip))
  assertAllowed(state.allowance)
}

/** Some proxies write the caller's port into X-Forwarded-For beside the address. The port changes with each connection. */
const WITH_PORT = /^\[([^\]]+)\](?::\d{1,5})?$|^([\d.]+):\d{1,5}$/

/** A caller with one IPv6 address has the other 2⁶⁴ addresses of its network as well. */
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

export function authorizeOperator({ access, principal }: RequestState): void {
  if (principal?.kind !== 'operator') throw fail('OPERATOR_REQUIRED')
  if (access.kind !== 'operator' || access.write) assertMayWrite(principal)
}

export function refuseOperators({ principal }: RequestState): void {
  if (principal?.kind === 'operator') {
    throw fail('PERMISSION_DENIED', { detail: "This path needs a tenant's credential." })
  }
}

export function unlessOperator(gate: Gate): Gate {
  return (state) => (state.principal?.kind === 'operator' ? undefined : gate(state))
}

/**
 * The credential decides the tenant. X-Tenant-Code only confirms it, and is required with a client key. For an account with
 * several tenants the header picks one.
 */
export function resolveTenant(state: RequestState): Promise<void> | void {
  const { principal, unresolved, deps, request } = state
  if (unresolved !== null) return resolveMember(state, unresolved)
  if (principal === null || principal.kind === 'operator') throw fail('UNAUTHENTICATED')
  const code = principal.kind === 'client-key' ? codeOf(request) : null
  const { directory } = deps
  const known = code === null ? directory.peekById(principal.tenantId) : directory.peekByCode(code)
  if (known !== undefined) return confirmTenant(state, principal, known)
  const asked = code === null ? directory.byId(principal.tenantId) : directory.byCode(code)
  return asked.then((route) => confirmTenant(state, principal, route))
}

function resolveMember(state: RequestState, unresolved: UnresolvedIdentity): Promise<void> | void {
  const { 'x-tenant-code': code } = state.request.headers
  const named = code === undefined ? undefined : typedCode(String(code))
  const found = state.deps.tenantResolver.resolve(unresolved, named)
  return found instanceof Promise ? found.then((it) => setMember(state, it)) : setMember(state, found)
}

function setMember(state: RequestState, { route, principal }: ResolvedTenant): void {
  state.principal = principal
  state.route = route
}

function codeOf({ headers }: FastifyRequest): string {
  const code = headers['x-tenant-code']
  if (typeof code === 'string' && code.trim() !== '') return typedCode(code)
  throw fail('TENANT_AMBIGUOUS', { detail: 'X-Client-Key needs X-Tenant-Code.' })
}

function confirmTenant(state: RequestState, principal: TenantPrincipal, route: Route | null): void {
  if (!isServed(route)) throw fail('TENANT_NOT_FOUND')
  const named = state.request.headers['x-tenant-code']
  const contradicted = named !== undefined && typedCode(String(named)) !== route.code
  if (contradicted || route.tenantId !== principal.tenantId) throw fail('CROSS_TENANT_ACCESS')
  state.route = route
}

/** A request with the act-for header works in the tenant that the header names. */
export function enterNamedTenant(state: RequestState): Promise<void> | void {
  const named = state.request.headers[state.deps.settings.actForHeader]
  if (named !== undefined) return actFor(state, String(named))
}

export function authorizeTenant({ access, principal }: RequestState): void {
  if (!('permission' in access) || principal === null || principal.kind === 'operator') {
    throw fail('PERMISSION_DENIED')
  }
  const { permission } = access
  if (permission !== null && !principal.permissions.has(permission)) {
    throw fail('PERMISSION_DENIED', { required: permission })
  }
}
