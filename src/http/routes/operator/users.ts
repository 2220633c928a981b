import type { FastifyInstance } from 'fastify'
import type { HttpDeps } from '../../deps.ts'
import { homeOf, tenantIdOf } from '../../transport/bodies.ts'
import { registerUsers } from '../users.ts'

/** Operators look after a tenant's people as its administrators do. */
export function operatorUserRoutes(api: FastifyInstance, deps: HttpDeps): void {
  registerUsers(api, deps, {
    ...{ path: '/tenants/:id/users', id: 'userId' },
    read: { kind: 'operator', write: false },
    write: { kind: 'operator', write: true },
    homeOf: ({ params }) => homeOf(deps, tenantIdOf(params)),
  })
}
