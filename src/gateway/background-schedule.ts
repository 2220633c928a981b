import { pruneJobs } from '../catalog/jobs/list.ts'
import { HealthMonitor } from '../health/monitor.ts'
import { ServerMonitor } from '../health/server-monitor.ts'
import type { ScheduledJob } from '../jobs/schedule.ts'
import { advanceRuns } from '../operations/migrate-databases.ts'
import { mismatchAlarm } from '../pools/alarms.ts'
import type { GatewayOptions } from './gateway-options.ts'
import type { Parts } from './parts/parts.ts'
import { sealAuditLog } from './seal-audit.ts'

const FLUSH_CRON = '*/30 * * * * *'
const SEAL_CRON = '15,45 * * * * *'
const KEYS_CRON = '*/5 * * * * *'
/** The longest time until a run of migrations goes on after a gateway was killed. */
const RUNS_CRON = '*/5 * * * * *'
const PRUNE_CRON = '7 * * * * *'

/** The scheduled work of the gateway itself. Call it after the start has read the migrations. */
export function backgroundSchedule(options: GatewayOptions, parts: Parts, wake: () => void): ScheduledJob[] {
  const { healthCheckCron } = options.settings
  const { log } = options
  const { store, vault } = parts.catalog
  const { clientKeys } = parts.identity
  const { schemas } = parts.sessions
  const monitor = createMonitor(options, parts)
  const servers = new ServerMonitor({
    store,
    vault,
    log,
    addresses: parts.pools.addresses,
    budget: parts.pools.budget,
  })
  return [
    { name: 'health', cron: healthCheckCron, run: (signal) => monitor.sweep(signal) },
    { name: 'servers', cron: healthCheckCron, run: (signal) => servers.sweep(signal) },
    { name: 'client-key-use', cron: FLUSH_CRON, run: () => clientKeys.flushLastUsed() },
    { name: 'audit-seal', cron: SEAL_CRON, run: () => sealAuditLog({ store, vault, log }) },
    { name: 'jobs-prune', cron: PRUNE_CRON, run: () => pruneJobs(store).then(() => undefined) },
    { name: 'migration-runs', cron: RUNS_CRON, run: () => advanceRuns({ store, wake, log }) },
    { name: 'schemas', cron: healthCheckCron, run: () => schemas.count().then(() => undefined) },
    { name: 'encryption-keys', cron: KEYS_CRON, run: () => parts.masterKeys.check() },
  ]
}

function createMonitor({ application, log }: GatewayOptions, parts: Parts): HealthMonitor {
  const { metrics, catalog, ownDatabases } = parts
  const { pools, addresses, budget } = parts.pools
  return new HealthMonitor({
    registry: catalog.registry,
    addresses,
    budget,
    migrations: catalog.release.migrations,
    tables: application,
    forbidden: ownDatabases,
    log,
    onTransition: (from, to) => metrics.countTransition(from, to),
    onAnswer: (entry) => pools.answered(entry),
    onMismatch: mismatchAlarm(metrics, log),
  })
}
