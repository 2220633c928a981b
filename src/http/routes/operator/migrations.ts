import type { FastifyInstance } from 'fastify'
import { type Static, Type } from 'typebox'
import { SCHEMA_STATES } from '../../../catalog/databases/schema-states.ts'
import { describeRun } from '../../../catalog/jobs/migration-runs.ts'
import { choice, nullable } from '../../../lib/fields.ts'
import type { HttpDeps } from '../../deps.ts'
import { actorOf } from '../../pipeline.ts'
import { CLOSED, idOf, PAGE_FIELDS, PageQuery, pageView } from '../../transport/bodies.ts'

const READ = { access: { kind: 'operator', write: false } } as const
const WRITE = { access: { kind: 'operator', write: true } } as const

const SchemaQuery = Type.Object({ ...PAGE_FIELDS, state: Type.Optional(choice(...SCHEMA_STATES)) }, CLOSED)
const RunBody = nullable(Type.Object({}, { ...CLOSED, title: 'MigrationRunRequest' }))

/** Which databases have which schema, and runs that bring them up to date. */
export function operatorMigrationRoutes(api: FastifyInstance, { schemas, operations }: HttpDeps): void {
  api.get('/migrations', { config: READ }, async () => {
    const { target, databases, run } = await schemas.report()
    return { target, databases, run: run && describeRun(run) }
  })
  api.get(
    '/migrations/databases',
    { config: READ, schema: { querystring: SchemaQuery } },
    async ({ query }) => pageView(await schemas.list(query as Static<typeof SchemaQuery>), (row) => row),
  )
  api.post('/migrations/runs', { config: WRITE, schema: { body: RunBody } }, async (request, reply) =>
    reply.code(202).send(describeRun(await operations.startMigrations(actorOf(request)))),
  )
  api.get('/migrations/runs', { config: READ, schema: { querystring: PageQuery } }, async ({ query }) =>
    pageView(await schemas.listRuns(query as Static<typeof PageQuery>), describeRun),
  )
  api.get('/migrations/runs/:id', { config: READ }, async ({ params }) =>
    describeRun(await schemas.findRun(idOf(params))),
  )
}
