import type { FastifyInstance, FastifyReply } from 'fastify'
import type { Changed } from '../../../identity/people/changed.ts'
import type { KeyRecord } from '../../../identity/tokens/signing-key.ts'
import type { NewTenantKey, Rotation } from '../../../identity/tokens/tenant-keys.ts'
import { OPERATOR_READ, OPERATOR_WRITE } from '../../access.ts'
import type { HttpDeps } from '../../deps.ts'
import { whenEffective } from '../../effective.ts'
import { type Endpoint, serve, type Tag } from '../../endpoint.ts'
import { actorOf } from '../../pipeline.ts'
import { TENANT_PARAMS } from '../../schemas/parts.ts'
import { EmptyBody } from '../../schemas/problem.ts'
import { RotationBody, SigningKey, SigningKeyBody } from '../../schemas/signing-key.ts'
import { tenantIdOf } from '../path-ids.ts'
import { OPERATORS } from './operators.ts'

const TAG: Tag = {
  name: 'operators: signing keys',
  description: "A tenant's own key, which signs the tenant's access tokens in place of the service's key.",
}
const PATH = '/tenants/:id/signing-key'

const FIND: Endpoint = {
  ...{ method: 'GET', url: PATH, access: OPERATOR_READ, tag: TAG },
  ...{ operationId: 'findTenantSigningKey', summary: 'Find the signing key of a tenant' },
  description: 'No answer shows the secret of a key.',
  params: TENANT_PARAMS,
  answers: { 200: SigningKey },
  errors: ['NOT_FOUND'],
}

const REPLACE: Endpoint = {
  ...{ method: 'PUT', url: PATH, access: OPERATOR_WRITE, tag: TAG },
  ...{ operationId: 'replaceTenantSigningKey', summary: 'Give a tenant a signing key of its own' },
  description: 'Ends the keys that the tenant had: access tokens signed with them are not valid any more.',
  params: TENANT_PARAMS,
  body: SigningKeyBody,
  answers: { 200: SigningKey },
  answerHeaders: ['freehold-effective'],
}

const ROTATE: Endpoint = {
  ...{ method: 'POST', url: `${PATH}/rotate`, access: OPERATOR_WRITE, tag: TAG },
  ...{ operationId: 'rotateTenantSigningKey', summary: "Rotate a tenant's signing key" },
  description: 'The key before still verifies for as long as an access token is valid.',
  params: TENANT_PARAMS,
  body: RotationBody,
  answers: { 200: SigningKey },
  answerHeaders: ['freehold-effective'],
  errors: ['NOT_FOUND', 'CONFLICT'],
}

const REMOVE: Endpoint = {
  ...{ method: 'DELETE', url: PATH, access: OPERATOR_WRITE, tag: TAG },
  ...{ operationId: 'removeTenantSigningKey', summary: 'Remove the signing keys of a tenant' },
  description: "The service's key signs the tenant's access tokens again.",
  params: TENANT_PARAMS,
  answers: { 204: EmptyBody },
  answerHeaders: ['freehold-effective'],
  errors: ['NOT_FOUND'],
}

const ROTATE_SERVICE_KEY: Endpoint = {
  ...{ method: 'POST', url: '/signing-key/rotate', access: OPERATOR_WRITE, tag: OPERATORS },
  ...{ operationId: 'rotateSigningKey', summary: "Rotate the service's signing key" },
  description: 'The key before still verifies for as long as an access token is valid.',
  answers: { 200: SigningKey },
  answerHeaders: ['freehold-effective'],
  errors: ['CONFLICT'],
}

/** Keys that sign access tokens: a tenant's own, and the service's. */
export function operatorSigningKeyRoutes(api: FastifyInstance, deps: HttpDeps): void {
  const { signingKeys } = deps
  const answer = async (reply: FastifyReply, { result, seq }: Changed<KeyRecord>) => {
    await whenEffective(deps, reply, seq)
    return result
  }
  serve(api, FIND, async ({ params }) => signingKeys.tenants.describe(tenantIdOf(params)))
  serve(api, REPLACE, async (request, reply) => {
    const { params, body } = request
    const key = body as NewTenantKey
    return answer(reply, await signingKeys.tenants.replace(tenantIdOf(params), key, actorOf(request)))
  })
  serve(api, ROTATE, async (request, reply) => {
    const { params, body } = request
    const rotation = (body ?? {}) as Rotation
    return answer(reply, await signingKeys.tenants.rotate(tenantIdOf(params), rotation, actorOf(request)))
  })
  serve(api, REMOVE, async (request, reply) => {
    const seq = await signingKeys.tenants.remove(tenantIdOf(request.params), actorOf(request))
    await whenEffective(deps, reply, seq)
    return reply.code(204).send()
  })
  serve(api, ROTATE_SERVICE_KEY, async (request, reply) =>
    answer(reply, await signingKeys.service.rotate(actorOf(request))),
  )
}
