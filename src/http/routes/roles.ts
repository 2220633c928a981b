import type { FastifyInstance, FastifyRequest } from 'fastify'
import { CORE_PERMISSIONS } from '../../identity/access/permissions.ts'
import { listRoles, type NewRole, type RolePatch } from '../../identity/access/roles.ts'
import type { PageRequest } from '../../identity/callers/client-keys.ts'
import type { TenantWithSession } from '../../identity/people/people.ts'
import { callerOf } from '../caller.ts'
import type { HttpDeps } from '../deps.ts'
import { whenEffective } from '../effective.ts'
import { type Endpoint, serve, type Tag } from '../endpoint.ts'
import { contextOf } from '../pipeline.ts'
import { ID_PARAMS, PageQuery } from '../schemas/parts.ts'
import { EmptyBody } from '../schemas/problem.ts'
import { NewRoleBody, Permissions, Role, RoleList, RolePatchBody } from '../schemas/role.ts'
import { pathOf } from '../transport/request-head.ts'
import { idOf } from './path-ids.ts'

const TAG: Tag = {
  name: 'roles',
  description: "Roles of the caller's tenant, and the permissions they give.",
}
const READ = { kind: 'tenant', permission: 'roles:read' } as const
const WRITE = { kind: 'tenant', permission: 'roles:write' } as const

const LIST_PERMISSIONS: Endpoint = {
  ...{ method: 'GET', url: '/permissions', access: READ, tag: TAG },
  ...{ operationId: 'listPermissions', summary: 'List the permissions that endpoints ask for' },
  description: "The application's permissions come first, then Freehold's own.",
  answers: { 200: Permissions },
}

const LIST: Endpoint = {
  ...{ method: 'GET', url: '/roles', access: READ, tag: TAG },
  ...{ operationId: 'listRoles', summary: "List the roles of the caller's tenant" },
  description: 'Sorted by id, a page at a time.',
  query: PageQuery,
  answers: { 200: RoleList },
}

const CREATE: Endpoint = {
  ...{ method: 'POST', url: '/roles', access: WRITE, tag: TAG },
  ...{ operationId: 'createRole', summary: 'Create a role' },
  description: 'The caller must hold each permission that the role gets.',
  body: NewRoleBody,
  answers: { 201: Role },
  answerHeaders: ['location'],
  errors: ['CONFLICT'],
}

const FIND: Endpoint = {
  ...{ method: 'GET', url: '/roles/:id', access: READ, tag: TAG },
  ...{ operationId: 'findRole', summary: 'Find a role' },
  description: 'By id.',
  params: ID_PARAMS,
  answers: { 200: Role },
}

const UPDATE: Endpoint = {
  ...{ method: 'PATCH', url: '/roles/:id', access: WRITE, tag: TAG },
  ...{ operationId: 'updateRole', summary: 'Update a role' },
  description: 'A change that takes a permission away revokes the access tokens of users with this role.',
  params: ID_PARAMS,
  body: RolePatchBody,
  answers: { 200: Role },
  answerHeaders: ['freehold-effective'],
  errors: ['CONFLICT'],
}

const REMOVE: Endpoint = {
  ...{ method: 'DELETE', url: '/roles/:id', access: WRITE, tag: TAG },
  ...{ operationId: 'removeRole', summary: 'Remove a role' },
  description: 'A role that a user has is not removed.',
  params: ID_PARAMS,
  answers: { 204: EmptyBody },
  answerHeaders: ['freehold-effective'],
  errors: ['CONFLICT'],
}

/** The five endpoints of a tenant's roles. Operators and the tenant itself have different paths to the same rows. */
export interface RoleEndpoints {
  readonly list: Endpoint
  readonly create: Endpoint
  readonly find: Endpoint
  readonly update: Endpoint
  readonly remove: Endpoint
  /** The name of the role's id in the path. */
  readonly id: string
  readonly tenantOf: (request: FastifyRequest) => TenantWithSession | Promise<TenantWithSession>
}

/** The roles of the caller's own tenant. */
export function roleRoutes(api: FastifyInstance, deps: HttpDeps): void {
  serve(api, LIST_PERMISSIONS, async () => ({ data: [...deps.own.routes.permissions, ...CORE_PERMISSIONS] }))
  const endpoints = { list: LIST, create: CREATE, find: FIND, update: UPDATE, remove: REMOVE }
  serveRoles(api, deps, { ...endpoints, id: 'id', tenantOf: contextOf })
}

export function serveRoles(api: FastifyInstance, deps: HttpDeps, endpoints: RoleEndpoints): void {
  const { roles } = deps
  const { id, tenantOf } = endpoints
  serve(api, endpoints.list, async (request) => {
    const { session } = await tenantOf(request)
    return listRoles(session, request.query as PageRequest)
  })
  serve(api, endpoints.create, async (request, reply) => {
    const role = await roles.create(await tenantOf(request), request.body as NewRole, callerOf(request))
    return reply
      .code(201)
      .header('location', `${pathOf(request.url)}/${role.id}`)
      .send(role)
  })
  serve(api, endpoints.find, async (request) => roles.find(await tenantOf(request), idOf(request.params, id)))
  serve(api, endpoints.update, async (request, reply) => {
    const patch = request.body as RolePatch
    const roleId = idOf(request.params, id)
    const { result, seq } = await roles.change(await tenantOf(request), { roleId, patch }, callerOf(request))
    // A new name revokes tokens too, because they hold the old name.
    const isRevoking = patch.permissions !== undefined || patch.name !== undefined
    if (isRevoking) await whenEffective(deps, reply, seq)
    return result
  })
  serve(api, endpoints.remove, async (request, reply) => {
    const seq = await roles.remove(await tenantOf(request), idOf(request.params, id), callerOf(request))
    await whenEffective(deps, reply, seq)
    return reply.code(204).send()
  })
}
