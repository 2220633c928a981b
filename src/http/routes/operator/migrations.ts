import type { FastifyInstance } from 'fastify'
import type { Static } from 'typebox'
import { describeRun, describeRunDatabase } from '../../../catalog/runs/list.ts'
import type { RunRequest } from '../../../catalog/runs/options.ts'
import { RUN_VERBS, type RunVerb } from '../../../catalog/runs/steer.ts'
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
  RunDatabaseList,
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
  description: 'With the schema that this release needs, and the run that is running, paused or halted.',
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
  description: 'The run works in the background, in waves. Only one run is unfinished at a time.',
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

const LIST_RUN_DATABASES: Endpoint = {
  ...{ method: 'GET', url: '/migrations/runs/:id/databases', access: OPERATOR_READ, tag: TAG },
  ...{ operationId: 'listMigrationRunDatabases', summary: 'List the databases of a run of migrations' },
  description: 'In the order in which the run takes them. The shared database has no `tenantId`.',
  params: ID_PARAMS,
  query: PageQuery,
  answers: { 200: RunDatabaseList },
}

const STEER: Record<RunVerb, [summary: string, description: string]> = {
  pause: ['Pause a run of migrations', 'The run is `paused` when the work under way has ended.'],
  resume: ['Resume a run of migrations', 'The run goes on with the databases that it has not taken.'],
  cancel: ['Cancel a run of migrations', 'Migrations under way are aborted within seconds.'],
  retry: [
    'Retry the failed databases of a run of migrations',
    'Takes only those. If the run has others left, it is `paused` afterwards, or `halted` if one fails again.',
  ],
}

function steerEndpoint(verb: RunVerb): Endpoint {
  const [summary, description] = STEER[verb]
  return {
    ...{ method: 'POST', url: `/migrations/runs/:id/${verb}`, access: OPERATOR_WRITE, tag: TAG },
    ...{ operationId: `${verb}MigrationRun`, summary, description },
    params: ID_PARAMS,
    answers: { 202: MigrationRun },
    errors: verb === 'retry' ? ['WRONG_STATE', 'RUN_IN_PROGRESS'] : ['WRONG_STATE'],
  }
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
    reply
      .code(202)
      .send(
        describeRun(await operations.startMigrations((request.body ?? {}) as RunRequest, actorOf(request))),
      ),
  )
  for (const verb of RUN_VERBS)
    serve(api, steerEndpoint(verb), async (request, reply) => {
      const run = await operations.steerMigrations(idOf(request.params), verb, actorOf(request))
      return reply.code(202).send(describeRun(run))
    })
  serve(api, LIST_RUNS, async ({ query }) =>
    pageView(await operations.listRuns(query as Static<typeof PageQuery>), describeRun),
  )
  serve(api, FIND_RUN, async ({ params }) => describeRun(await operations.findRun(idOf(params))))
  serve(api, LIST_RUN_DATABASES, async ({ params, query }) =>
    pageView(
      await operations.listRunDatabases(idOf(params), query as Static<typeof PageQuery>),
      describeRunDatabase,
    ),
  )
}
