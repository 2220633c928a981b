import type { FastifyInstance } from 'fastify'
import type { Route } from '../../catalog/directory.ts'
import { fail } from '../../errors.ts'
import type { HttpDeps } from '../deps.ts'
import { HealthReporter } from '../health-report.ts'
import { isLeaving } from '../transport/connection-limit.ts'

const OPEN = { access: { kind: 'open' } } as const
const PROBE = { access: { kind: 'open', probe: true } } as const
const JWKS_LIFETIME_SECONDS = 300

/** How the process is: no credential, also while it starts and ends. */
export function probeRoutes(server: FastifyInstance, deps: HttpDeps): void {
  const health = new HealthReporter(deps)
  server.get('/livez', { config: PROBE }, async () => ({ status: 'ok' }))
  server.get('/readyz', { config: PROBE }, async (_request, reply) => {
    const status = isLeaving(deps.lifecycle) ? 'draining' : deps.probes.readiness()
    const waitsFor = status === 'connections-missing' ? deps.probes.waitsFor() : null
    return reply.code(status === 'ready' ? 200 : 503).send({ status, ...(waitsFor && { waitsFor }) })
  })
  server.get('/health', { config: PROBE }, async (_request, reply) => {
    const report = await health.report()
    return reply.code(report.status === 'unavailable' ? 503 : 200).send(report)
  })
  server.get('/metrics', { config: PROBE }, async (_request, reply) => {
    const { contentType, text } = await deps.metrics.render()
    return reply.type(contentType).send(text)
  })
}

/** Published keys: no credential. */
export function keyRoutes(server: FastifyInstance, deps: HttpDeps): void {
  server.get('/.well-known/jwks.json', { config: PROBE }, async (_request, reply) => {
    reply.header('cache-control', `public, max-age=${JWKS_LIFETIME_SECONDS}`)
    return deps.signingKeys.jwks()
  })
  server.get('/.well-known/tenants/:code/jwks.json', { config: OPEN }, async ({ params }, reply) => {
    const { tenantId } = await activeTenant(deps, (params as { code: string }).code)
    reply.header('cache-control', `public, max-age=${JWKS_LIFETIME_SECONDS}`)
    return deps.signingKeys.tenants.jwks(tenantId)
  })
}

/** @throws PublicError TENANT_NOT_FOUND for a code that nobody has, and for one of an INACTIVE tenant. */
async function activeTenant({ directory }: HttpDeps, code: string): Promise<Route> {
  const route = directory.peekByCode(code) ?? (await directory.byCode(code))
  if (route?.status !== 'ACTIVE') throw fail('TENANT_NOT_FOUND')
  return route
}
