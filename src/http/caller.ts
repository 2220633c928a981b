import type { FastifyRequest } from 'fastify'
import type { Caller } from '../identity/access/authority.ts'
import { PermissionSet } from '../identity/access/permissions.ts'
import { actorOf } from './pipeline.ts'

const EVERYTHING = new PermissionSet(['*'])

/** Who asks for a change of a tenant's people or roles, and what they hold. */
export function callerOf(request: FastifyRequest): Caller {
  const { principal } = request
  const permissions = principal.kind === 'operator' ? EVERYTHING : principal.permissions
  return { actor: actorOf(request), permissions }
}
