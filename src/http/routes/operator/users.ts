import type { FastifyInstance } from 'fastify'
import type { PageRequest } from '../../../identity/client-keys.ts'
import { listUsers, type NewUser, publicUser } from '../../../identity/users.ts'
import { homeOf, NewUserBody, PageQuery, pageView, tenantIdOf } from '../../bodies.ts'
import type { HttpDeps } from '../../deps.ts'
import { actorOf } from '../../pipeline.ts'

/** Operators bootstrap a tenant's people. */
export function operatorUserRoutes(api: FastifyInstance, deps: HttpDeps): void {
  api.get(
    '/tenants/:id/users',
    { config: { access: { kind: 'operator', write: false } }, schema: { querystring: PageQuery } },
    async ({ params, query }) => {
      const { session } = await homeOf(deps, tenantIdOf(params))
      return pageView(await listUsers(session, query as PageRequest), publicUser)
    },
  )
  api.post(
    '/tenants/:id/users',
    { config: { access: { kind: 'operator', write: true } }, schema: { body: NewUserBody } },
    async (request, reply) => {
      const home = await homeOf(deps, tenantIdOf(request.params))
      const user = await deps.operations.createUser(home, request.body as NewUser, actorOf(request))
      return reply.code(201).send(publicUser(user))
    },
  )
}
