import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { PageRequest } from '../../identity/callers/client-keys.ts'
import type { TenantWithSession } from '../../identity/people/people.ts'
import type { NewUser, UserPatch } from '../../identity/people/user-form.ts'
import { listUsers, publicUser } from '../../identity/people/users.ts'
import { choice, nullable, text } from '../../lib/fields.ts'
import type { Access } from '../access.ts'
import { callerOf } from '../caller.ts'
import type { HttpDeps } from '../deps.ts'
import { takesAway, whenEffective } from '../effective.ts'
import { contextOf } from '../pipeline.ts'
import { CLOSED, idOf, NewUserBody, PageQuery, Password, pageView, RoleNames } from '../transport/bodies.ts'

const UserPatchBody = Type.Object(
  {
    email: Type.Optional(text(254)),
    username: Type.Optional(nullable(text(100))),
    name: Type.Optional(nullable(text(200))),
    taxNumber: Type.Optional(nullable(text(50))),
    status: Type.Optional(choice('ACTIVE', 'INACTIVE')),
    roles: Type.Optional(RoleNames),
    password: Type.Optional(Password),
  },
  { ...CLOSED, title: 'UserPatch' },
)

/** The same collection as operators and the tenant itself reach it. */
export interface UserCollection {
  readonly path: string
  /** The name of the path's part that is the user's id. */
  readonly id: string
  readonly read: Access
  readonly write: Access
  readonly homeOf: (request: FastifyRequest) => TenantWithSession | Promise<TenantWithSession>
}

/** The tenant's own people. Permissions `users:read` and `users:write`. */
export function userRoutes(api: FastifyInstance, deps: HttpDeps): void {
  registerUsers(api, deps, {
    ...{ path: '/users', id: 'id' },
    read: { kind: 'tenant', permission: 'users:read' },
    write: { kind: 'tenant', permission: 'users:write' },
    homeOf: contextOf,
  })
}

/** Registers the five routes of a tenant's people. */
export function registerUsers(api: FastifyInstance, deps: HttpDeps, users: UserCollection): void {
  const { people } = deps
  const { path, id, homeOf } = users
  const row = `${path}/:${id}`
  const read = { config: { access: users.read } }
  const write = { config: { access: users.write } }
  api.get(path, { ...read, schema: { querystring: PageQuery } }, async (request) => {
    const { session } = await homeOf(request)
    return pageView(await listUsers(session, request.query as PageRequest), publicUser)
  })
  api.post(path, { ...write, schema: { body: NewUserBody } }, async (request, reply) => {
    const user = await people.create(await homeOf(request), request.body as NewUser, callerOf(request))
    return reply
      .code(201)
      .header('location', `${request.url.split('?')[0]}/${user.id}`)
      .send(user)
  })
  api.get(row, read, async (request) => people.find(await homeOf(request), idOf(request.params, id)))
  api.patch(row, { ...write, schema: { body: UserPatchBody } }, async (request, reply) => {
    const patch = request.body as UserPatch
    const home = await homeOf(request)
    const { result, seq } = await people.change(home, idOf(request.params, id), patch, callerOf(request))
    if (takesAway(patch)) await whenEffective(deps, reply, seq)
    return result
  })
  api.delete(row, write, async (request, reply) => {
    const seq = await people.remove(await homeOf(request), idOf(request.params, id), callerOf(request))
    await whenEffective(deps, reply, seq)
    return reply.code(204).send()
  })
}
