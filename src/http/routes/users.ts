import type { FastifyInstance } from 'fastify'
import type { PageRequest } from '../../identity/client-keys.ts'
import { listUsers, type NewUser, publicUser } from '../../identity/users.ts'
import { NewUserBody, PageQuery, pageView } from '../bodies.ts'
import type { HttpDeps } from '../deps.ts'
import { actorOf, assertMayGrant } from '../pipeline.ts'

/** The tenant's own people. Permissions `users:read` and `users:write`. */
export function userRoutes(api: FastifyInstance, { operations }: HttpDeps): void {
  api.get(
    '/users',
    { config: { access: { kind: 'tenant', permission: 'users:read' } }, schema: { querystring: PageQuery } },
    async ({ tenant, query }) => pageView(await listUsers(tenant.session, query as PageRequest), publicUser),
  )
  api.post(
    '/users',
    { config: { access: { kind: 'tenant', permission: 'users:write' } }, schema: { body: NewUserBody } },
    async (request, reply) => {
      const { route, session } = request.tenant
      const input = request.body as NewUser
      const roles = input.roles ?? []
      if (roles.length > 0) {
        assertMayGrant(request.principal, await operations.permissionsOfRoles(session, roles))
      }
      const user = await operations.createUser({ route, session }, input, actorOf(request))
      return reply.code(201).send(publicUser(user))
    },
  )
}
