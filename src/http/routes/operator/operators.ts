import type { FastifyInstance } from 'fastify'
import type { Static } from 'typebox'
import type { PageRequest } from '../../../identity/callers/client-keys.ts'
import { OPERATOR_READ, OPERATOR_WRITE } from '../../access.ts'
import type { HttpDeps } from '../../deps.ts'
import { whenEffective } from '../../effective.ts'
import { type Endpoint, serve, type Tag } from '../../endpoint.ts'
import { actorOf } from '../../pipeline.ts'
import { CreatedOperator, Encryption, NewOperatorBody, OperatorList } from '../../schemas/operator.ts'
import { ID_PARAMS, PageQuery } from '../../schemas/parts.ts'
import { EmptyBody } from '../../schemas/problem.ts'
import { idOf } from '../path-ids.ts'

export const OPERATORS: Tag = {
  name: 'operators',
  description: "Operators, the master keys that encrypt secrets, and the service's own signing key.",
}

const LIST: Endpoint = {
  ...{ method: 'GET', url: '/operators', access: OPERATOR_READ, tag: OPERATORS },
  ...{ operationId: 'listOperators', summary: 'List the operators' },
  description: 'No answer but the one that creates an operator shows a token.',
  query: PageQuery,
  answers: { 200: OperatorList },
}

const CREATE: Endpoint = {
  ...{ method: 'POST', url: '/operators', access: OPERATOR_WRITE, tag: OPERATORS },
  ...{ operationId: 'createOperator', summary: 'Create an operator' },
  description: 'Only this answer shows the token. An operator with the role `viewer` may only read.',
  body: NewOperatorBody,
  answers: { 201: CreatedOperator },
}

const REVOKE: Endpoint = {
  ...{ method: 'DELETE', url: '/operators/:id', access: OPERATOR_WRITE, tag: OPERATORS },
  ...{ operationId: 'revokeOperator', summary: 'Revoke an operator' },
  description: 'Takes effect at once.',
  params: ID_PARAMS,
  answers: { 204: EmptyBody },
  answerHeaders: ['freehold-effective'],
}

const READ_ENCRYPTION: Endpoint = {
  ...{ method: 'GET', url: '/encryption', access: OPERATOR_READ, tag: OPERATORS },
  ...{ operationId: 'readEncryption', summary: 'Count the secrets by the master key that encrypts them' },
  description: 'With the progress of the latest rotation.',
  answers: { 200: Encryption },
}

const ROTATE_ENCRYPTION: Endpoint = {
  ...{ method: 'POST', url: '/encryption/rotate', access: OPERATOR_WRITE, tag: OPERATORS },
  ...{ operationId: 'rotateEncryption', summary: 'Encrypt every secret with the current master key' },
  description: 'The rotation works in the background. Only one rotation is under way at a time.',
  answers: { 202: Encryption },
  errors: ['CONFLICT'],
}

/** Operators, and the master keys that encrypt secrets. */
export function operatorRoutes(api: FastifyInstance, deps: HttpDeps): void {
  const { operators, operations } = deps
  serve(api, LIST, async ({ query }) => operators.list(query as PageRequest))
  serve(api, CREATE, async (request, reply) => {
    const made = await operators.create(request.body as Static<typeof NewOperatorBody>, actorOf(request))
    return reply.code(201).send(made)
  })
  serve(api, REVOKE, async (request, reply) => {
    await whenEffective(deps, reply, await operators.revoke(idOf(request.params), actorOf(request)))
    return reply.code(204).send()
  })
  serve(api, READ_ENCRYPTION, async () => operations.describeEncryption())
  serve(api, ROTATE_ENCRYPTION, async (request, reply) =>
    reply.code(202).send(await operations.rotateEncryption(actorOf(request))),
  )
}
