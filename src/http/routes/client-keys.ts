import type { FastifyInstance } from 'fastify'
import { assertHolds } from '../../identity/access/authority.ts'
import type { NewClientKey, PageRequest } from '../../identity/callers/client-keys.ts'
import { callerOf } from '../caller.ts'
import type { HttpDeps } from '../deps.ts'
import { whenEffective } from '../effective.ts'
import { type Endpoint, serve, type Tag } from '../endpoint.ts'
import { actorOf, contextOf } from '../pipeline.ts'
import { ClientKey, ClientKeyList, CreatedClientKey, NewClientKeyBody } from '../schemas/client-key.ts'
import { ID_PARAMS, PageQuery } from '../schemas/parts.ts'
import { EmptyBody } from '../schemas/problem.ts'
import { idOf } from './path-ids.ts'

const TAG: Tag = {
  name: 'client-keys',
  description: "Keys with which a tenant's own programs call the API.",
}
const READ = { kind: 'tenant', permission: 'client-keys:read' } as const
const WRITE = { kind: 'tenant', permission: 'client-keys:write' } as const

const LIST: Endpoint = {
  ...{ method: 'GET', url: '/client-keys', access: READ, tag: TAG },
  ...{ operationId: 'listClientKeys', summary: "List the client keys of the caller's tenant" },
  description: 'No answer but the one that creates a key shows the key itself.',
  query: PageQuery,
  answers: { 200: ClientKeyList },
}

const CREATE: Endpoint = {
  ...{ method: 'POST', url: '/client-keys', access: WRITE, tag: TAG },
  ...{ operationId: 'createClientKey', summary: 'Create a client key' },
  description: 'Only this answer shows the key. The caller must hold each permission that the key gets.',
  body: NewClientKeyBody,
  answers: { 201: CreatedClientKey },
  answerHeaders: ['location'],
}

const FIND: Endpoint = {
  ...{ method: 'GET', url: '/client-keys/:id', access: READ, tag: TAG },
  ...{ operationId: 'findClientKey', summary: 'Find a client key' },
  description: 'The answer does not show the key itself.',
  params: ID_PARAMS,
  answers: { 200: ClientKey },
}

const REVOKE: Endpoint = {
  ...{ method: 'DELETE', url: '/client-keys/:id', access: WRITE, tag: TAG },
  ...{ operationId: 'revokeClientKey', summary: 'Revoke a client key' },
  description: 'Takes effect at once. The caller must hold each permission of the key.',
  params: ID_PARAMS,
  answers: { 204: EmptyBody },
  answerHeaders: ['freehold-effective'],
}

/** Keys of the tenant's own programs. */
export function clientKeyRoutes(api: FastifyInstance, deps: HttpDeps): void {
  const { clientKeys } = deps
  serve(api, LIST, async (request) =>
    clientKeys.list(contextOf(request).tenantId, request.query as PageRequest),
  )
  serve(api, CREATE, async (request, reply) => {
    const input = request.body as NewClientKey
    assertHolds(callerOf(request), input.permissions)
    const made = await clientKeys.create(contextOf(request).tenantId, input, actorOf(request))
    return reply.code(201).header('location', `${api.prefix}/client-keys/${made.id}`).send(made)
  })
  serve(api, FIND, async (request) => clientKeys.find(contextOf(request).tenantId, idOf(request.params)))
  serve(api, REVOKE, async (request, reply) => {
    const { tenantId } = contextOf(request)
    const { id, permissions } = await clientKeys.find(tenantId, idOf(request.params))
    // A caller who may not create such a key may not revoke it.
    assertHolds(callerOf(request), permissions)
    await whenEffective(deps, reply, await clientKeys.revoke(tenantId, id, actorOf(request)))
    return reply.code(204).send()
  })
}
