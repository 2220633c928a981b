import type { Validation } from '../catalog/databases/validations.ts'
import { primaryKey } from '../catalog/key-rotations.ts'
import { migrationHandler } from '../databases/migration-job.ts'
import { validationHandler } from '../databases/validation-job.ts'
import { type JobHandler, JobRunner } from '../jobs/runner.ts'
import { advanceRuns } from '../operations/migrate-databases.ts'
import { ApplicationJobs } from '../tenancy/application-jobs.ts'
import type { TenantWork } from '../tenancy/tenants.ts'
import type { GatewayOptions } from './gateway-options.ts'
import type { Parts } from './parts/parts.ts'

export interface BackgroundJobs {
  /** Claims and runs the jobs of the catalog. */
  readonly runner: JobRunner
  /** The jobs that the application declares. */
  readonly applicationJobs: ApplicationJobs
}

export function createBackgroundJobs(
  { application, log }: GatewayOptions,
  parts: Parts,
  tenants: TenantWork,
): BackgroundJobs {
  const { metrics, masterKeys, keyring, replicaId } = parts
  const { store, release } = parts.catalog
  const wake = (kind?: string) => runner.wake(kind)
  const applicationJobs = new ApplicationJobs({
    application,
    store,
    tenants,
    log,
    wake,
    onTenant: (job, outcome) => metrics.countJobTenant(job, outcome),
  })
  const databaseJobs = databaseHandlers({ application, log }, parts, () => wake())
  const runner = new JobRunner({
    store,
    replicaId,
    log,
    handlers: [...databaseJobs, masterKeys.handler, ...applicationJobs.handlers],
    knows: () => [primaryKey(keyring.primaryKeyId), ...release.knows],
    onEnd: async ({ id: jobId, kind, runId }, outcome, seconds) => {
      metrics.observeJob({ kind, outcome }, seconds)
      if (runId === null || outcome === 'retried') return
      const failed = (err: unknown) => log.warn({ jobId, runId, err }, 'migration run not advanced')
      await advanceRuns({ store, log, wake }).catch(failed)
    },
  })
  return { runner, applicationJobs }
}

/** The handlers that validate and migrate tenant databases. */
function databaseHandlers(
  { application, log }: Pick<GatewayOptions, 'application' | 'log'>,
  { metrics, catalog, pools, identity, sessions, ownDatabases }: Parts,
  wake: () => void,
): JobHandler[] {
  const common = {
    store: catalog.store,
    registry: catalog.registry,
    sealOf: catalog.sealOf,
    addresses: pools.addresses,
    budget: pools.budget,
    shared: pools.shared.ownerAddress,
    migrations: () => catalog.release.migrations,
    tables: application,
    forbidden: ownDatabases,
    log,
    wake,
  }
  const onOutcome = (entry: Validation, outcome: string) => {
    metrics.countValidation(outcome)
    if (outcome === 'ok') pools.pools.answered(entry)
  }
  return [
    validationHandler({ ...common, announcements: identity.announcements, onOutcome }),
    migrationHandler({ ...common, onShared: () => sessions.schemas.forgetShared() }),
  ]
}
