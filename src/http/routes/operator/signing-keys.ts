import type { FastifyInstance, FastifyReply } from 'fastify'
import { Type } from 'typebox'
import type { Changed } from '../../../identity/people/changed.ts'
import type { KeyRecord } from '../../../identity/tokens/signing-key.ts'
import type { NewTenantKey, Rotation } from '../../../identity/tokens/tenant-keys.ts'
import { choice, nullable } from '../../../lib/fields.ts'
import type { HttpDeps } from '../../deps.ts'
import { whenEffective } from '../../effective.ts'
import { actorOf } from '../../pipeline.ts'
import { CLOSED, tenantIdOf } from '../../transport/bodies.ts'

const READ = { access: { kind: 'operator', write: false } } as const
const WRITE = { access: { kind: 'operator', write: true } } as const
const PATH = '/tenants/:id/signing-key'

/** For HS256 only. Judged by its reader, which says what is wrong without repeating any of it. */
const Secret = Type.Optional(Type.String({ minLength: 1, maxLength: 1024 }))

const SigningKeyBody = Type.Object(
  {
    algorithm: choice('HS256', 'ES256', 'EdDSA'),
    secret: Secret,
  },
  { ...CLOSED, title: 'NewSigningKey' },
)

const RotationBody = nullable(Type.Object({ secret: Secret }, { ...CLOSED, title: 'KeyRotation' }))

/** Keys that sign access tokens: a tenant's own, and the service's. Of a key's secret nothing is ever answered. */
export function operatorSigningKeyRoutes(api: FastifyInstance, deps: HttpDeps): void {
  const { signingKeys } = deps
  const answer = async (reply: FastifyReply, { result, seq }: Changed<KeyRecord>) => {
    await whenEffective(deps, reply, seq)
    return result
  }
  api.get(PATH, { config: READ }, async ({ params }) => signingKeys.tenants.describe(tenantIdOf(params)))
  api.put(PATH, { config: WRITE, schema: { body: SigningKeyBody } }, async (request, reply) => {
    const { params, body } = request
    const key = body as NewTenantKey
    return answer(reply, await signingKeys.tenants.replace(tenantIdOf(params), key, actorOf(request)))
  })
  api.post(`${PATH}/rotate`, { config: WRITE, schema: { body: RotationBody } }, async (request, reply) => {
    const { params, body } = request
    const rotation = (body ?? {}) as Rotation
    return answer(reply, await signingKeys.tenants.rotate(tenantIdOf(params), rotation, actorOf(request)))
  })
  api.delete(PATH, { config: WRITE }, async (request, reply) => {
    const seq = await signingKeys.tenants.remove(tenantIdOf(request.params), actorOf(request))
    await whenEffective(deps, reply, seq)
    return reply.code(204).send()
  })
  api.post('/signing-key/rotate', { config: WRITE }, async (request, reply) =>
    answer(reply, await signingKeys.service.rotate(actorOf(request))),
  )
}
