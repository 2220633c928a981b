import type { FastifyInstance } from 'fastify'
import type { Static } from 'typebox'
import { describeJob } from '../../../catalog/jobs/list.ts'
import { OPERATOR_READ, OPERATOR_WRITE } from '../../access.ts'
import type { HttpDeps } from '../../deps.ts'
import { type Endpoint, serve, type Tag } from '../../endpoint.ts'
import { pageView } from '../../paging.ts'
import { actorOf } from '../../pipeline.ts'
import { Job, JobList, JobQuery } from '../../schemas/job.ts'
import { ID_PARAMS } from '../../schemas/parts.ts'
import { idOf } from '../path-ids.ts'

const TAG: Tag = { name: 'operators: jobs', description: 'Jobs, which gateways run in the background.' }

const LIST: Endpoint = {
  ...{ method: 'GET', url: '/jobs', access: OPERATOR_READ, tag: TAG },
  ...{ operationId: 'listJobs', summary: 'List the jobs' },
  description: 'Newest first, a page at a time.',
  query: JobQuery,
  answers: { 200: JobList },
}

const FIND: Endpoint = {
  ...{ method: 'GET', url: '/jobs/:id', access: OPERATOR_READ, tag: TAG },
  ...{ operationId: 'findJob', summary: 'Find a job' },
  description: 'With its step, its progress and its result.',
  params: ID_PARAMS,
  answers: { 200: Job },
}

const CANCEL: Endpoint = {
  ...{ method: 'POST', url: '/jobs/:id/cancel', access: OPERATOR_WRITE, tag: TAG },
  ...{ operationId: 'cancelJob', summary: 'Cancel a job' },
  description: 'A queued job is cancelled at once, a running job within seconds.',
  params: ID_PARAMS,
  answers: { 202: Job },
  errors: ['WRONG_STATE'],
}

export function operatorJobRoutes(api: FastifyInstance, { operations }: HttpDeps): void {
  serve(api, LIST, async ({ query }) => {
    const { tenantId, ...rest } = query as Static<typeof JobQuery>
    const wanted = { ...rest, ...(tenantId !== undefined && { tenantId: tenantId.toLowerCase() }) }
    return pageView(await operations.listJobs(wanted), describeJob)
  })
  serve(api, FIND, async ({ params }) => describeJob(await operations.findJob(idOf(params))))
  serve(api, CANCEL, async (request, reply) =>
    reply.code(202).send(describeJob(await operations.cancelJob(idOf(request.params), actorOf(request)))),
  )
}
