import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import { nullable, text } from '../../data/fields.ts'
import type { PageRequest } from '../../identity/client-keys.ts'
import { KNOWN_PERMISSIONS } from '../../identity/permissions.ts'
import { listRoles, type NewRole, type RolePatch } from '../../identity/roles.ts'
import { CLOSED, idOf, PageQuery } from '../bodies.ts'
import { callerOf } from '../caller.ts'
import type { HttpDeps } from '../deps.ts'
import { whenEffective } from '../effective.ts'

const READ = { access: { kind: 'tenant', permission: 'roles:read' } } as const
const WRITE = { access: { kind: 'tenant', permission: 'roles:write' } } as const

const name = text(100)
const description = Type.Optional(nullable(text(200)))
const permissions = Type.Array(text(100), { maxItems: 100, uniqueItems: true })

const NewRoleBody = Type.Object({ name, description, permissions }, { ...CLOSED, title: 'NewRole' })

const RolePatchBody = Type.Object(
  { name: Type.Optional(name), description, permissions: Type.Optional(permissions) },
  { ...CLOSED, title: 'RolePatch' },
)

/** What people of the tenant may do. Permissions `roles:read` and `roles:write`. */
export function roleRoutes(api: FastifyInstance, deps: HttpDeps): void {
  const { roles } = deps
  api.get('/permissions', { config: READ }, async () => ({ data: KNOWN_PERMISSIONS }))
  api.get('/roles', { config: READ, schema: { querystring: PageQuery } }, async ({ tenant, query }) =>
    listRoles(tenant.session, query as PageRequest),
  )
  api.post('/roles', { config: WRITE, schema: { body: NewRoleBody } }, async (request, reply) => {
    const role = await roles.create(request.tenant, request.body as NewRole, callerOf(request))
    return reply.code(201).header('location', `${api.prefix}/roles/${role.id}`).send(role)
  })
  api.get('/roles/:id', { config: READ }, async ({ tenant, params }) => roles.find(tenant, idOf(params)))
  api.patch('/roles/:id', { config: WRITE, schema: { body: RolePatchBody } }, async (request, reply) => {
    const { tenant, params, body } = request
    const patch = body as RolePatch
    const { result, seq } = await roles.change(tenant, idOf(params), patch, callerOf(request))
    // Another name takes something away as well: from those whose tokens carry the old one.
    const isTaking = patch.permissions !== undefined || patch.name !== undefined
    if (isTaking) await whenEffective(deps, reply, seq)
    return result
  })
  api.delete('/roles/:id', { config: WRITE }, async (request, reply) => {
    const seq = await roles.remove(request.tenant, idOf(request.params), callerOf(request))
    await whenEffective(deps, reply, seq)
    return reply.code(204).send()
  })
}
