import type { FastifyInstance } from 'fastify'
import { type Static, Type } from 'typebox'
import { fail } from '../../../errors.ts'
import { nullable, text } from '../../../lib/fields.ts'
import { ConnectionStringError, parseConnectionString } from '../../../lib/postgres/connection-string.ts'
import type { DatabaseRegistration } from '../../../operations/register-database.ts'
import type { Removal } from '../../../operations/remove-database.ts'
import type { HttpDeps } from '../../deps.ts'
import { databaseView } from '../../operator-views.ts'
import { actorOf } from '../../pipeline.ts'
import { CLOSED, tenantIdOf } from '../../transport/bodies.ts'

const READ = { access: { kind: 'operator', write: false } } as const
const WRITE = { access: { kind: 'operator', write: true } } as const
const PATH = '/tenants/:id/database'
const CONNECTION_TIMEOUT = '5 where neither it nor connect_timeout in the connection string is given'
const MAX_CERTIFICATE_LENGTH = 256 * 1024

const DatabaseBody = Type.Object(
  {
    // Its length is judged by the parser, which says what is wrong without repeating any of it.
    connectionString: Type.String({ minLength: 1 }),
    databaseType: Type.Unsafe<'postgres'>({ type: 'string', enum: ['postgres'], default: 'postgres' }),
    caCertificate: Type.Optional(text(MAX_CERTIFICATE_LENGTH)),
    poolSize: Type.Integer({ minimum: 1, maximum: 1000, default: 10 }),
    idleTimeoutSeconds: Type.Integer({ minimum: 1, maximum: 86_400, default: 30 }),
    connectionTimeoutSeconds: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 60, description: CONNECTION_TIMEOUT }),
    ),
    applyMigrations: Type.Boolean({ default: true }),
  },
  { ...CLOSED, title: 'DatabaseRegistration' },
)

const ValidationBody = nullable(
  Type.Object({ adopt: Type.Boolean({ default: false }) }, { ...CLOSED, title: 'DatabaseValidation' }),
)

const RemovalQuery = Type.Object(
  { force: Type.Boolean({ default: false }), confirm: Type.Optional(Type.String({ maxLength: 63 })) },
  CLOSED,
)

/** A tenant's own database: registered, looked at, validated again, taken away. */
export function operatorDatabaseRoutes(api: FastifyInstance, { operations }: HttpDeps): void {
  api.put(PATH, { config: WRITE, schema: { body: DatabaseBody } }, async (request, reply) => {
    const body: DatabaseRegistration = request.body as Static<typeof DatabaseBody>
    assertConnectionString(body.connectionString)
    const state = await operations.registerDatabase(tenantIdOf(request.params), body, actorOf(request))
    return reply.code(202).send(databaseView(state))
  })
  api.get(PATH, { config: READ }, async ({ params }) =>
    databaseView(await operations.describeDatabase(tenantIdOf(params))),
  )
  api.post(
    `${PATH}/validate`,
    { config: WRITE, schema: { body: ValidationBody } },
    async (request, reply) => {
      const { adopt = false } = (request.body ?? {}) as { adopt?: boolean }
      const state = await operations.requestValidation(
        tenantIdOf(request.params),
        { adopt },
        actorOf(request),
      )
      return reply.code(202).send(databaseView(state))
    },
  )
  api.delete(PATH, { config: WRITE, schema: { querystring: RemovalQuery } }, async (request, reply) => {
    const removal: Removal = request.query as Static<typeof RemovalQuery>
    await operations.removeDatabase(tenantIdOf(request.params), removal, actorOf(request))
    return reply.code(204).send()
  })
}

/** Refuses at once what can be refused without a look-up or a socket. */
function assertConnectionString(given: string): void {
  try {
    parseConnectionString(given)
  } catch (error) {
    if (!(error instanceof ConnectionStringError)) throw error
    throw fail('VALIDATION_FAILED', { errors: [{ pointer: '/connectionString', message: error.message }] })
  }
}
