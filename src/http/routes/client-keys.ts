import type { FastifyInstance } from 'fastify'
import { assertHolds } from '../../identity/access/authority.ts'
import type { NewClientKey, PageRequest } from '../../identity/callers/client-keys.ts'
import { callerOf } from '../caller.ts'
import type { HttpDeps } from '../deps.ts'
import { whenEffective } from '../effective.ts'
import { actorOf, contextOf } from '../pipeline.ts'
import { idOf, NewClientKeyBody, PageQuery } from '../transport/bodies.ts'

const READ = { access: { kind: 'tenant', permission: 'client-keys:read' } } as const
const WRITE = { access: { kind: 'tenant', permission: 'client-keys:write' } } as const

/** Keys of the tenant's programs. A key is shown once, in the answer that makes it. */
export function clientKeyRoutes(api: FastifyInstance, deps: HttpDeps): void {
  const { clientKeys } = deps
  api.get('/client-keys', { config: READ, schema: { querystring: PageQuery } }, async (request) =>
    clientKeys.list(contextOf(request).tenantId, request.query as PageRequest),
  )
  api.post('/client-keys', { config: WRITE, schema: { body: NewClientKeyBody } }, async (request, reply) => {
    const input = request.body as NewClientKey
    assertHolds(callerOf(request), input.permissions)
    const made = await clientKeys.create(contextOf(request).tenantId, input, actorOf(request))
    return reply.code(201).header('location', `${api.prefix}/client-keys/${made.id}`).send(made)
  })
  api.get('/client-keys/:id', { config: READ }, async (request) =>
    clientKeys.find(contextOf(request).tenantId, idOf(request.params)),
  )
  api.delete('/client-keys/:id', { config: WRITE }, async (request, reply) => {
    const { tenantId } = contextOf(request)
    const { id, permissions } = await clientKeys.find(tenantId, idOf(request.params))
    // Who may not make such a key may not end it either.
    assertHolds(callerOf(request), permissions)
    await whenEffective(deps, reply, await clientKeys.revoke(tenantId, id, actorOf(request)))
    return reply.code(204).send()
  })
}
