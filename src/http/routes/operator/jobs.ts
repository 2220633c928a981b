import type { FastifyInstance } from 'fastify'
import { type Static, Type } from 'typebox'
import { describeJob } from '../../../catalog/jobs/list.ts'
import { choice, text, uuid } from '../../../lib/fields.ts'
import type { HttpDeps } from '../../deps.ts'
import { actorOf } from '../../pipeline.ts'
import { CLOSED, idOf, PAGE_FIELDS, pageView } from '../../transport/bodies.ts'

const READ = { access: { kind: 'operator', write: false } } as const
const WRITE = { access: { kind: 'operator', write: true } } as const

const JobQuery = Type.Object(
  {
    ...PAGE_FIELDS,
    kind: Type.Optional(text(100)),
    status: Type.Optional(choice('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    tenantId: Type.Optional(uuid()),
  },
  CLOSED,
)

/** What runs in the background: listed, looked at, cancelled. */
export function operatorJobRoutes(api: FastifyInstance, { operations }: HttpDeps): void {
  api.get('/jobs', { config: READ, schema: { querystring: JobQuery } }, async ({ query }) => {
    const { tenantId, ...rest } = query as Static<typeof JobQuery>
    const wanted = { ...rest, ...(tenantId !== undefined && { tenantId: tenantId.toLowerCase() }) }
    return pageView(await operations.listJobs(wanted), describeJob)
  })
  api.get('/jobs/:id', { config: READ }, async ({ params }) =>
    describeJob(await operations.findJob(idOf(params))),
  )
  api.post('/jobs/:id/cancel', { config: WRITE }, async (request, reply) =>
    reply.code(202).send(describeJob(await operations.cancelJob(idOf(request.params), actorOf(request)))),
  )
}
