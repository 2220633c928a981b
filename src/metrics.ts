import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

/** The state of the pools and caches at the moment of a scrape. */
export interface PoolGauges {
  readonly activePools: number
  readonly openConnections: number
  readonly maxConnections: number
  /** Requests that wait for a connection. */
  readonly waiting: number
  readonly cachedRoutes: number
  /** Breakers that are not closed, for servers and for single databases. */
  readonly openBreakers: { readonly server: number; readonly database: number }
}

/** The state of the lanes at the moment of a scrape. */
export interface LaneGauges {
  readonly open: number
  /** Units that lanes have answered. */
  readonly answered: number
  /** Units on lanes. */
  readonly inFlight: number
  /** Units that wait for a lane. */
  readonly waiting: number
  /** How long the oldest unit on a lane has run. */
  readonly oldestMs: number
}

/**
 * The metrics of one gateway. It has its own registry, so two gateways in one process do not mix. No label names a tenant, so
 * the number of time series does not grow with the tenants.
 */
export class Metrics {
  readonly #registry = new Registry()
  /** In seconds. `route` is the template (`/api/v1/users/:id`), never the path of the request. */
  readonly requests: Histogram<'method' | 'route' | 'status'>
  readonly #validations: Counter<'outcome'>
  readonly #transitions: Counter<'from' | 'to'>
  readonly #rewrapped: Counter
  readonly #mismatches: Counter
  readonly #jobs: Histogram<'kind' | 'outcome'>
  readonly #jobTenants: Counter<'job' | 'outcome'>
  readonly #laneReruns: Counter<'reason'>

  constructor() {
    const registers = [this.#registry]
    collectDefaultMetrics({ register: this.#registry })
    this.requests = new Histogram({
      name: 'freehold_http_request_duration_seconds',
      help: 'Time from the first byte of a request to the end of its answer',
      labelNames: ['method', 'route', 'status'],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    })
    this.#validations = new Counter({
      name: 'freehold_database_validations_total',
      help: 'Validations of tenant databases by outcome: ok, or the code of the error',
      labelNames: ['outcome'],
      registers,
    })
    this.#transitions = new Counter({
      name: 'freehold_database_transitions_total',
      help: 'Changes of the status of tenant databases',
      labelNames: ['from', 'to'],
      registers,
    })
    // `increase()` of Prometheus does not see the first event of a series that begins at 1.
    this.#transitions.inc({ from: 'active', to: 'inactive' }, 0)
    this.#transitions.inc({ from: 'inactive', to: 'active' }, 0)
    this.#rewrapped = new Counter({
      name: 'freehold_data_keys_rewrapped_total',
      help: 'Data keys wrapped again by rotations of the master key',
      registers,
    })
    this.#jobs = new Histogram({
      name: 'freehold_job_duration_seconds',
      help: 'Time that this process worked on a job, by kind and outcome',
      labelNames: ['kind', 'outcome'],
      buckets: [0.05, 0.25, 1, 5, 15, 60, 300, 1800, 7200],
      registers,
    })
    this.#jobTenants = new Counter({
      name: 'freehold_job_tenants_total',
      help: 'Tenants that jobs of the application processed, or skipped because their database was not available',
      labelNames: ['job', 'outcome'],
      registers,
    })
    this.#laneReruns = new Counter({
      name: 'freehold_lane_reruns_total',
      help: 'Reads that no lane could answer and that ran again on a connection of their own, by reason',
      labelNames: ['reason'],
      registers,
    })
    this.#mismatches = new Counter({
      name: 'freehold_identity_mismatches_total',
      help: 'Connections refused because they led to another database than the validated one',
      registers,
    })
  }

  /** The end of one claim on a job, and its duration. */
  observeJob(labels: { kind: string; outcome: string }, seconds: number): void {
    this.#jobs.observe(labels, seconds)
  }

  countJobTenant(job: string, outcome: string): void {
    this.#jobTenants.inc({ job, outcome })
  }

  countLaneRerun(reason: string): void {
    this.#laneReruns.inc({ reason })
  }

  countValidation(outcome: string): void {
    this.#validations.inc({ outcome })
  }

  countTransition(from: string, to: string): void {
    this.#transitions.inc({ from, to })
  }

  countIdentityMismatch(): void {
    this.#mismatches.inc()
  }

  countRewrapped(count: number): void {
    this.#rewrapped.inc(count)
  }

  /** Reads at each scrape how many of the master keys that data keys need are missing. */
  watchMissingKeys(read: () => number): void {
    this.#gauge(
      'freehold_encryption_keys_missing',
      'Master keys that data keys need but that were not given',
      read,
    )
  }

  /** Reads at each scrape how many databases are in each state of their schema. */
  watchSchemas(read: () => Readonly<Record<string, number>>): void {
    new Gauge({
      name: 'freehold_database_schemas',
      help: 'Databases that serve tenants, including the shared one, by the state of their schema',
      labelNames: ['state'],
      registers: [this.#registry],
      collect() {
        for (const [state, count] of Object.entries(read())) this.set({ state }, count)
      },
    })
  }

  /** Reads at each scrape how far the catalog's clock is ahead. No value before the first measurement. */
  watchClockSkew(read: () => number | null): void {
    new Gauge({
      name: 'freehold_catalog_clock_skew_seconds',
      help: "Seconds by which the catalog's clock is ahead of the clock of this process",
      registers: [this.#registry],
      collect() {
        const seconds = read()
        if (seconds === null) this.reset()
        else this.set(seconds)
      },
    })
  }

  /** Reads the gauges at each scrape. Call it once only. */
  watchPools(read: () => PoolGauges): void {
    this.#gauge('freehold_pools_open', 'Tenant pools that are open', () => read().activePools)
    this.#gauge('freehold_connections_open', 'Server connections held', () => read().openConnections)
    this.#gauge('freehold_connections_max', 'Server connections allowed', () => read().maxConnections)
    this.#gauge('freehold_connection_waiters', 'Requests waiting for a connection', () => read().waiting)
    this.#gauge('freehold_route_cache_size', 'Routing entries kept', () => read().cachedRoutes)
    new Gauge({
      name: 'freehold_breakers_open',
      help: 'Database servers and databases to which no connection is attempted for a while, because earlier attempts failed',
      labelNames: ['kind'],
      registers: [this.#registry],
      collect() {
        for (const [kind, count] of Object.entries(read().openBreakers)) this.set({ kind }, count)
      },
    })
  }

  /** Reads the gauges at each scrape. To be called once. */
  watchLanes(read: () => LaneGauges): void {
    new Counter({
      name: 'freehold_lane_reads_total',
      help: 'Reads that lanes have answered',
      registers: [this.#registry],
      collect() {
        this.reset()
        this.inc(read().answered)
      },
    })
    this.#gauge('freehold_lanes_open', 'Connections that are lanes', () => read().open)
    this.#gauge('freehold_lane_units', 'Units that run on lanes', () => read().inFlight)
    this.#gauge('freehold_lane_waiters', 'Units that wait for a lane', () => read().waiting)
    this.#gauge(
      'freehold_lane_oldest_unit_seconds',
      'How long the oldest unit on a lane has run',
      () => read().oldestMs / 1000,
    )
  }

  #gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.set(read())
      },
    })
  }

  /** The Prometheus text format and its media type. */
  async render(): Promise<{ contentType: string; text: string }> {
    return { contentType: this.#registry.contentType, text: await this.#registry.metrics() }
  }
}
