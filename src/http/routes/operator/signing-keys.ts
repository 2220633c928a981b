import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import { choice, nullable } from '../../../data/fields.ts'
import type { NewTenantKey, Rotation } from '../../../identity/tenant-keys.ts'
import { CLOSED, tenantIdOf } from '../../bodies.ts'
import type { HttpDeps } from '../../deps.ts'
import { actorOf } from '../../pipeline.ts'

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
export function operatorSigningKeyRoutes(api: FastifyInstance, { signingKeys }: HttpDeps): void {
  api.get(PATH, { config: READ }, async ({ params }) => signingKeys.tenants.describe(tenantIdOf(params)))
  api.put(PATH, { config: WRITE, schema: { body: SigningKeyBody } }, async (request) =>
    signingKeys.tenants.replace(tenantIdOf(request.params), request.body as NewTenantKey, actorOf(request)),
  )
  api.post(`${PATH}/rotate`, { config: WRITE, schema: { body: RotationBody } }, async (request) =>
    signingKeys.tenants.rotate(
      tenantIdOf(request.params),
      (request.body ?? {}) as Rotation,
      actorOf(request),
    ),
  )
  api.delete(PATH, { config: WRITE }, async (request, reply) => {
    await signingKeys.tenants.remove(tenantIdOf(request.params), actorOf(request))
    return reply.code(204).send()
  })
  api.post('/signing-key/rotate', { config: WRITE }, async (request) =>
    signingKeys.service.rotate(actorOf(request)),
  )
}
