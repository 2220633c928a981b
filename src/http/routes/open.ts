import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import type { Route } from '../../catalog/directory.ts'
import { fail } from '../../errors.ts'
import type { HttpDeps } from '../deps.ts'
import { type Endpoint, serve, type Tag } from '../endpoint.ts'
import { isLeaving } from '../gates.ts'
import { HealthReporter } from '../health-report.ts'
import { Health, Readiness, Status } from '../schemas/health.ts'
import { Jwks } from '../schemas/signing-key.ts'
import { AUTH } from './auth.ts'

const PROBES: Tag = {
  name: 'probes',
  description: 'The state of the process, for orchestrators and Prometheus.',
}
const OPEN = { kind: 'open' } as const
const PROBE = { kind: 'open', probe: true } as const
const JWKS_LIFETIME_SECONDS = 300

const LIVENESS: Endpoint = {
  ...{ method: 'GET', url: '/livez', access: PROBE, tag: PROBES },
  ...{ operationId: 'isAlive', summary: 'Ask whether the process runs' },
  description: 'Answers 200 as long as the process can answer at all.',
  answers: { 200: Status },
}

const READINESS: Endpoint = {
  ...{ method: 'GET', url: '/readyz', access: PROBE, tag: PROBES },
  ...{ operationId: 'isReady', summary: 'Ask whether the gateway serves' },
  description: 'A load balancer should send requests only to gateways that answer 200.',
  answers: { 200: Readiness, 503: Readiness },
}

const HEALTH: Endpoint = {
  ...{ method: 'GET', url: '/health', access: PROBE, tag: PROBES },
  ...{ operationId: 'readHealth', summary: 'Read the state of each part of the gateway' },
  description: 'The parts are checked at most once a second for all requests together.',
  answers: { 200: Health, 503: Health },
}

const METRICS: Endpoint = {
  ...{ method: 'GET', url: '/metrics', access: PROBE, tag: PROBES },
  ...{ operationId: 'readMetrics', summary: 'Read the metrics' },
  description: 'In the text format of Prometheus.',
  answers: {
    200: {
      description: 'The text format of Prometheus.',
      content: { 'text/plain': { schema: Type.String() } },
    },
  },
}

const KEYS: Endpoint = {
  ...{ method: 'GET', url: '/.well-known/jwks.json', access: PROBE, tag: AUTH },
  ...{ operationId: 'readKeys', summary: 'Read the public keys of the service' },
  description: 'With these keys programs verify access tokens of tenants that have no key of their own.',
  answers: { 200: Jwks },
  answerHeaders: ['cache-control'],
}

const TENANT_KEYS: Endpoint = {
  ...{ method: 'GET', url: '/.well-known/tenants/:code/jwks.json', access: OPEN, tag: AUTH },
  ...{ operationId: 'readTenantKeys', summary: 'Read the public keys of a tenant' },
  description: 'The list is empty for a tenant that has no key of its own.',
  params: Type.Object({ code: Type.String({ description: "The tenant's code.", examples: ['acme-corp'] }) }),
  answers: { 200: Jwks },
  answerHeaders: ['cache-control'],
  errors: ['TENANT_NOT_FOUND'],
}

/** Endpoints that tell the state of the process. They need no credential, and answer also while the process starts and stops. */
export function probeRoutes(server: FastifyInstance, deps: HttpDeps): void {
  const health = new HealthReporter(deps)
  serve(server, LIVENESS, async () => ({ status: 'ok' }))
  serve(server, READINESS, async (_request, reply) => {
    const status = isLeaving(deps.lifecycle) ? 'draining' : deps.probes.readiness()
    const waitsFor = status === 'connections-missing' ? deps.probes.waitsFor() : null
    return reply.code(status === 'ready' ? 200 : 503).send({ status, ...(waitsFor && { waitsFor }) })
  })
  serve(server, HEALTH, async (_request, reply) => {
    const report = await health.report()
    return reply.code(report.status === 'unavailable' ? 503 : 200).send(report)
  })
  serve(server, METRICS, async (_request, reply) => {
    const { contentType, text } = await deps.metrics.render()
    return reply.type(contentType).send(text)
  })
}

/** Endpoints that publish public keys. They need no credential. */
export function keyRoutes(server: FastifyInstance, deps: HttpDeps): void {
  serve(server, KEYS, async (_request, reply) => {
    reply.header('cache-control', `public, max-age=${JWKS_LIFETIME_SECONDS}`)
    return deps.signingKeys.jwks()
  })
  serve(server, TENANT_KEYS, async ({ params }, reply) => {
    const { tenantId } = await activeTenant(deps, (params as { code: string }).code)
    reply.header('cache-control', `public, max-age=${JWKS_LIFETIME_SECONDS}`)
    return deps.signingKeys.tenants.jwks(tenantId)
  })
}

/** @throws PublicError TENANT_NOT_FOUND if no tenant has the code, and if the tenant is INACTIVE */
async function activeTenant({ directory }: HttpDeps, code: string): Promise<Route> {
  const route = directory.peekByCode(code) ?? (await directory.byCode(code))
  if (route?.status !== 'ACTIVE') throw fail('TENANT_NOT_FOUND')
  return route
}
