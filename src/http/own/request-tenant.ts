import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { ApplicationDb, Principal, Tenant } from '../../application.ts'
import type { AuditRecord } from '../../catalog/audit/entries.ts'
import { fail } from '../../errors.ts'
import { subjectOf } from '../../identity/callers/caller-kinds.ts'
import type { TenantPrincipal } from '../../identity/callers/principal.ts'
import type { TenantSession } from '../../sql/session.ts'
import { type TenantAndPrincipal, viewInTransaction, viewOverSession } from '../../tenancy/tenant-view.ts'
import { actorOf, contextOf, stateOf, type TenantContext } from '../pipeline.ts'

const kView = Symbol('view')

interface Viewed {
  /** The view and its context. A request that passes the gates again gets a new context, and so a new view. */
  [kView]: { readonly context: TenantContext; readonly tenant: Tenant } | null
}

/** Adds `request.tenant` for an application's code. The core's own routes use `contextOf`. */
export function decorateTenant(server: FastifyInstance): void {
  if (server.hasRequestDecorator(kView)) return
  if (server.hasRequestDecorator('tenant'))
    throw new Error(
      'the host decorates requests with "tenant", a name that Freehold needs: give the decorator another name',
    )
  server.decorateRequest(kView, null)
  server.decorateRequest('tenant', { getter: readTenant } as never)
}

function readTenant(this: FastifyRequest): Tenant {
  const viewed = this as unknown as Viewed
  const context = contextOf(this)
  if (viewed[kView]?.context !== context) viewed[kView] = { context, tenant: viewOf(this) }
  return viewed[kView].tenant
}

function viewOf(request: FastifyRequest): Tenant {
  const subject = tenantAndPrincipalOf(request)
  const { own, auditTrail } = depsOf(request)
  return viewOverSession(subject, {
    schema: own.schema,
    open: () => sessionFor(request),
    note: (record) => auditTrail.note(record),
  })
}

/**
 * A session that runs SQL of the application for the request's caller.
 * @throws PublicError CATALOG_UNAVAILABLE if this process has missed changes since the gates, because one of them may have revoked
 *   the caller's access
 */
export function sessionFor(request: FastifyRequest): TenantSession {
  const state = stateOf(request)
  const { freshness, sessions } = depsOf(request)
  if (state?.lapses !== freshness.lapses) throw fail('CATALOG_UNAVAILABLE')
  return sessions.open(contextOf(request).route, { ownSql: true })
}

/** Runs `fn` with `request.tenant` inside a transaction. Returns its result and its entries for the audit log. */
export async function workInside<T>(
  request: FastifyRequest,
  db: ApplicationDb,
  fn: () => Promise<T>,
): Promise<{ result: T; noted: readonly AuditRecord[] }> {
  const viewed = request as unknown as Viewed
  const { tenant, noted, assertWhole } = viewInTransaction(tenantAndPrincipalOf(request), db)
  viewed[kView] = { context: contextOf(request), tenant }
  try {
    const result = await fn()
    assertWhole()
    return { result, noted }
  } finally {
    viewed[kView] = null
  }
}

function depsOf(request: FastifyRequest) {
  const state = stateOf(request)
  if (state === null) throw new Error('this route has no tenant')
  return state.deps
}

function tenantAndPrincipalOf(request: FastifyRequest): TenantAndPrincipal {
  const { route, principal, isActing } = contextOf(request)
  const { tenantId: id, code, name } = route
  return {
    ...{ id, code, name, principal: principalView(principal) },
    actingFor: isActing ? Object.freeze({ id, code, name }) : null,
    actor: actorOf(request),
  }
}

function principalView(principal: TenantPrincipal): Principal {
  const { kind, tenantId, permissions } = principal
  const roles = 'roles' in principal ? principal.roles : []
  return Object.freeze({ kind, id: subjectOf(principal), tenantId, roles, permissions })
}
