import type { FastifyInstance } from 'fastify'
import { type Static, Type } from 'typebox'
import type { PageRequest } from '../../../identity/callers/client-keys.ts'
import { choice, text } from '../../../lib/fields.ts'
import type { HttpDeps } from '../../deps.ts'
import { whenEffective } from '../../effective.ts'
import { actorOf } from '../../pipeline.ts'
import { CLOSED, idOf, PageQuery } from '../../transport/bodies.ts'

const READ = { access: { kind: 'operator', write: false } } as const
const WRITE = { access: { kind: 'operator', write: true } } as const

const NewOperatorBody = Type.Object(
  { name: text(200), role: choice('admin', 'viewer') },
  { ...CLOSED, title: 'NewOperator' },
)

/** Operators themselves, and the keys under which secrets are sealed. A token is shown once. */
export function operatorRoutes(api: FastifyInstance, deps: HttpDeps): void {
  const { operators, operations } = deps
  api.get('/operators', { config: READ, schema: { querystring: PageQuery } }, async ({ query }) =>
    operators.list(query as PageRequest),
  )
  api.post('/operators', { config: WRITE, schema: { body: NewOperatorBody } }, async (request, reply) => {
    const made = await operators.create(request.body as Static<typeof NewOperatorBody>, actorOf(request))
    return reply.code(201).send(made)
  })
  api.delete('/operators/:id', { config: WRITE }, async (request, reply) => {
    await whenEffective(deps, reply, await operators.revoke(idOf(request.params), actorOf(request)))
    return reply.code(204).send()
  })
  api.get('/encryption', { config: READ }, async () => operations.describeEncryption())
  api.post('/encryption/rotate', { config: WRITE }, async (request, reply) =>
    reply.code(202).send(await operations.rotateEncryption(actorOf(request))),
  )
}
