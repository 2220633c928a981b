import type { FastifyInstance } from 'fastify'
import type { HttpDeps } from '../../deps.ts'
import { homeOf, tenantIdOf } from '../../transport/bodies.ts'
import { registerRoles } from '../roles.ts'

/** Operators look after a tenant's roles as its administrators do: a tenant with an issuer of its own may have none. */
export function operatorRoleRoutes(api: FastifyInstance, deps: HttpDeps): void {
  registerRoles(api, deps, {
    ...{ path: '/tenants/:id/roles', id: 'roleId' },
    read: { kind: 'operator', write: false },
    write: { kind: 'operator', write: true },
    homeOf: ({ params }) => homeOf(deps, tenantIdOf(params)),
  })
}
