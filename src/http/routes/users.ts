import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { PageRequest } from '../../identity/callers/client-keys.ts'
import type { TenantWithSession } from '../../identity/people/people.ts'
import type { NewUser, UserPatch } from '../../identity/people/user-form.ts'
import { listUsers, publicUser } from '../../identity/people/users.ts'
import { callerOf } from '../caller.ts'
import type { HttpDeps } from '../deps.ts'
import { takesAway, whenEffective } from '../effective.ts'
import { type Endpoint, serve, type Tag } from '../endpoint.ts'
import { pageView } from '../paging.ts'
import { contextOf } from '../pipeline.ts'
import { ID_PARAMS, PageQuery } from '../schemas/parts.ts'
import { EmptyBody } from '../schemas/problem.ts'
import { NewUserBody, User, UserList, UserPatchBody } from '../schemas/user.ts'
import { pathOf } from '../transport/request-head.ts'
import { idOf } from './path-ids.ts'

const TAG: Tag = { name: 'users', description: "The people of the caller's tenant." }
const READ = { kind: 'tenant', permission: 'users:read' } as const
const WRITE = { kind: 'tenant', permission: 'users:write' } as const

const LIST: Endpoint = {
  ...{ method: 'GET', url: '/users', access: READ, tag: TAG },
  ...{ operationId: 'listUsers', summary: "List the users of the caller's tenant" },
  description: 'Sorted by id, a page at a time.',
  query: PageQuery,
  answers: { 200: UserList },
}

const CREATE: Endpoint = {
  ...{ method: 'POST', url: '/users', access: WRITE, tag: TAG },
  ...{ operationId: 'createUser', summary: 'Create a user' },
  description: 'The caller must hold each permission of the roles that the user gets.',
  body: NewUserBody,
  answers: { 201: User },
  answerHeaders: ['location'],
  errors: ['REFERENCE_NOT_FOUND', 'CONFLICT'],
}

const FIND: Endpoint = {
  ...{ method: 'GET', url: '/users/:id', access: READ, tag: TAG },
  ...{ operationId: 'findUser', summary: 'Find a user' },
  description: 'By id.',
  params: ID_PARAMS,
  answers: { 200: User },
}

const UPDATE: Endpoint = {
  ...{ method: 'PATCH', url: '/users/:id', access: WRITE, tag: TAG },
  ...{ operationId: 'updateUser', summary: 'Update a user' },
  description: "A new password, other roles and the status INACTIVE revoke the user's access tokens.",
  params: ID_PARAMS,
  body: UserPatchBody,
  answers: { 200: User },
  answerHeaders: ['freehold-effective'],
  errors: ['REFERENCE_NOT_FOUND', 'CONFLICT'],
}

/** CONFLICT: the user is the tenant's last administrator, or was changed at the same time. */
const REMOVE: Endpoint = {
  ...{ method: 'DELETE', url: '/users/:id', access: WRITE, tag: TAG },
  ...{ operationId: 'removeUser', summary: 'Remove a user' },
  description: "Ends the user's login sessions and revokes the user's access tokens.",
  params: ID_PARAMS,
  answers: { 204: EmptyBody },
  answerHeaders: ['freehold-effective'],
  errors: ['CONFLICT'],
}

/** The five endpoints of a tenant's users. Operators and the tenant itself have different paths to the same rows. */
export interface UserEndpoints {
  readonly list: Endpoint
  readonly create: Endpoint
  readonly find: Endpoint
  readonly update: Endpoint
  readonly remove: Endpoint
  /** The name of the user's id in the path. */
  readonly id: string
  readonly tenantOf: (request: FastifyRequest) => TenantWithSession | Promise<TenantWithSession>
}

/** The users of the caller's own tenant. */
export function userRoutes(api: FastifyInstance, deps: HttpDeps): void {
  const endpoints = { list: LIST, create: CREATE, find: FIND, update: UPDATE, remove: REMOVE }
  serveUsers(api, deps, { ...endpoints, id: 'id', tenantOf: contextOf })
}

export function serveUsers(api: FastifyInstance, deps: HttpDeps, users: UserEndpoints): void {
  const { people } = deps
  const { id, tenantOf } = users
  serve(api, users.list, async (request) => {
    const { session } = await tenantOf(request)
    return pageView(await listUsers(session, request.query as PageRequest), publicUser)
  })
  serve(api, users.create, async (request, reply) => {
    const user = await people.create(await tenantOf(request), request.body as NewUser, callerOf(request))
    return reply
      .code(201)
      .header('location', `${pathOf(request.url)}/${user.id}`)
      .send(user)
  })
  serve(api, users.find, async (request) => people.find(await tenantOf(request), idOf(request.params, id)))
  serve(api, users.update, async (request, reply) => {
    const patch = request.body as UserPatch
    const tenant = await tenantOf(request)
    const { result, seq } = await people.change(
      tenant,
      { userId: idOf(request.params, id), patch },
      callerOf(request),
    )
    if (takesAway(patch)) await whenEffective(deps, reply, seq)
    return result
  })
  serve(api, users.remove, async (request, reply) => {
    const seq = await people.remove(await tenantOf(request), idOf(request.params, id), callerOf(request))
    await whenEffective(deps, reply, seq)
    return reply.code(204).send()
  })
}
