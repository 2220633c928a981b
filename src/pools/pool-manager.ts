import type pg from 'pg'
import type { Route, RouteDatabase } from '../catalog/directory.ts'
import { fail } from '../errors.ts'
import { LeaseCache } from '../lib/cache/lease-cache.ts'
import { type Ping, READS_ONLY, type ServerAddress } from '../lib/postgres/pg.ts'
import type { ClosedConnection, Mismatch } from './alarms.ts'
import { ConnectionBudget } from './budget.ts'
import { type Attempts, Breakers, type BreakersOptions } from './opening/breakers.ts'
import { limitsOf, ownerLimits } from './pool-limits.ts'
import { NO_POOL, type PoolView } from './pool-view.ts'
import { TenantPool } from './tenant-pool.ts'

export interface PoolManagerOptions {
  readonly maxPools: number
  readonly maxConnections: number
  readonly maxConnectionsPerServer: number
  readonly acquireTimeoutMs: number
  readonly statementTimeoutMs: number
  readonly shared: ServerAddress
  /** The shared database with the role that owns its tables. Absent if the serving role owns them. */
  readonly sharedOwner?: ServerAddress
  readonly sharedPoolSize: number
  /** The address of a dedicated database. The password is decrypted when the first connection asks for it. */
  readonly addressOf: (database: RouteDatabase, tenantId: string) => ServerAddress
  readonly onMismatch?: (mismatch: Mismatch) => void
  readonly onViolation?: (violation: ClosedConnection) => void
  readonly onFault?: (fault: ClosedConnection) => void
  /** Logs when a database server becomes unreachable and when it is reachable again. */
  readonly log?: NonNullable<BreakersOptions['log']>
}

type KeyedDatabase = Pick<RouteDatabase, 'id' | 'version' | 'databaseOid' | 'systemIdentifier'>
/** A database that a check outside the pools has reached. */
type CheckedDatabase = Omit<KeyedDatabase, 'version'> &
  Pick<RouteDatabase, 'host' | 'port'> & { rowVersion: number }
type Refusal = 'TENANT_DATABASE_PENDING' | 'TENANT_DATABASE_UNAVAILABLE'

interface OwnPool {
  readonly key: string
  readonly closed: PromiseWithResolvers<void>
}

const SHARED_KEY = 'shared'
const OWNER_KEY = 'shared-owner'
const SHARED_IDS = { tenantId: null, databaseId: null }

/**
 * Has one pool for each database, version of its entry and identity. The first request that needs a pool creates it, and each
 * request holds a lease on its pool. The cache limits the number of pools that hold connections, and the budget limits their
 * connections.
 */
export class PoolManager {
  readonly #options: PoolManagerOptions
  readonly #pools: LeaseCache<TenantPool>
  readonly #breakers: Breakers
  /** The pools of each tenant's dedicated databases, closing ones included, because a change of the route waits for those. */
  readonly #own = new Map<string, Map<TenantPool, OwnPool>>()
  readonly #ownerOf = new WeakMap<TenantPool, string>()
  readonly budget: ConnectionBudget

  constructor(options: PoolManagerOptions) {
    this.#options = options
    this.#breakers = new Breakers(options.log === undefined ? {} : { log: options.log })
    this.#pools = new LeaseCache({
      max: options.maxPools,
      close: (pool) => this.#closePool(pool),
      onRetired: (pool) => pool.retire(),
      takesPlace: (pool) => pool.held > 0,
      // Those who keep connections lease the pool as long as they have them.
      isUsed: (pool, leases) => leases > pool.kept.size,
    })
    this.budget = new ConnectionBudget({
      max: options.maxConnections,
      maxPerServer: options.maxConnectionsPerServer,
      victims: () => this.#pools.leastUsed(),
    })
  }

  /**
   * Lends a connection to the database of the route.
   * @throws PublicError TENANT_DATABASE_PENDING, TENANT_DATABASE_UNAVAILABLE, NO_CONNECTION_AVAILABLE
   */
  async run<T>(
    route: Route,
    fn: (client: pg.PoolClient) => Promise<T>,
    keep: (error: unknown) => boolean,
  ): Promise<T> {
    const database = databaseOf(route)
    const lease = this.#pools.acquire(keyOf(database), () => this.#createPool(database, route.tenantId))
    try {
      return await lease.value.run(fn, keep)
    } finally {
      lease.release()
    }
  }

  /**
   * The pool of the route's database, if it is open. This counts as so many uses of it.
   * @throws PublicError TENANT_DATABASE_PENDING, TENANT_DATABASE_UNAVAILABLE
   */
  openPool(route: Route, uses = 1): TenantPool | undefined {
    return this.#pools.use(keyOf(databaseOf(route)), uses)
  }

  /** Lends a connection to the shared database as the owner of its tables. @throws as `run` */
  async runAsOwner<T>(
    fn: (client: pg.PoolClient) => Promise<T>,
    keep: (error: unknown) => boolean,
  ): Promise<T> {
    const { sharedOwner } = this.#options
    const lease =
      sharedOwner === undefined
        ? this.#pools.acquire(SHARED_KEY, () => this.#createPool(null, ''))
        : this.#pools.acquire(OWNER_KEY, () => this.#createOwnerPool(sharedOwner))
    try {
      return await lease.value.run(fn, keep)
    } finally {
      lease.release()
    }
  }

  /** One round trip to the shared database. @throws as `run` */
  async pingShared(): Promise<Ping> {
    // No connection is accepted before the start has read the database's identity. The breaker must not count that as a failure.
    if (this.#options.shared.expected?.() === null) throw fail('TENANT_DATABASE_UNAVAILABLE')
    const lease = this.#pools.acquire(SHARED_KEY, () => this.#createPool(null, ''))
    const begun = performance.now()
    try {
      const { rows } = await lease.value.run(
        (client) => client.query<{ isReadOnly: boolean }>(`SELECT ${READS_ONLY} AS "isReadOnly"`),
        () => false,
      )
      const isReadOnly = rows[0]?.isReadOnly === true
      // This connection may have been opened while the database was read-only.
      if (isReadOnly) lease.value.renew()
      return { latencyMs: performance.now() - begun, isReadOnly }
    } finally {
      lease.release()
    }
  }

  /** The tenants that have a pool of their own here, open or closing. */
  get owners(): string[] {
    return [...this.#own.keys()]
  }

  /** True if the tenant has a pool of its own here, open or closing. */
  hasPools(tenantId: string): boolean {
    return this.#own.has(tenantId)
  }

  /**
   * Closes the pools of a tenant's dedicated databases, except the pool of `serving`, the database of its route. Resolves when no
   * request uses the closed pools. Requests that wait there for a connection get a RouteChangedError.
   */
  async retireAllBut(tenantId: string, serving: RouteDatabase | null): Promise<void> {
    const kept = serving === null ? null : keyOf(serving)
    const left = [...(this.#own.get(tenantId) ?? [])].filter(([, { key }]) => key !== kept)
    for (const [pool, { key }] of left) {
      this.#breakers.forget(key)
      pool.dismiss()
      void this.#pools.evict(key)
    }
    await Promise.all(left.map(([, { closed }]) => closed.promise))
  }

  /** Call after a check outside the pools has reached the database. Ends its backoff. */
  answered({ rowVersion: version, ...database }: CheckedDatabase): void {
    this.#breakers.answered(serverOf(database), keyOf({ ...database, version }))
  }

  /**
   * The code with which requests for the route are refused now, because its database is not active or the last attempts to reach it
   * failed. Null if a request gets a connection or waits for one.
   */
  refusalOf(route: Route): Refusal | null {
    const refusal = refusalByStatus(route)
    if (refusal !== null) return refusal
    const database = databaseOf(route)
    const pool = this.#pools.peek(keyOf(database))
    const isDown = pool === undefined ? this.#attemptsTo(database).isOpen : pool.isDown
    return isDown ? 'TENANT_DATABASE_UNAVAILABLE' : null
  }

  /** The pool and the breaker of the route's database. Opens nothing, and counts as no use. */
  inspect({ placement, database }: Route): PoolView {
    if (placement === 'dedicated' && database === null) return NO_POOL
    const target = placement === 'shared' ? null : database
    const pool = this.#pools.peek(keyOf(target))
    const { open, idle, waiting } = pool?.stats ?? NO_POOL
    const server = serverOf(target ?? this.#options.shared)
    return { open, idle, waiting, lanes: pool?.kept.size ?? 0, server, ...this.#attemptsTo(target).state }
  }

  /** How many servers and databases have failed since their last success. */
  get broken(): { server: number; database: number } {
    return this.#breakers.failing
  }

  get size(): number {
    return this.#pools.size
  }

  /** Requests that wait for a connection now. */
  get waiting(): number {
    let waiting = 0
    for (const pool of this.#pools.leastUsed()) waiting += pool.stats.waiting
    return waiting
  }

  /** Ends all pools when their last lease is released; resolves when the last connection is closed. */
  async close(): Promise<void> {
    const closed = this.#pools.close()
    for (const pool of this.#pools.leastUsed()) pool.cutPending()
    await closed
    // pg-pool reports its end while its last connections are still closing.
    await this.budget.emptied()
  }

  /** `database` is null for the shared one. */
  #createPool(database: RouteDatabase | null, tenantId: string): TenantPool {
    const { shared, addressOf } = this.#options
    const ids = database === null ? SHARED_IDS : { tenantId, databaseId: database.id }
    const pool = new TenantPool({
      ...this.#commonOptions(ids),
      address: database === null ? shared : addressOf(database, tenantId),
      limits: limitsOf(database, this.#options),
      attempts: this.#attemptsTo(database),
    })
    if (database !== null) this.#keep(tenantId, pool, keyOf(database))
    return pool
  }

  #createOwnerPool(address: ServerAddress): TenantPool {
    return new TenantPool({
      ...this.#commonOptions(SHARED_IDS),
      address,
      limits: ownerLimits(this.#options),
      attempts: this.#breakers.attemptsTo(serverOf(address), OWNER_KEY),
    })
  }

  #commonOptions(ids: Pick<Mismatch, 'tenantId' | 'databaseId'>) {
    const { acquireTimeoutMs, onMismatch, onViolation, onFault } = this.#options
    return {
      acquireTimeoutMs,
      budget: this.budget,
      onMismatch: (isNews: boolean) => onMismatch?.({ ...ids, isNews }),
      onViolation: (error: unknown) => onViolation?.({ ...ids, error }),
      onFault: (error: unknown) => onFault?.({ ...ids, error }),
    }
  }

  #keep(tenantId: string, pool: TenantPool, key: string): void {
    const pools = this.#own.get(tenantId) ?? new Map<TenantPool, OwnPool>()
    this.#own.set(tenantId, pools.set(pool, { key, closed: Promise.withResolvers() }))
    this.#ownerOf.set(pool, tenantId)
  }

  #closePool(pool: TenantPool): Promise<void> {
    return pool.close().finally(() => this.#forget(pool))
  }

  #forget(pool: TenantPool): void {
    const tenantId = this.#ownerOf.get(pool)
    const pools = tenantId === undefined ? undefined : this.#own.get(tenantId)
    if (tenantId === undefined || pools === undefined) return
    pools.get(pool)?.closed.resolve()
    pools.delete(pool)
    if (pools.size === 0) this.#own.delete(tenantId)
  }

  #attemptsTo(database: RouteDatabase | null): Attempts {
    return this.#breakers.attemptsTo(serverOf(database ?? this.#options.shared), keyOf(database))
  }
}

function serverOf({ host, port }: { host: string; port: number }): string {
  return `${host}:${port}`
}

/** Includes the identity, because an operator may accept another database under the same entry. */
function keyOf(database: KeyedDatabase | null): string {
  if (database === null) return SHARED_KEY
  const { id, version, databaseOid, systemIdentifier } = database
  return `${id}:${version}:${databaseOid}@${systemIdentifier}`
}

/** The database of a route; null is the shared one. @throws PublicError if it may not be used now */
function databaseOf(route: Route): RouteDatabase | null {
  const refusal = refusalByStatus(route)
  if (refusal !== null) throw fail(refusal)
  return route.placement === 'shared' ? null : route.database
}

/** The code with which the database of a route refuses requests by its status; null if it may be used. */
function refusalByStatus({ placement, database }: Route): Refusal | null {
  if (placement === 'shared' || database?.status === 'active') return null
  return database?.status === 'pending_validation' ? 'TENANT_DATABASE_PENDING' : 'TENANT_DATABASE_UNAVAILABLE'
}
