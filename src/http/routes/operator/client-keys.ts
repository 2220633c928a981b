import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import type { NewClientKey, PageRequest } from '../../../identity/callers/client-keys.ts'
import { OPERATOR_READ, OPERATOR_WRITE } from '../../access.ts'
import type { HttpDeps } from '../../deps.ts'
import { whenEffective } from '../../effective.ts'
import { type Endpoint, serve } from '../../endpoint.ts'
import { actorOf } from '../../pipeline.ts'
import { ClientKey, ClientKeyList, CreatedClientKey, NewClientKeyBody } from '../../schemas/client-key.ts'
import { PageQuery, pathId, TENANT_PARAMS } from '../../schemas/parts.ts'
import { EmptyBody } from '../../schemas/problem.ts'
import { idOf } from '../path-ids.ts'
import { tenantOfPath } from './tenant-of-path.ts'
import { TENANTS } from './tenants.ts'

const COLLECTION = '/tenants/:id/client-keys'
const ROW = `${COLLECTION}/:keyId`
const PARAMS = Type.Object({ id: pathId("The tenant's id."), keyId: pathId("The client key's id.") })

const LIST: Endpoint = {
  ...{ method: 'GET', url: COLLECTION, access: OPERATOR_READ, tag: TENANTS },
  ...{ operationId: 'listTenantClientKeys', summary: 'List the client keys of a tenant' },
  description: 'No answer but the one that creates a key shows the key itself.',
  params: TENANT_PARAMS,
  query: PageQuery,
  answers: { 200: ClientKeyList },
}

const CREATE: Endpoint = {
  ...{ method: 'POST', url: COLLECTION, access: OPERATOR_WRITE, tag: TENANTS },
  ...{ operationId: 'createTenantClientKey', summary: 'Create a client key of a tenant' },
  description: 'Only this answer shows the key.',
  params: TENANT_PARAMS,
  body: NewClientKeyBody,
  answers: { 201: CreatedClientKey },
  answerHeaders: ['location'],
}

const FIND: Endpoint = {
  ...{ method: 'GET', url: ROW, access: OPERATOR_READ, tag: TENANTS },
  ...{ operationId: 'findTenantClientKey', summary: 'Find a client key of a tenant' },
  description: 'The answer does not show the key itself.',
  params: PARAMS,
  answers: { 200: ClientKey },
}

const REVOKE: Endpoint = {
  ...{ method: 'DELETE', url: ROW, access: OPERATOR_WRITE, tag: TENANTS },
  ...{ operationId: 'revokeTenantClientKey', summary: 'Revoke a client key of a tenant' },
  description: 'Takes effect at once.',
  params: PARAMS,
  answers: { 204: EmptyBody },
  answerHeaders: ['freehold-effective'],
}

/** The client keys of any tenant, for operators. */
export function operatorClientKeyRoutes(api: FastifyInstance, deps: HttpDeps): void {
  const { clientKeys } = deps
  const existing = async (params: unknown) => (await tenantOfPath(deps, params)).route.tenantId
  serve(api, LIST, async ({ params, query }) => clientKeys.list(await existing(params), query as PageRequest))
  serve(api, CREATE, async (request, reply) => {
    const tenantId = await existing(request.params)
    const made = await clientKeys.create(tenantId, request.body as NewClientKey, actorOf(request))
    const location = `${api.prefix}/tenants/${tenantId}/client-keys/${made.id}`
    return reply.code(201).header('location', location).send(made)
  })
  serve(api, FIND, async ({ params }) => clientKeys.find(await existing(params), idOf(params, 'keyId')))
  serve(api, REVOKE, async (request, reply) => {
    const { params } = request
    const seq = await clientKeys.revoke(await existing(params), idOf(params, 'keyId'), actorOf(request))
    await whenEffective(deps, reply, seq)
    return reply.code(204).send()
  })
}
