import type { Health, PartHealth } from '../application.ts'
import type { Ping } from '../lib/postgres/pg.ts'
import type { HttpDeps, Probes } from './deps.ts'

const PING_DEADLINE_MS = 600
const REPORT_LIFETIME_MS = 1000

type HealthDeps = Pick<HttpDeps, 'probes' | 'lifecycle'> & { readonly settings: { readonly version: string } }

/** Checks the parts at most once a second for all callers together. The checks run in parallel, each with a deadline. */
export class HealthReporter {
  readonly #deps: HealthDeps
  #report: Promise<Health> | null = null
  #checkedAt = Number.NEGATIVE_INFINITY
  /** The last numbers from the catalog. They are reported while the catalog is down. */
  #counts: Health['databases'] = { pending_validation: 0, active: 0, failed: 0, inactive: 0 }
  #schema: Health['schema'] = { current: 0, behind: 0, failed: 0 }

  constructor(deps: HealthDeps) {
    this.#deps = deps
  }

  report(): Promise<Health> {
    const now = performance.now()
    if (this.#report === null || now - this.#checkedAt >= REPORT_LIFETIME_MS) {
      this.#checkedAt = now
      this.#report = this.#check()
    }
    return this.#report
  }

  async #check(): Promise<Health> {
    const { probes, settings, lifecycle } = this.#deps
    const [catalog, shared] = await Promise.all([
      ping(() => probes.pingCatalog()),
      ping(() => probes.pingShared()),
      this.#count(probes),
      this.#countSchemas(probes),
    ])
    const serving = probes.readiness() === 'ready' && lifecycle.phase !== 'draining'
    return {
      status: statusOf({ serving, catalog, shared, inactive: this.#counts.inactive }),
      version: settings.version,
      uptimeSeconds: Math.floor(process.uptime()),
      ...probes.gauges(),
      catalog,
      shared,
      databases: this.#counts,
      schema: this.#schema,
    }
  }

  async #count(probes: Probes): Promise<void> {
    const { pending_validation, active, failed, inactive } = await within(() =>
      probes.countDatabases(),
    ).catch(() => this.#counts)
    this.#counts = { pending_validation, active, failed, inactive }
  }

  async #countSchemas(probes: Probes): Promise<void> {
    const { current, behind, failed } = await within(() => probes.countSchemas()).catch(() => this.#schema)
    this.#schema = { current, behind, failed }
  }
}

/**
 * If only the catalog is down, known tenants are served. If only the shared database is down, tenants with dedicated databases
 * are served. If both are down, none are.
 */
function statusOf(parts: {
  serving: boolean
  catalog: PartHealth
  shared: PartHealth
  inactive: number
}): Health['status'] {
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

/** Rejects at the deadline, because a probe needs an answer. The work goes on, and its outcome is ignored. */
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
