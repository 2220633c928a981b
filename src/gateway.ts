import { setTimeout as delay } from 'node:timers/promises'
import type { Health, Gateway as PublicGateway } from './application.ts'
import type { Route } from './catalog/directory.ts'
import { listTenants } from './catalog/tenants.ts'
import { type BackgroundJobs, createBackgroundJobs } from './gateway/background-jobs.ts'
import { backgroundSchedule } from './gateway/background-schedule.ts'
import { followChanges } from './gateway/follow-changes.ts'
import { type GatewayOptions, withServerTraits } from './gateway/gateway-options.ts'
import { createHttpDeps } from './gateway/http-deps.ts'
import { createParts, type Parts } from './gateway/parts/parts.ts'
import { ServingPhase } from './gateway/serving-phase.ts'
import { NO_LISTENER, type RequestListener, shutDown } from './gateway/shutdown.ts'
import { openParts } from './gateway/start/open-parts.ts'
import { refusalIn } from './gateway/start/start-refusals.ts'
import type { HttpDeps } from './http/deps.ts'
import { HealthReporter } from './http/health-report.ts'
import { type Own, ownOf } from './http/own/own.ts'
import { Schedule } from './jobs/schedule.ts'
import { createOperations, type OperationsDeps } from './operations/create-operations.ts'
import type { Operations } from './operations/operations.ts'
import type { TenantSession } from './sql/session.ts'
import type { OpenOptions } from './sql/tenant-session.ts'
import { TenantWork } from './tenancy/tenants.ts'
import { VERSION } from './version.ts'

const FIRST_RETRY_MS = 250
const MAX_RETRY_MS = 5_000
const TENANT_PAGE_SIZE = 200

/** The composition root: builds the parts, opens them in order and closes them in reverse. */
export class Gateway implements PublicGateway {
  readonly operations: Operations
  readonly tenants: TenantWork
  /** The parts of the gateway that its HTTP server needs. */
  readonly http: HttpDeps
  readonly #options: GatewayOptions
  readonly #phase = new ServingPhase()
  readonly #parts: Parts
  readonly #jobs: BackgroundJobs
  readonly #schedule: Schedule
  readonly #health: HealthReporter
  #closing: Promise<void> | null = null

  constructor(unprepared: GatewayOptions) {
    const options = { ...unprepared, databases: withServerTraits(unprepared.databases) }
    const { application, log } = options
    const phase = this.#phase
    this.#options = options
    const own = ownOf(application)
    this.#parts = createParts(options)
    this.tenants = createTenantWork(options, this.#parts, { own, phase })
    this.#jobs = createBackgroundJobs(options, this.#parts, this.tenants)
    const onWork = () => this.#jobs.runner.wake()
    followChanges(this.#parts, { log, onWork })
    this.operations = createOperationsOf(options, this.#parts, {
      wake: onWork,
      sharedStatus: async () => (await this.#health.report()).shared.status,
    })
    this.http = createHttpDeps(options, { parts: this.#parts, operations: this.operations, own, phase })
    this.#health = new HealthReporter(this.http)
    this.#schedule = new Schedule((job, err) => log.error({ job, err }, 'scheduled job failed'))
  }

  /**
   * Opens the parts and starts the background work. Retries while the databases cannot be reached.
   * @throws StartRefusedError if a retry cannot help
   */
  async start(): Promise<void> {
    const { log } = this.#options
    for (let retryInMs = FIRST_RETRY_MS; this.#phase.isStarting(); retryInMs = nextDelay(retryInMs)) {
      try {
        await this.#open()
      } catch (error) {
        const refusal = refusalIn(error)
        if (refusal !== null) throw refusal
        log.warn({ err: error, retryInMs }, 'not ready yet')
        await delay(retryInMs)
      }
    }
  }

  /** The route of a tenant by its code; null if there is no such tenant. */
  routeOf(code: string): Promise<Route | null> {
    return this.#parts.catalog.directory.byCode(code)
  }

  sessionOf(route: Route, options?: OpenOptions): TenantSession {
    return this.#parts.sessions.sessions.open(route, options)
  }

  health(): Promise<Health> {
    return this.#health.report()
  }

  /** Tells proxies through `/readyz` to send no new requests. Requests that still arrive are served. */
  leave(): void {
    this.#phase.leave()
  }

  /** Finishes the running work and closes all parts in reverse order, within the grace period. Repeated calls share one shutdown. */
  close(listener: RequestListener = NO_LISTENER): Promise<void> {
    this.#closing ??= this.#shutDown(listener)
    return this.#closing
  }

  async #open(): Promise<void> {
    await openParts(this.#options, this.#parts)
    // The gateway may have been closed meanwhile. Then its schedule is stopped and must stay so.
    if (!this.#phase.becomeReady()) return
    this.#schedule.start([
      ...backgroundSchedule(this.#options, this.#parts, () => this.#jobs.runner.wake()),
      ...this.#jobs.applicationJobs.schedule,
    ])
    // Start the jobs last, because access to tenants is refused until the gateway is ready.
    this.#jobs.runner.start()
    this.#options.log.info({ version: VERSION, replicaId: this.#parts.replicaId }, 'ready')
  }

  #shutDown(listener: RequestListener): Promise<void> {
    const { settings, log } = this.#options
    const isServing = this.#phase.isServing()
    this.leave()
    return shutDown({
      listener,
      graceMs: settings.shutdownGraceMs,
      isServing,
      close: () => this.#closeParts(listener),
      log,
    })
  }

  async #closeParts(listener: RequestListener): Promise<void> {
    this.#phase.drain()
    const { catalog, pools, changes, identity } = this.#parts
    // Stop the workers at once, because a validation may last longer than the requests.
    const workers = [this.#schedule.stop(), this.#jobs.runner.stop()]
    await Promise.all([listener.close(), this.tenants.drain(), ...workers])
    await identity.clientKeys.flushLastUsed().catch(() => undefined)
    await catalog.auditTrail.flush()
    await pools.pools.close()
    // Leave the list of replicas last, because the other replicas then use this process's share of the connections.
    await changes.follower.stop()
    await catalog.pool.end()
  }
}

function createTenantWork(
  { log }: GatewayOptions,
  { catalog, changes, sessions }: Parts,
  { own, phase }: { own: Own; phase: ServingPhase },
): TenantWork {
  const { directory, auditTrail, store } = catalog
  return new TenantWork({
    directory,
    freshness: changes.freshness,
    sessions: sessions.sessions,
    log,
    schema: own.schema,
    note: (record) => auditTrail.note(record),
    list: (cursor) => listTenants(store, { limit: TENANT_PAGE_SIZE, status: 'ACTIVE', cursor }),
    assertServing: () => {
      if (phase.isStarting()) throw new Error('the gateway has not started: await gateway.start()')
      if (phase.isDraining()) throw new Error('the gateway is closed')
    },
  })
}

function createOperationsOf(
  { settings, databases, log }: GatewayOptions,
  { keyring, catalog, pools, changes, sessions, identity }: Parts,
  more: Pick<OperationsDeps, 'wake' | 'sharedStatus'>,
): Operations {
  return createOperations({
    store: catalog.store,
    vault: catalog.vault,
    keyring,
    directory: catalog.directory,
    registry: catalog.registry,
    sealOf: catalog.sealOf,
    pools: pools.pools,
    addresses: pools.addresses,
    budget: pools.budget,
    policy: pools.policy,
    shared: pools.shared.ownerAddress,
    ownAddresses: [databases.catalog, databases.shared],
    sslModeDefault: settings.sslModeDefault,
    hasher: identity.hasher,
    follower: changes.follower,
    release: catalog.release,
    schemas: sessions.schemas,
    log,
    sessionFor: (route) => sessions.sessions.openUnlisted(route),
    ...more,
    onChanged: (tenantId) => void pools.routeInvalidator.forget(tenantId),
  })
}

function nextDelay(delayMs: number): number {
  return Math.min(MAX_RETRY_MS, delayMs * 2)
}
