import type { FastifyInstance } from 'fastify'
import type { Static } from 'typebox'
import { invalidField } from '../../../errors.ts'
import { ConnectionStringError, parseConnectionString } from '../../../lib/postgres/connection-string.ts'
import type { DatabaseRegistration } from '../../../operations/register-database.ts'
import type { Removal } from '../../../operations/remove-database.ts'
import { OPERATOR_READ, OPERATOR_WRITE } from '../../access.ts'
import { TENANT_DATABASE_CODES } from '../../answer-codes.ts'
import type { HttpDeps } from '../../deps.ts'
import { type Endpoint, serve, type Tag } from '../../endpoint.ts'
import { actorOf } from '../../pipeline.ts'
import { Database, DatabaseBody, RemovalQuery, ValidationBody } from '../../schemas/database.ts'
import { TENANT_PARAMS } from '../../schemas/parts.ts'
import { EmptyBody } from '../../schemas/problem.ts'
import { tenantIdOf } from '../path-ids.ts'
import { databaseView } from './views.ts'

const TAG: Tag = {
  name: 'operators: databases',
  description: 'The dedicated database of a tenant: its registration and its validation.',
}
const PATH = '/tenants/:id/database'

const REGISTER: Endpoint = {
  ...{ method: 'PUT', url: PATH, access: OPERATOR_WRITE, tag: TAG },
  ...{ operationId: 'registerDatabase', summary: 'Register a dedicated database of a tenant' },
  description:
    'The connection string is encrypted before it is kept, and no answer shows it. A job validates the database.',
  params: TENANT_PARAMS,
  body: DatabaseBody,
  answers: { 202: Database },
  errors: ['CONFLICT', 'MOVE_IN_PROGRESS', 'DATABASE_IN_USE'],
}

const FIND: Endpoint = {
  ...{ method: 'GET', url: PATH, access: OPERATOR_READ, tag: TAG },
  ...{ operationId: 'findDatabase', summary: 'Find the dedicated database of a tenant' },
  description: 'With its state, its last error, and the candidate that is being validated.',
  params: TENANT_PARAMS,
  answers: { 200: Database },
  errors: ['NOT_FOUND'],
}

const VALIDATE: Endpoint = {
  ...{ method: 'POST', url: `${PATH}/validate`, access: OPERATOR_WRITE, tag: TAG },
  ...{ operationId: 'validateDatabase', summary: 'Validate the database again' },
  description:
    'A job validates the candidate, or the current database if there is no candidate. `adopt` accepts a database that ' +
    'another Freehold has used.',
  params: TENANT_PARAMS,
  body: ValidationBody,
  answers: { 202: Database },
  errors: ['NOT_FOUND'],
}

const REMOVE: Endpoint = {
  ...{ method: 'DELETE', url: PATH, access: OPERATOR_WRITE, tag: TAG },
  ...{ operationId: 'removeDatabase', summary: 'Remove the registration of a database' },
  description:
    'A database that holds rows of the application stays registered. With `force` and `confirm` a database that cannot ' +
    'be reached is given up.',
  params: TENANT_PARAMS,
  query: RemovalQuery,
  answers: { 204: EmptyBody },
  errors: ['NOT_FOUND', 'DATABASE_IN_USE', 'MOVE_IN_PROGRESS', 'CONFLICT', ...TENANT_DATABASE_CODES],
}

export function operatorDatabaseRoutes(api: FastifyInstance, { operations }: HttpDeps): void {
  serve(api, REGISTER, async (request, reply) => {
    const body: DatabaseRegistration = request.body as Static<typeof DatabaseBody>
    assertConnectionString(body.connectionString)
    const state = await operations.registerDatabase(tenantIdOf(request.params), body, actorOf(request))
    return reply.code(202).send(databaseView(state))
  })
  serve(api, FIND, async ({ params }) => databaseView(await operations.describeDatabase(tenantIdOf(params))))
  serve(api, VALIDATE, async (request, reply) => {
    const { adopt = false } = (request.body ?? {}) as { adopt?: boolean }
    const tenantId = tenantIdOf(request.params)
    const state = await operations.requestValidation(tenantId, { adopt }, actorOf(request))
    return reply.code(202).send(databaseView(state))
  })
  serve(api, REMOVE, async (request, reply) => {
    const removal: Removal = request.query as Static<typeof RemovalQuery>
    await operations.removeDatabase(tenantIdOf(request.params), removal, actorOf(request))
    return reply.code(204).send()
  })
}

/** Checks all of the text that can be checked without a DNS look-up or a connection. */
function assertConnectionString(given: string): void {
  try {
    parseConnectionString(given)
  } catch (error) {
    if (!(error instanceof ConnectionStringError)) throw error
    throw invalidField('/connectionString', error.message)
  }
}
