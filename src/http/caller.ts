import type { FastifyRequest } from 'fastify'
import type { Caller } from '../identity/access/authority.ts'
import { PermissionSet } from '../identity/access/permissions.ts'
import { actorOf, stateOf } from './pipeline.ts'

const EVERYTHING = new PermissionSet(['*'])

/** The caller of a change of a tenant's people or roles, with its permissions. */
export function callerOf(request: FastifyRequest): Caller {
  const { principal } = request
  const permissions = principal.kind === 'operator' ? EVERYTHING : principal.permissions
  return { actor: actorOf(request), permissions }
}

/** Records that a known caller was refused. Call if the answer to `request` is 403. */
export function noteRefusal(request: FastifyRequest, code: string): void {
  const state = stateOf(request)
  const caller = state?.principal ?? state?.unresolved
  if (state == null || caller == null) return
  const { deps, route } = state
  const after = { code, method: request.method, path: request.routeOptions.url ?? '' }
  const own = 'tenantId' in caller ? caller.tenantId : null
  const tenantId = route?.tenantId ?? own
  deps.auditTrail.note({ actor: actorOf(request), action: 'access.refused', tenantId, after })
}
