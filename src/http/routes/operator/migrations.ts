import type { FastifyInstance } from 'fastify'
import type { Static } from 'typebox'
import { describeRun } from '../../../catalog/jobs/migration-runs.ts'
import { OPERATOR_READ, OPERATOR_WRITE } from '../../access.ts'
import type { HttpDeps } from '../../deps.ts'
import { type Endpoint, serve, type Tag } from '../../endpoint.ts'
import { pageView } from '../../paging.ts'
import { actorOf } from '../../pipeline.ts'
import {
  MigrationRun,
  MigrationRunList,
  Migrations,
  RunBody,
  SchemaList,
  SchemaQuery,
} from '../../schemas/migration.ts'
import { ID_PARAMS, PageQuery } from '../../schemas/parts.ts'
import { idOf } from '../path-ids.ts'

const TAG: Tag = {
  name: 'operators: migrations',
  description:
    'The schema of each database, and the runs that migrate databases to the schema of this release.',
}

const REPORT: Endpoint = {
  ...{ method: 'GET', url: '/migrations', access: OPERATOR_READ, tag: TAG },
  ...{ operationId: 'readMigrations', summary: 'Count the databases by the state of their schema' },
  description: 'With the schema that this release needs, and the latest run.',
  answers: { 200: Migrations },
}

const LIST_SCHEMAS: Endpoint = {
  ...{ method: 'GET', url: '/migrations/databases', access: OPERATOR_READ, tag: TAG },
  ...{ operationId: 'listSchemas', summary: 'List the schema of each database' },
  description: 'The shared database comes first. Its `tenantId` is null.',
  query: SchemaQuery,
  answers: { 200: SchemaList },
}

const START_RUN: Endpoint = {
  ...{ method: 'POST', url: '/migrations/runs', access: OPERATOR_WRITE, tag: TAG },
  ...{ operationId: 'startMigrationRun', summary: 'Start a run that migrates every database' },
  description: 'The run works in the background, in waves. Only one run is under way at a time.',
  body: RunBody,
  answers: { 202: MigrationRun },
  errors: ['RUN_IN_PROGRESS'],
}

const LIST_RUNS: Endpoint = {
  ...{ method: 'GET', url: '/migrations/runs', access: OPERATOR_READ, tag: TAG },
  ...{ operationId: 'listMigrationRuns', summary: 'List the runs of migrations' },
  description: 'Newest first, a page at a time.',
  query: PageQuery,
  answers: { 200: MigrationRunList },
}

const FIND_RUN: Endpoint = {
  ...{ method: 'GET', url: '/migrations/runs/:id', access: OPERATOR_READ, tag: TAG },
  ...{ operationId: 'findMigrationRun', summary: 'Find a run of migrations' },
  description: 'With the counts of each wave.',
  params: ID_PARAMS,
  answers: { 200: MigrationRun },
}

export function operatorMigrationRoutes(api: FastifyInstance, { schemas, operations }: HttpDeps): void {
  serve(api, REPORT, async () => {
    const { target, databases, run } = await schemas.report()
    return { target, databases, run: run && describeRun(run) }
  })
  serve(api, LIST_SCHEMAS, async ({ query }) =>
    pageView(await schemas.list(query as Static<typeof SchemaQuery>), (row) => row),
  )
  serve(api, START_RUN, async (request, reply) =>
    reply.code(202).send(describeRun(await operations.startMigrations(actorOf(request)))),
  )
  serve(api, LIST_RUNS, async ({ query }) =>
    pageView(await schemas.listRuns(query as Static<typeof PageQuery>), describeRun),
  )
  serve(api, FIND_RUN, async ({ params }) => describeRun(await schemas.findRun(idOf(params))))
}
