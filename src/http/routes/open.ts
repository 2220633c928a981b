import type { FastifyInstance } from 'fastify'
import type { Route } from '../../catalog/directory.ts'
import type { DatabaseStatus } from '../../catalog/schema.ts'
import { fail } from '../../errors.ts'
import type { Ping } from '../../lib/pg.ts'
import type { HttpDeps, Probes } from '../deps.ts'

const OPEN = { access: { kind: 'open' } } as const
const PROBE = { access: { kind: 'open', probe: true } } as const
const PING_DEADLINE_MS = 600
const REPORT_LIFETIME_MS = 1000
const JWKS_LIFETIME_SECONDS = 300

/** Probes and published keys: no credential. */
export function openRoutes(server: FastifyInstance, deps: HttpDeps): void {
  const health = new HealthReporter(deps)
  server.get('/livez', { config: PROBE }, async () => ({ status: 'ok' }))
  server.get('/readyz', { config: PROBE }, async (_request, reply) => {
    const status = deps.lifecycle.isLeaving() ? 'draining' : deps.probes.readiness()
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

interface PartHealth {
  readonly status: 'ok' | 'read-only' | 'down'
  readonly latencyMs: number | null
}

type DatabaseCounts = Readonly<Record<DatabaseStatus, number>>

interface HealthReport {
  readonly status: 'ok' | 'degraded' | 'unavailable'
  readonly version: string
  readonly uptimeSeconds: number
  readonly activePools: number
  readonly cachedConfigs: number
  readonly connections: { readonly open: number; readonly max: number }
  readonly catalog: PartHealth
  readonly shared: PartHealth
  readonly databases: DatabaseCounts
}

/** Looks at the parts at most once a second, all at once and each within a deadline, whoever asks and however often. */
class HealthReporter {
  readonly #deps: HttpDeps
  #looked: Promise<HealthReport> | null = null
  #lookedAt = Number.NEGATIVE_INFINITY
  /** The last numbers the catalog gave: while it is down they are the best there are. */
  #counts: DatabaseCounts = { pending_validation: 0, active: 0, failed: 0, inactive: 0 }

  constructor(deps: HttpDeps) {
    this.#deps = deps
  }

  report(): Promise<HealthReport> {
    const now = performance.now()
    if (this.#looked === null || now - this.#lookedAt >= REPORT_LIFETIME_MS) {
      this.#lookedAt = now
      this.#looked = this.#look()
    }
    return this.#looked
  }

  async #look(): Promise<HealthReport> {
    const { probes, settings, lifecycle } = this.#deps
    const [catalog, shared] = await Promise.all([
      ping(() => probes.pingCatalog()),
      ping(() => probes.pingShared()),
      this.#count(probes),
    ])
    const serving = probes.readiness() === 'ready' && !lifecycle.isDraining()
    return {
      status: statusOf({ serving, catalog, shared, inactive: this.#counts.inactive }),
      version: settings.version,
      uptimeSeconds: Math.floor(process.uptime()),
      ...probes.gauges(),
      catalog,
      shared,
      databases: this.#counts,
    }
  }

  async #count(probes: Probes): Promise<void> {
    const { pending_validation, active, failed, inactive } = await within(() =>
      probes.countDatabases(),
    ).catch(() => this.#counts)
    this.#counts = { pending_validation, active, failed, inactive }
  }
}

/** Without the catalog known tenants are still served, without the shared database those elsewhere; without both none. */
function statusOf(parts: {
  serving: boolean
  catalog: PartHealth
  shared: PartHealth
  inactive: number
}): HealthReport['status'] {
  const down = [parts.catalog, parts.shared].filter(({ status }) => status === 'down').length
  if (!parts.serving || down === 2) return 'unavailable'
  const isWhole = parts.catalog.status === 'ok' && parts.shared.status === 'ok'
  return !isWhole || parts.inactive > 0 ? 'degraded' : 'ok'
}

async function ping(measure: () => Promise<Ping>): Promise<PartHealth> {
  try {
    const { latencyMs, isReadOnly } = await within(measure)
    return { status: isReadOnly ? 'read-only' : 'ok', latencyMs: Math.round(latencyMs * 100) / 100 }
  } catch {
    return { status: 'down', latencyMs: null }
  }
}

/** Past the deadline the work goes on unheard; what a probe needs is an answer. */
async function within<T>(start: () => Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error('no answer in time')), PING_DEADLINE_MS)
  try {
    const work = start()
    work.catch(() => undefined)
    return await Promise.race([work, late.promise])
  } finally {
    clearTimeout(timer)
  }
}
