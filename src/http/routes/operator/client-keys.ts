import type { FastifyInstance } from 'fastify'
import type { NewClientKey, PageRequest } from '../../../identity/callers/client-keys.ts'
import type { HttpDeps } from '../../deps.ts'
import { whenEffective } from '../../effective.ts'
import { actorOf } from '../../pipeline.ts'
import { homeOf, idOf, NewClientKeyBody, PageQuery, tenantIdOf } from '../../transport/bodies.ts'

const READ = { access: { kind: 'operator', write: false } } as const
const WRITE = { access: { kind: 'operator', write: true } } as const
const COLLECTION = '/tenants/:id/client-keys'
const ROW = `${COLLECTION}/:keyId`

/** Operators bootstrap a tenant's keys. */
export function operatorClientKeyRoutes(api: FastifyInstance, deps: HttpDeps): void {
  const { clientKeys } = deps
  const existing = async (params: unknown) => (await homeOf(deps, tenantIdOf(params))).route.tenantId
  api.get(COLLECTION, { config: READ, schema: { querystring: PageQuery } }, async ({ params, query }) =>
    clientKeys.list(await existing(params), query as PageRequest),
  )
  api.post(COLLECTION, { config: WRITE, schema: { body: NewClientKeyBody } }, async (request, reply) => {
    const tenantId = await existing(request.params)
    const made = await clientKeys.create(tenantId, request.body as NewClientKey, actorOf(request))
    const location = `${api.prefix}/tenants/${tenantId}/client-keys/${made.id}`
    return reply.code(201).header('location', location).send(made)
  })
  api.get(ROW, { config: READ }, async ({ params }) =>
    clientKeys.find(await existing(params), idOf(params, 'keyId')),
  )
  api.delete(ROW, { config: WRITE }, async (request, reply) => {
    const { params } = request
    const seq = await clientKeys.revoke(await existing(params), idOf(params, 'keyId'), actorOf(request))
    await whenEffective(deps, reply, seq)
    return reply.code(204).send()
  })
}
