import type pg from 'pg'
import type { Route, RouteDatabase } from '../catalog/directory.ts'
import { fail } from '../errors.ts'
import { LeaseCache } from '../lib/lease-cache.ts'
import { type Ping, READS_ONLY, type ServerAddress } from '../lib/postgres/pg.ts'
import { ConnectionBudget } from './budget.ts'
import { BreakerBook, type BreakerBookOptions, type Way } from './opening/breakers.ts'
import { TenantPool } from './tenant-pool.ts'

export interface PoolManagerOptions {
  readonly maxPools: number
  readonly maxConnections: number
  readonly maxConnectionsPerServer: number
  readonly acquireTimeoutMs: number
  readonly statementTimeoutMs: number
  readonly shared: ServerAddress
  /** The same database, as the role that owns its tables; absent where that is the one that serves. */
  readonly sharedOwner?: ServerAddress
  readonly sharedPoolSize: number
  /** The address of a dedicated database; the password is opened from the catalog when the first connection asks for it. */
  readonly addressOf: (database: RouteDatabase, tenantId: string) => ServerAddress
  readonly onMismatch?: (mismatch: Mismatch) => void
  readonly onViolation?: (violation: Violation) => void
  /** Told when a database server goes out of reach, and when it is back. */
  readonly log?: NonNullable<BreakerBookOptions['log']>
}

/** A server broke the protocol, and lost the connection by it. */
export interface Violation {
  /** Both null for the shared database. */
  readonly tenantId: string | null
  readonly databaseId: string | null
  readonly error: unknown
}

/** A new connection led to another database than the one that was validated, and was destroyed unused. */
export interface Mismatch {
  /** Both null for the shared database. */
  readonly tenantId: string | null
  readonly databaseId: string | null
  /** False while it has been so since it was last told. */
  readonly isNews: boolean
}

type KeyedDatabase = Pick<RouteDatabase, 'id' | 'version' | 'databaseOid' | 'systemIdentifier'>
/** Which database was checked, under which version of its entry. */
type CheckedPlace = Omit<KeyedDatabase, 'version'> &
  Pick<RouteDatabase, 'host' | 'port'> & { rowVersion: number }

interface OwnPool {
  readonly key: string
  readonly closed: PromiseWithResolvers<void>
}

const SHARED_KEY = 'shared'
const OWNER_KEY = 'shared-owner'
const OWNER_POOL_SIZE = 2
const SHARED_CONNECT_TIMEOUT_MS = 5_000
const SHARED_IDLE_TIMEOUT_MS = 30_000
/** A tenant's server may be anybody's: what it says must not fill our memory. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024

/**
 * One pool for each (database, version of its entry, identity), opened by the first request that needs it and held by leases.
 * The LRU bounds the pools, the budget bounds the connections of all of them.
 */
export class PoolManager {
  readonly #options: PoolManagerOptions
  readonly #pools: LeaseCache<TenantPool>
  readonly #breakers: BreakerBook
  /** The pools of each tenant's own databases, also those that close: what a change has to wait for. */
  readonly #own = new Map<string, Map<TenantPool, OwnPool>>()
  readonly #ownerOf = new WeakMap<TenantPool, string>()
  readonly budget: ConnectionBudget

  constructor(options: PoolManagerOptions) {
    this.#options = options
    this.#breakers = new BreakerBook(options.log === undefined ? {} : { log: options.log })
    this.#pools = new LeaseCache(
      options.maxPools,
      (pool) => this.#closePool(pool),
      (pool) => pool.retire(),
    )
    this.budget = new ConnectionBudget({
      max: options.maxConnections,
      maxPerServer: options.maxConnectionsPerServer,
      victims: () => this.#pools.leastRecentlyUsed(),
    })
  }

  /**
   * Lends a connection to where the route leads.
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

  /** Lends a connection to the shared database to what only the owner of its tables may do. @throws as `run` */
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
    // Before the start has found out which database it is, none is the right one; that is no failure of the server.
    if (this.#options.shared.expected?.() === null) throw fail('TENANT_DATABASE_UNAVAILABLE')
    const lease = this.#pools.acquire(SHARED_KEY, () => this.#createPool(null, ''))
    const begun = performance.now()
    try {
      const { rows } = await lease.value.run(
        (client) => client.query<{ isReadOnly: boolean }>(`SELECT ${READS_ONLY} AS "isReadOnly"`),
        () => false,
      )
      const isReadOnly = rows[0]?.isReadOnly === true
      // The connection may be from before the database could be written to again.
      if (isReadOnly) lease.value.renew()
      return { latencyMs: performance.now() - begun, isReadOnly }
    } finally {
      lease.release()
    }
  }

  /** The tenants that have a pool of their own here, be it one that closes. */
  get owners(): string[] {
    return [...this.#own.keys()]
  }

  /** True if the tenant has a pool of its own here, be it one that closes. */
  hasPools(tenantId: string): boolean {
    return this.#own.has(tenantId)
  }

  /**
   * Closes the tenant's pools to which its route does not lead (any more), and resolves when those who use them are done;
   * who only waits is sent on. `serving` is the database that the route leads to, if it is one of the tenant's own.
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

  /** A check has reached a database in its own way: requests need not wait for the end of a pause. */
  answered({ rowVersion: version, ...database }: CheckedPlace): void {
    this.#breakers.answered(serverOf(database), keyOf({ ...database, version }))
  }

  /** True if the last attempts to reach where the route leads have failed, so that requests are refused for a while. */
  isDown(route: Route): boolean {
    if (route.placement === 'dedicated' && route.database?.status !== 'active') return true
    const database = databaseOf(route)
    const pool = this.#pools.peek(keyOf(database))
    return pool === undefined ? this.#wayTo(database).isOpen : pool.isDown
  }

  /** Servers and databases that attempts to connect have failed at, with none that succeeded since. */
  get broken(): { server: number; database: number } {
    return this.#breakers.broken
  }

  get size(): number {
    return this.#pools.size
  }

  /** Requests that wait for a connection now. */
  get waiting(): number {
    let waiting = 0
    for (const pool of this.#pools.leastRecentlyUsed()) waiting += pool.stats.waiting
    return waiting
  }

  /** Ends all pools when their last lease is released; resolves when the last connection is closed. */
  async close(): Promise<void> {
    const closed = this.#pools.close()
    for (const pool of this.#pools.leastRecentlyUsed()) pool.giveUp()
    await closed
    // A pool calls itself ended while its connections still say goodbye.
    await this.budget.emptied()
  }

  /** `database` is null for the shared one. */
  #createPool(database: RouteDatabase | null, tenantId: string): TenantPool {
    const { acquireTimeoutMs, statementTimeoutMs } = this.#options
    const whose = { tenantId: database === null ? null : tenantId, databaseId: database?.id ?? null }
    const limits =
      database === null
        ? {
            max: this.#options.sharedPoolSize,
            connectTimeoutMs: SHARED_CONNECT_TIMEOUT_MS,
            idleTimeoutMs: SHARED_IDLE_TIMEOUT_MS,
          }
        : {
            max: database.poolSize,
            connectTimeoutMs: database.connectTimeoutMs,
            idleTimeoutMs: database.idleTimeoutMs,
            maxAnswerBytes: MAX_ANSWER_BYTES,
          }
    const pool = new TenantPool({
      address: database === null ? this.#options.shared : this.#options.addressOf(database, tenantId),
      limits: { ...limits, statementTimeoutMs, plansOnce: true },
      acquireTimeoutMs,
      budget: this.budget,
      way: this.#wayTo(database),
      onMismatch: (isNews) => this.#options.onMismatch?.({ ...whose, isNews }),
      onViolation: (error) => this.#options.onViolation?.({ ...whose, error }),
    })
    if (database !== null) this.#keep(tenantId, pool, keyOf(database))
    return pool
  }

  #createOwnerPool(address: ServerAddress): TenantPool {
    const { acquireTimeoutMs, statementTimeoutMs } = this.#options
    const limits = {
      max: OWNER_POOL_SIZE,
      connectTimeoutMs: SHARED_CONNECT_TIMEOUT_MS,
      idleTimeoutMs: SHARED_IDLE_TIMEOUT_MS,
    }
    return new TenantPool({
      ...{ address, acquireTimeoutMs, budget: this.budget },
      limits: { ...limits, statementTimeoutMs },
      way: this.#breakers.wayTo(serverOf(address), OWNER_KEY),
      onMismatch: (isNews) => this.#options.onMismatch?.({ tenantId: null, databaseId: null, isNews }),
      onViolation: (error) => this.#options.onViolation?.({ tenantId: null, databaseId: null, error }),
    })
  }

  #keep(tenantId: string, pool: TenantPool, key: string): void {
    const pools = this.#own.get(tenantId) ?? new Map<TenantPool, OwnPool>()
    this.#own.set(tenantId, pools.set(pool, { key, closed: Promise.withResolvers() }))
    this.#ownerOf.set(pool, tenantId)
  }

  async #closePool(pool: TenantPool): Promise<void> {
    try {
      await pool.close()
    } finally {
      this.#forget(pool)
    }
  }

  #forget(pool: TenantPool): void {
    const tenantId = this.#ownerOf.get(pool)
    const pools = tenantId === undefined ? undefined : this.#own.get(tenantId)
    if (tenantId === undefined || pools === undefined) return
    pools.get(pool)?.closed.resolve()
    pools.delete(pool)
    if (pools.size === 0) this.#own.delete(tenantId)
  }

  #wayTo(database: RouteDatabase | null): Way {
    return this.#breakers.wayTo(serverOf(database ?? this.#options.shared), keyOf(database))
  }
}

function serverOf({ host, port }: { host: string; port: number }): string {
  return `${host}:${port}`
}

/** The identity is part of it: another database that an operator has accepted in the old one's place is another. */
function keyOf(database: KeyedDatabase | null): string {
  if (database === null) return SHARED_KEY
  const { id, version, databaseOid, systemIdentifier } = database
  return `${id}:${version}:${databaseOid}@${systemIdentifier}`
}

/** The database a route leads to; null is the shared one. @throws PublicError if it may not be used now */
function databaseOf(route: Route): RouteDatabase | null {
  if (route.placement === 'shared') return null
  const { database } = route
  if (database === null) throw fail('TENANT_DATABASE_UNAVAILABLE')
  if (database.status === 'pending_validation') throw fail('TENANT_DATABASE_PENDING')
  if (database.status !== 'active') throw fail('TENANT_DATABASE_UNAVAILABLE')
  return database
}
