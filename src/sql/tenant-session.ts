import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import type { Freshness } from '../catalog/changes/freshness.ts'
import type { Route } from '../catalog/directory.ts'
import { fail } from '../errors.ts'
import type { PoolManager } from '../pools/pool-manager.ts'
import { RouteChangedError } from '../pools/route-changed.ts'
import { markDirty } from '../pools/wire/dirty-connections.ts'
import { isOrderly } from '../pools/wire/statement-fault.ts'
import { CurrentRoute, type RouteSource } from './current-route.ts'
import { entranceOf, type RunOptions, runStatement } from './run-statement.ts'
import type { SessionStatement, TenantDb, TenantSession } from './session.ts'
import { type StatementKind, servedKindOf } from './statement-kind.ts'
import { publicError, verdictOn } from './statement-verdict.ts'
import { tenantDb } from './tenant-db.ts'
import { Transaction } from './tenant-transaction.ts'
import type { SqlTrace } from './trace.ts'

export interface SessionOptions {
  readonly pools: PoolManager
  readonly routes: RouteSource
  /** How long a statement waits while the tenant is fenced, because it is being moved. */
  readonly fenceTimeoutMs: number
  /**
   * Called when waiting for a fence has failed: the gateway that set it may be dead. Also called when the tenant does not live
   * where its route leads, although the route was read again: the catalog may have been restored from a backup.
   */
  readonly onStuck: (tenantId: string) => void
  /** Whether the database that the route leads to lacks migrations of this release. */
  readonly isBehind?: (route: Route) => boolean
  /** The session runs SQL of an application: a connection is cleaned after it, before it is lent again. */
  readonly ownSql?: boolean
  /** Told of each unit; for development. */
  readonly trace?: SqlTrace
}

const FENCE_POLL_MS = 25
const MAX_ATTEMPTS = 3

/**
 * Runs the statements of one tenant, each along the tenant's route as it stands when the statement begins. A change that this
 * process has heard of counts at once, also for a request that came before it. If the database says that the tenant has moved,
 * the session reads the route again and follows the tenant.
 */
export class RoutedSession implements TenantSession {
  readonly db: TenantDb
  readonly #options: SessionOptions
  readonly #lapses: number
  readonly #ownSql: boolean
  readonly #traced: RunOptions['traced']
  #route: Route

  constructor(route: Route, options: SessionOptions) {
    this.#route = route
    this.#options = options
    this.#ownSql = options.ownSql === true
    const { trace } = options
    this.#traced = trace === undefined ? undefined : { trace, tenantId: route.tenantId }
    this.#lapses = options.routes.freshness.lapses
    this.db = tenantDb(this)
  }

  get tenantId(): string {
    return this.#route.tenantId
  }

  /** @throws PublicError; what the database says about values and constraints */
  async run<Row>(statement: SessionStatement): Promise<pg.QueryResult<Row & pg.QueryResultRow>> {
    const kind = statement.kind ?? servedKindOf(statement.text)
    return this.#attempt((current) => {
      const ownSql = this.#ownSql
      const options: RunOptions = {
        entrance: entranceOf(current.route),
        begin: false,
        writes: kind === 'write',
        ownSql,
        traced: this.#traced,
      }
      const run = async (client: pg.ClientBase) => {
        current.assertCurrent()
        if (ownSql) markDirty(client)
        return runStatement<Row>(client, statement, options)
      }
      return this.#options.pools.run(current.route, run, leavesInOrder)
    }, kind)
  }

  /**
   * Runs `fn` in one transaction. If the tenant has moved, or the connection was lost, before the first statement reached
   * its database, nothing was done and `fn` is called again.
   * @throws PublicError TENANT_DATABASE_UNAVAILABLE, NO_CONNECTION_AVAILABLE: nothing was done; OUTCOME_UNKNOWN where the
   *   connection was lost while COMMIT was on its way; what `fn` throws
   */
  transaction<T>(fn: (db: TenantDb, inside: TenantSession) => Promise<T>): Promise<T> {
    return this.#attempt(async (current) => {
      let transaction: Transaction | null = null
      return this.#options.pools.run(
        current.route,
        async (client) => {
          if (this.#ownSql) markDirty(client)
          transaction = new Transaction(client, current, { ownSql: this.#ownSql, traced: this.#traced })
          return transaction.commitAfter(fn)
        },
        () => transaction?.isClean === true,
      )
    }, 'transaction')
  }

  async #attempt<T>(work: (current: CurrentRoute) => Promise<T>, kind: StatementKind): Promise<T> {
    const { routes, fenceTimeoutMs, onStuck, isBehind } = this.#options
    const deadline = performance.now() + fenceTimeoutMs
    for (let attempts = 1; ; ) {
      this.#assertNotMissed()
      // Without `await` where the route is in the cache: the request goes on in the same turn of the event loop.
      const current = this.#present() ?? (await this.#read())
      try {
        return await work(current)
      } catch (error) {
        if (error instanceof RouteChangedError) {
          if (performance.now() > deadline) throw fail('TENANT_DATABASE_UNAVAILABLE', { cause: error })
          if (routes.freshness.isOver) await routes.freshness.renew()
          continue
        }
        const verdict = verdictOn(error, { kind, attempts, ownSql: this.#ownSql })
        if (verdict === 'fenced') {
          if (performance.now() > deadline) {
            onStuck(this.tenantId)
            throw fail('TENANT_DATABASE_UNAVAILABLE', { cause: error })
          }
          await delay(FENCE_POLL_MS)
        } else {
          if (verdict === 'stale' && attempts >= MAX_ATTEMPTS) onStuck(this.tenantId)
          if (verdict === 'final' || attempts >= MAX_ATTEMPTS)
            throw publicError(error, kind, () => isBehind?.(current.route) === true)
          attempts += 1
        }
        if (verdict !== 'again') this.#adopt(await routes.refresh(current.route))
      }
    }
  }

  /**
   * A caller who was let in before this process missed changes may have been locked out by one of them.
   * @throws PublicError CATALOG_UNAVAILABLE
   */
  #assertNotMissed(): void {
    if (this.#options.routes.freshness.lapses !== this.#lapses) throw fail('CATALOG_UNAVAILABLE')
  }

  /** Null where the route has to be read, because of a change or its age. @throws PublicError TENANT_NOT_FOUND */
  #present(): CurrentRoute | null {
    const { routes } = this.#options
    const route = routes.directory.peekById(this.tenantId)
    if (route === undefined) return null
    this.#adopt(route)
    return new CurrentRoute(route, routes)
  }

  /** @throws PublicError TENANT_NOT_FOUND, CATALOG_UNAVAILABLE */
  async #read(): Promise<CurrentRoute> {
    const { routes } = this.#options
    for (;;) {
      const route = this.#adopt(await routes.directory.byId(this.tenantId))
      // A change may have been heard of between the answer's arrival and this line.
      if (routes.directory.holds(route)) return new CurrentRoute(route, routes)
    }
  }

  /** A caller of an ACTIVE tenant is refused once it is INACTIVE. Operators begin with one that is INACTIVE, and go on. */
  #adopt(route: Route | null): Route {
    if (route === this.#route) return route
    if (route === null || (route.status !== 'ACTIVE' && this.#route.status === 'ACTIVE'))
      throw fail('TENANT_NOT_FOUND')
    this.#route = route
    return route
  }
}

/** True if the connection is fit for the next request after this error. */
function leavesInOrder(error: unknown): boolean {
  return error instanceof RouteChangedError || isOrderly(error)
}

export interface TenantSessionsOptions extends Omit<SessionOptions, 'routes' | 'ownSql'> {
  readonly directory: RouteSource['directory']
  readonly freshness: Freshness
  /** Forgets a tenant's route, and closes the pool that it no longer leads to. */
  readonly forget: (tenantId: string) => void
}

export interface OpenOptions {
  /**
   * The session runs SQL of an application, and with it whatever was injected into that: a connection is cleaned before it is
   * lent again. Sessions for the core's own statements save that.
   */
  readonly ownSql?: boolean
}

interface Opened {
  readonly session: TenantSession
  readonly lapses: number
}

/**
 * The sessions of all routes, one for each. A session holds no connection, so all requests along a route share it. After changes
 * were missed it is not used any more: a caller who is authenticated later gets a new one.
 */
export class TenantSessions {
  readonly #options: SessionOptions
  readonly #sessions = { core: new WeakMap<Route, Opened>(), ownSql: new WeakMap<Route, Opened>() }

  constructor({ directory, freshness, forget, ...options }: TenantSessionsOptions) {
    const refresh = (stale: Route) => {
      // Only the first session that finds a route wrong has it read again; the others wait for the same answer.
      if (directory.peekById(stale.tenantId) === stale) forget(stale.tenantId)
      return directory.byId(stale.tenantId)
    }
    this.#options = { ...options, routes: { directory, freshness, refresh } }
  }

  open(route: Route, { ownSql = false }: OpenOptions = {}): TenantSession {
    const sessions = ownSql ? this.#sessions.ownSql : this.#sessions.core
    const known = sessions.get(route)
    const { lapses } = this.#options.routes.freshness
    if (known?.lapses === lapses) return known.session
    const session = new RoutedSession(route, { ...this.#options, ownSql })
    sessions.set(route, { session, lapses })
    return session
  }

  /** For a tenant that is being created: the catalog has no route of it yet, so the route is the given one. */
  openUnlisted(route: Route): TenantSession {
    const given = async () => route
    const directory = { peekById: () => route, byId: given, generation: 0, holds: () => true }
    const { freshness } = this.#options.routes
    return new RoutedSession(route, { ...this.#options, routes: { directory, freshness, refresh: given } })
  }
}
