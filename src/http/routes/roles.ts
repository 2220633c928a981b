import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { CORE_PERMISSIONS } from '../../identity/access/permissions.ts'
import { listRoles, type NewRole, type RolePatch } from '../../identity/access/roles.ts'
import type { PageRequest } from '../../identity/callers/client-keys.ts'
import type { TenantWithSession } from '../../identity/people/people.ts'
import type { Access } from '../access.ts'
import { callerOf } from '../caller.ts'
import type { HttpDeps } from '../deps.ts'
import { whenEffective } from '../effective.ts'
import { contextOf } from '../pipeline.ts'
import { CLOSED, idOf, PageQuery, ROLE_FIELDS } from '../transport/bodies.ts'

const READ = { kind: 'tenant', permission: 'roles:read' } as const
const WRITE = { kind: 'tenant', permission: 'roles:write' } as const

const NewRoleBody = Type.Object({ ...ROLE_FIELDS }, { ...CLOSED, title: 'NewRole' })

const RolePatchBody = Type.Object(
  {
    ...ROLE_FIELDS,
    ...{ name: Type.Optional(ROLE_FIELDS.name), permissions: Type.Optional(ROLE_FIELDS.permissions) },
  },
  { ...CLOSED, title: 'RolePatch' },
)

/** The same collection as operators and the tenant itself reach it. */
export interface RoleCollection {
  readonly path: string
  /** The name of the path's part that is the role's id. */
  readonly id: string
  readonly read: Access
  readonly write: Access
  readonly homeOf: (request: FastifyRequest) => TenantWithSession | Promise<TenantWithSession>
}

/** What people of the tenant may do. Permissions `roles:read` and `roles:write`. */
export function roleRoutes(api: FastifyInstance, deps: HttpDeps): void {
  api.get('/permissions', { config: { access: READ } }, async () => ({
    data: [...deps.own.routes.permissions, ...CORE_PERMISSIONS],
  }))
  registerRoles(api, deps, {
    ...{ path: '/roles', id: 'id', read: READ, write: WRITE },
    homeOf: contextOf,
  })
}

/** Registers the five routes of a tenant's roles. */
export function registerRoles(api: FastifyInstance, deps: HttpDeps, collection: RoleCollection): void {
  const { roles } = deps
  const { path, id, homeOf } = collection
  const row = `${path}/:${id}`
  const read = { config: { access: collection.read } }
  const write = { config: { access: collection.write } }
  api.get(path, { ...read, schema: { querystring: PageQuery } }, async (request) => {
    const { session } = await homeOf(request)
    return listRoles(session, request.query as PageRequest)
  })
  api.post(path, { ...write, schema: { body: NewRoleBody } }, async (request, reply) => {
    const role = await roles.create(await homeOf(request), request.body as NewRole, callerOf(request))
    return reply
      .code(201)
      .header('location', `${request.url.split('?')[0]}/${role.id}`)
      .send(role)
  })
  api.get(row, read, async (request) => roles.find(await homeOf(request), idOf(request.params, id)))
  api.patch(row, { ...write, schema: { body: RolePatchBody } }, async (request, reply) => {
    const patch = request.body as RolePatch
    const roleId = idOf(request.params, id)
    const { result, seq } = await roles.change(await homeOf(request), roleId, patch, callerOf(request))
    // Another name takes something away as well: from those whose tokens carry the old one.
    const isTaking = patch.permissions !== undefined || patch.name !== undefined
    if (isTaking) await whenEffective(deps, reply, seq)
    return result
  })
  api.delete(row, write, async (request, reply) => {
    const seq = await roles.remove(await homeOf(request), idOf(request.params, id), callerOf(request))
    await whenEffective(deps, reply, seq)
    return reply.code(204).send()
  })
}
