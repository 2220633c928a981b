import { setTimeout as delay } from 'node:timers/promises'
import type { Health, Gateway as PublicGateway } from './application.ts'
import { sealAnchor } from './catalog/audit/anchor.ts'
import { sealAudit } from './catalog/audit/chain.ts'
import { sealFormerPersons } from './catalog/audit/persons.ts'
import type { Validation } from './catalog/databases/validations.ts'
import type { Route } from './catalog/directory.ts'
import { tidyJobs } from './catalog/jobs/migration-runs.ts'
import { primaryKey } from './catalog/key-rotations.ts'
import { listTenants } from './catalog/tenants.ts'
import { migrationHandler } from './databases/migration-job.ts'
import { withTenantDatabase } from './databases/tenant-connection.ts'
import { validationHandler } from './databases/validation-job.ts'
import { httpDepsFor } from './gateway/http-deps.ts'
import {
  createParts,
  followChanges,
  type GatewayOptions,
  knownDatabases,
  type Parts,
} from './gateway/parts.ts'
import { prepareCatalog, prepareShared, refusalIn, withClient } from './gateway/startup.ts'
import { HealthMonitor } from './health/monitor.ts'
import type { HttpDeps } from './http/deps.ts'
import { HealthReporter } from './http/health-report.ts'
import { type Own, ownOf } from './http/own/own.ts'
import { type ConnectionLimit, connectionLimit } from './http/transport/connection-limit.ts'
import { type JobHandler, JobRunner } from './jobs/runner.ts'
import { Schedule } from './jobs/schedule.ts'
import { descriptorLimit } from './lib/descriptors.ts'
import type { OwnDatabase } from './lib/postgres/database-identity.ts'
import type { PhysicalIdentity } from './lib/postgres/pg.ts'
import { type Migration, migrationsFolder, readMigrations, readTenantMigrations } from './migrations/files.ts'
import { createOperations } from './operations/create-operations.ts'
import type { Operations } from './operations/operations.ts'
import { mismatchAlarm } from './pools/alarms.ts'
import { sealResidents } from './residence/seal-residents.ts'
import type { TenantSession } from './sql/session.ts'
import type { OpenOptions } from './sql/tenant-sessions.ts'
import { ApplicationJobs } from './tenancy/application-jobs.ts'
import { TenantWork } from './tenancy/tenants.ts'
import { VERSION } from './version.ts'

/** What callers come in by, and how it is closed behind them. */
export interface Door {
  /** How long requests are served on after it is said that no more are wanted. */
  readonly leaveAfterMs: number
  close(): Promise<void>
  /** Cuts off the connections that are left. */
  cut(): void
}

const NO_DOOR: Door = { leaveAfterMs: 0, close: async () => undefined, cut: () => undefined }

type Phase = 'starting' | 'ready' | 'leaving' | 'draining'

const FIRST_RETRY_MS = 250
const MAX_RETRY_MS = 5_000
const CLOSING_TIME_MS = 1_000
const TENANTS_AT_ONCE = 200
const FLUSH_CRON = '*/30 * * * * *'
const SEAL_CRON = '15,45 * * * * *'
const KEYS_CRON = '*/5 * * * * *'
const PRUNE_CRON = '7 * * * * *'

/**
 * The composition root: has the parts built, opens what they need in order, closes it all in reverse.
 *
 *   starting ──catalog and shared database prepared──▶ ready ──close()──▶ leaving ──delay over──▶ draining
 *      └──────────────────────────────────close()───────────────────────────────────────────────▲
 */
export class Gateway implements PublicGateway {
  readonly operations: Operations
  readonly tenants: TenantWork
  readonly #options: GatewayOptions
  readonly #parts: Parts
  readonly #own: Own
  readonly #schedule: Schedule
  readonly #jobs: JobRunner
  /** Those of the application. */
  readonly #ownJobs: ApplicationJobs
  readonly #http: HttpDeps
  readonly #health: HealthReporter
  /** Filled by the start: databases that can be no tenant's own. */
  readonly #ownDatabases: OwnDatabase[] = []
  #tenantMigrations: readonly Migration[] = []
  readonly #connections: ConnectionLimit | null
  #phase: Phase = 'starting'
  #closing: Promise<void> | null = null

  constructor(given: GatewayOptions) {
    const options = { ...given, databases: knownDatabases(given.databases) }
    const { log } = options
    this.#options = options
    this.#own = ownOf(options.application)
    const descriptors = descriptorLimit()
    this.#connections =
      descriptors === null ? null : connectionLimit(descriptors, options.settings.maxConnections)
    this.#parts = createParts(options)
    this.#schedule = new Schedule((job, err) => log.error({ job, err }, 'scheduled job failed'))
    this.tenants = this.#createTenants()
    this.#ownJobs = new ApplicationJobs({
      ...{ application: options.application, store: this.#parts.store, tenants: this.tenants, log },
      wake: (kind) => this.#jobs.wake(kind),
      onTenant: (job, outcome) => this.#parts.metrics.countJobTenant(job, outcome),
    })
    this.#jobs = this.#createRunner()
    followChanges(this.#parts, log, () => this.#jobs.wake())
    this.operations = this.#createOperations()
    this.#http = this.#createHttp()
    this.#health = new HealthReporter(this.#http)
  }

  /**
   * Prepares the databases, trying again for as long as they cannot be reached, and begins to work.
   * @throws StartRefusedError when waiting would not help
   */
  async start(): Promise<void> {
    const { log } = this.#options
    for (let retryInMs = FIRST_RETRY_MS; this.#phase === 'starting'; retryInMs = nextDelay(retryInMs)) {
      try {
        await this.#begin()
        if (this.#phase !== 'starting') return
        this.#phase = 'ready'
        // Jobs of the application work in tenants, which a gateway lets nobody do before.
        this.#jobs.start()
        log.info({ version: VERSION, replicaId: this.#parts.replicaId }, 'ready')
      } catch (error) {
        const refusal = refusalIn(error)
        if (refusal !== null) throw refusal
        log.warn({ err: error, retryInMs }, 'not ready yet')
        await new Promise((resolve) => setTimeout(resolve, retryInMs))
      }
    }
  }

  /** The route of a tenant by its code; null if there is no such tenant. */
  routeOf(code: string): Promise<Route | null> {
    return this.#parts.directory.byCode(code)
  }

  sessionOf(route: Route, options?: OpenOptions): TenantSession {
    return this.#parts.sessions.open(route, options)
  }

  health(): Promise<Health> {
    return this.#health.report()
  }

  /** What a server in front of this gateway needs. */
  get http(): HttpDeps {
    return this.#http
  }

  /** Proxies are told to send nothing new; what comes all the same is served. */
  leave(): void {
    if (this.#phase === 'ready') this.#phase = 'leaving'
  }

  /**
   * Lets what is under way finish and closes everything in reverse order, all within the grace period: shortly before its end
   * the connections of the door that are left are cut off, and what hangs even then (a statement behind a lock) is left to
   * the server.
   */
  close(door: Door = NO_DOOR): Promise<void> {
    this.#closing ??= this.#close(door)
    return this.#closing
  }

  async #close(door: Door): Promise<void> {
    const isServing = this.#phase === 'ready' || this.#phase === 'leaving'
    const { shutdownGraceMs } = this.#options.settings
    const cutAfterMs = shutdownGraceMs - Math.min(CLOSING_TIME_MS, shutdownGraceMs / 4)
    const cut = setTimeout(() => door.cut(), cutAfterMs)
    const late = Promise.withResolvers<'late'>()
    const deadline = setTimeout(() => late.resolve('late'), shutdownGraceMs)
    this.leave()
    try {
      // A proxy goes on sending requests until it has asked for readiness again.
      const left = isServing ? delay(Math.min(door.leaveAfterMs, shutdownGraceMs / 2)) : Promise.resolve()
      const closed = left.then(() => this.#closeParts(door))
      const outcome = await Promise.race([closed, late.promise])
      if (outcome === 'late') this.#options.log.warn('left behind what did not end within the grace period')
    } finally {
      clearTimeout(cut)
      clearTimeout(deadline)
    }
  }

  async #closeParts(door: Door): Promise<void> {
    this.#phase = 'draining'
    const { clientKeys, follower, pools, catalogPool, auditTrail } = this.#parts
    // A validation may last longer than the requests do; nobody begins one from here on.
    const workers = [this.#schedule.stop(), this.#jobs.stop()]
    await Promise.all([door.close(), this.tenants.drain(), ...workers])
    await clientKeys.flushLastUsed().catch(() => undefined)
    await auditTrail.flush()
    await pools.close()
    // Last: the other replicas take over our share of the connections when we leave the list.
    await follower.stop()
    await catalogPool.end()
  }

  async #begin(): Promise<void> {
    const { application, databases, settings, log } = this.#options
    const { migrateOnStart } = settings
    const catalogMigrations = await readMigrations(migrationsFolder('catalog'), 'catalog')
    this.#tenantMigrations = await readTenantMigrations(application)
    this.#parts.release.learn(this.#tenantMigrations)
    const catalog = await prepareCatalog({
      ...{ migrate: migrateOnStart !== 'false', log },
      serving: databases.catalog,
      owner: databases.catalogOwner,
      migrations: catalogMigrations,
    })
    const { identity: shared, isBehind } = await prepareShared({
      ...{ migrate: migrateOnStart === 'true', log },
      serving: databases.shared,
      owner: databases.sharedOwner,
      ...{ migrations: this.#tenantMigrations, tables: application },
    })
    this.#learnOwn({ catalog, shared })
    this.#parts.shared.learn(shared)
    const { vault, signingKeys, revocations, follower, masterKeys, schemas } = this.#parts
    await vault.init()
    // One that is behind need not have the place for seals: the run that migrates it seals it.
    if (!isBehind) await this.#sealResidents()
    await signingKeys.init()
    await this.#sealFormerAudit()
    await follower.start()
    // What changed before the changes were followed, and after what we had read.
    await Promise.all([signingKeys.reload(), revocations.init(), masterKeys.check()])
    schemas.learnShared({ isBehind })
    this.#startSchedule()
  }

  /** Once after the release that brought seals: its migration has no keys. */
  async #sealResidents(): Promise<void> {
    const { databases, log } = this.#options
    const { sealOf } = this.#parts
    const owner = databases.sharedOwner ?? databases.shared
    const sealed = await withClient(owner, (client) => sealResidents(client, sealOf))
    if (sealed > 0) log.info({ tenants: sealed }, 'residences of the shared database sealed')
  }

  #learnOwn({ catalog, shared }: Record<'catalog' | 'shared', PhysicalIdentity>): void {
    const { addresses, pools, sealOf } = this.#parts
    const home = { addresses, budget: pools.budget, shared: this.#parts.shared.ownerAddress, sealOf }
    this.#ownDatabases.splice(
      0,
      Number.POSITIVE_INFINITY,
      { ...catalog, lend: (fn) => withClient(this.#options.databases.catalog, fn) },
      { ...shared, lend: (fn) => withTenantDatabase(home, null, fn) },
    )
  }

  #startSchedule(): void {
    const { settings, log } = this.#options
    const { store, registry, addresses, pools, metrics, clientKeys, masterKeys, schemas } = this.#parts
    const monitor = new HealthMonitor({
      ...{ registry, addresses, budget: pools.budget, log },
      ...{ migrations: this.#tenantMigrations, tables: this.#options.application },
      forbidden: this.#ownDatabases,
      onTransition: (from, to) => metrics.countTransition(from, to),
      onAnswer: (entry) => pools.answered(entry),
      onMismatch: mismatchAlarm(metrics, log),
    })
    this.#schedule.start([
      { name: 'health', cron: settings.healthCheckCron, run: (signal) => monitor.sweep(signal) },
      { name: 'client-key-use', cron: FLUSH_CRON, run: () => clientKeys.flushLastUsed() },
      { name: 'audit-seal', cron: SEAL_CRON, run: () => this.#sealAudit() },
      { name: 'jobs-prune', cron: PRUNE_CRON, run: () => tidyJobs(store) },
      { name: 'schemas', cron: settings.healthCheckCron, run: () => schemas.count().then(() => undefined) },
      { name: 'encryption-keys', cron: KEYS_CRON, run: () => masterKeys.check() },
      ...this.#ownJobs.schedule,
    ])
  }

  /** Once after the release that keeps people apart in the audit log: its migration has no keys. */
  async #sealFormerAudit(): Promise<void> {
    const { store, vault } = this.#parts
    const { log } = this.#options
    const persons = await sealFormerPersons(store, vault)
    const anchor = await sealAnchor(store, vault.service)
    if (anchor === null) return
    await this.#sealAudit()
    if (anchor.firstBreak === null) log.info({ ...anchor, persons }, 'audit log chained anew')
    else log.error({ ...anchor, persons }, 'audit log chained anew: it had been changed before')
  }

  /** The line in the log is an anchor that whoever rewrites the whole database does not reach. */
  async #sealAudit(): Promise<void> {
    const { store, vault } = this.#parts
    const sealed = await sealAudit(store, vault.service)
    if (sealed !== null) this.#options.log.info(sealed, 'audit log sealed')
  }

  #createRunner(): JobRunner {
    const { log } = this.#options
    const parts = this.#parts
    const { store, keyring, release, masterKeys, replicaId, metrics } = parts
    return new JobRunner({
      ...{ store, replicaId, log },
      handlers: [...this.#databaseJobs(), masterKeys.handler, ...this.#ownJobs.handlers],
      knows: () => [primaryKey(keyring.primaryKeyId), ...release.knows],
      onEnd: (kind, outcome, seconds) => metrics.observeJob({ kind, outcome }, seconds),
    })
  }

  /** What is done about tenants' databases: validating and migrating them. */
  #databaseJobs(): JobHandler[] {
    const { application, log } = this.#options
    const { pools, metrics, shared, release, schemas } = this.#parts
    const common = {
      ...this.#parts,
      ...{ budget: pools.budget, shared: shared.ownerAddress, log, forbidden: this.#ownDatabases },
      ...{ migrations: () => release.migrations, tables: application },
      wake: () => this.#jobs.wake(),
    }
    const onOutcome = (entry: Validation, outcome: string) => {
      metrics.countValidation(outcome)
      if (outcome === 'ok') pools.answered(entry)
    }
    return [
      validationHandler({ ...common, onOutcome }),
      migrationHandler({ ...common, onShared: () => schemas.forgetShared() }),
    ]
  }

  #createOperations(): Operations {
    const { settings, databases } = this.#options
    const parts = this.#parts
    return createOperations({
      ...parts,
      budget: parts.pools.budget,
      shared: parts.shared.ownerAddress,
      sslModeDefault: settings.sslModeDefault,
      ownPlaces: [databases.catalog, databases.shared],
      sessionFor: (route) => parts.sessions.openUnlisted(route),
      wake: () => this.#jobs.wake(),
      onChanged: (tenantId) => void parts.routeKeeper.forget(tenantId),
    })
  }

  #createTenants(): TenantWork {
    const { log } = this.#options
    const { directory, freshness, sessions, auditTrail, store } = this.#parts
    return new TenantWork({
      ...{ directory, freshness, sessions, log, schema: this.#own.schema },
      note: (record) => auditTrail.note(record),
      list: (cursor) => listTenants(store, { limit: TENANTS_AT_ONCE, status: 'ACTIVE', cursor }),
      assertServing: () => {
        if (this.#phase === 'starting') throw new Error('the gateway has not started: await gateway.start()')
        if (this.#phase === 'draining') throw new Error('the gateway is closed')
      },
    })
  }

  #createHttp(): HttpDeps {
    return httpDepsFor({
      ...this.#options,
      ...{ parts: this.#parts, own: this.#own },
      operations: this.operations,
      connections: this.#connections,
      phase: () => this.#phase,
    })
  }
}

function nextDelay(delayMs: number): number {
  return Math.min(MAX_RETRY_MS, delayMs * 2)
}
