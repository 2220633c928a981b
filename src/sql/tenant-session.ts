import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import type { Freshness } from '../catalog/changes/freshness.ts'
import { isServed, type Route } from '../catalog/directory.ts'
import { fail } from '../errors.ts'
import type { PoolManager } from '../pools/pool-manager.ts'
import { RouteChangedError } from '../pools/route-changed.ts'
import { markDirty } from '../pools/wire/dirty-connections.ts'
import { isOrderly } from '../pools/wire/statement-fault.ts'
import { CurrentRoute, type RouteSource, tenantCheckOf } from './current-route.ts'
import type { LaneGroup } from './lanes/lane-group.ts'
import type { Lanes } from './lanes/lanes.ts'
import { type RunOptions, runStatement } from './run-statement.ts'
import type { SessionStatement, TenantDb, TenantSession } from './session.ts'
import { type StatementKind, servedKindOf } from './statement-kind.ts'
import { publicError, verdictOn } from './statement-verdict.ts'
import { tenantDb } from './tenant-db.ts'
import { Transaction } from './tenant-transaction.ts'
import { type SqlTrace, traced } from './trace.ts'
import type { WireRow } from './wire/row-reader.ts'

export interface SessionOptions {
  readonly pools: PoolManager
  /** Absent: every statement runs on a connection of its own. */
  readonly lanes?: Lanes
  readonly routes: RouteSource
  /** How long a statement waits while the tenant is fenced during a move. */
  readonly fenceTimeoutMs: number
  /**
   * Called when the wait for a fence timed out, because the gateway that set the fence may be dead. Also called when the database
   * still refuses a route that was read again, because the catalog may have been restored from a backup.
   */
  readonly onStuck: (tenantId: string) => void
  /** True if the database of the route lacks migrations of this release. */
  readonly isBehind?: (route: Route) => boolean
  /** True if the session runs SQL of an application. A connection is then cleaned before it is lent again. */
  readonly ownSql?: boolean
  /** Called for each unit; for development. */
  readonly trace?: SqlTrace
}

const FENCE_POLL_MS = 25
const MAX_ATTEMPTS = 3

/**
 * Runs the statements of one tenant. Each statement uses the route that is current when it begins, so a change of the route counts
 * at once, also for running requests. If the database says that the tenant has moved, the session reads the route again.
 */
export class RoutedSession implements TenantSession {
  readonly db: TenantDb
  readonly #options: SessionOptions
  readonly #lapses: number
  readonly #ownSql: boolean
  readonly #traced: RunOptions['traced']
  #route: Route
  /** The lanes to the database of the route. Null until a statement wants one. */
  #lanes: LaneGroup | null = null

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

  /** @throws PublicError; the errors of the database about values and constraints */
  async run<Row>(statement: SessionStatement): Promise<pg.QueryResult<Row & pg.QueryResultRow>> {
    const kind = statement.kind ?? servedKindOf(statement.text)
    return this.#attempt((current) => {
      const alone = () => this.#runAlone<Row>(current, statement, kind)
      const lanes = this.#lanesFor(statement, current.route)
      if (lanes === null) return alone()
      const onLane = this.#runOnLane<Row>(lanes, current, statement)
      return onLane === null
        ? alone().finally(() => lanes.ranAlone(current.route))
        : onLane.then((result) => result ?? alone())
    }, kind)
  }

  /** Null if no lane takes such a statement, or none can be there yet. @throws PublicError if the database may not be used now */
  #lanesFor({ wire }: SessionStatement, route: Route): LaneGroup | null {
    if (wire === undefined || this.#ownSql) return null
    if (this.#lanes === null || this.#lanes.isOver) this.#lanes = this.#options.lanes?.groupOf(route) ?? null
    return this.#lanes
  }

  /** Null if the statement must run on a connection of its own, at once or after a lane could not answer it. */
  #runOnLane<Row>(
    lanes: LaneGroup,
    current: CurrentRoute,
    { wire, values, text }: SessionStatement,
  ): Promise<pg.QueryResult<Row & pg.QueryResultRow> | null> | null {
    const rows = wire === undefined ? null : lanes.run({ current, statement: wire, values })
    if (rows === null) return null
    const result = rows.then((found) => (found === null ? null : resultOf<Row>(found)))
    if (this.#traced === undefined) return result
    return traced({ ...this.#traced, text, isNamed: true }, () => result)
  }

  #runAlone<Row>(current: CurrentRoute, statement: SessionStatement, kind: StatementKind) {
    const ownSql = this.#ownSql
    const options: RunOptions = {
      tenantCheck: tenantCheckOf(current.route),
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
    return this.#options.pools.run(current.route, run, isReusableAfter)
  }

  /**
   * Runs `fn` in one transaction. If the tenant moved or the connection was lost before the first statement ran, nothing was done
   * and `fn` is called again.
   * @throws PublicError TENANT_DATABASE_UNAVAILABLE, NO_CONNECTION_AVAILABLE: nothing was done; OUTCOME_UNKNOWN if the
   *   connection was lost after COMMIT was sent; what `fn` throws
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
      // No `await` if the route is in the cache, so that the request continues in the same turn of the event loop.
      const current = this.#cached() ?? (await this.#read())
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
   * One of the missed changes may have taken the caller's access away.
   * @throws PublicError CATALOG_UNAVAILABLE
   */
  #assertNotMissed(): void {
    if (this.#options.routes.freshness.lapses !== this.#lapses) throw fail('CATALOG_UNAVAILABLE')
  }

  /** Null if the catalog must be asked, because the route has changed or is too old. @throws PublicError TENANT_NOT_FOUND */
  #cached(): CurrentRoute | null {
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
      // This process may have heard of a change after the directory answered.
      if (routes.directory.holds(route)) return new CurrentRoute(route, routes)
    }
  }

  /** Refuses if the tenant was ACTIVE and no longer is. An operator's session begins with an INACTIVE tenant and may continue. */
  #adopt(route: Route | null): Route {
    if (route === this.#route) return route
    if (route === null || (!isServed(route) && isServed(this.#route))) throw fail('TENANT_NOT_FOUND')
    this.#route = route
    this.#lanes = null
    return route
  }
}

/** As pg reports the rows of a read. */
function resultOf<Row>(rows: WireRow[]): pg.QueryResult<Row & pg.QueryResultRow> {
  return {
    rows: rows as (Row & pg.QueryResultRow)[],
    rowCount: rows.length,
    command: 'SELECT',
    oid: 0,
    fields: [],
  }
}

/** True if the connection may serve the next request after this error. */
function isReusableAfter(error: unknown): boolean {
  return error instanceof RouteChangedError || isOrderly(error)
}

export interface TenantSessionsOptions extends Omit<SessionOptions, 'routes' | 'ownSql'> {
  readonly directory: RouteSource['directory']
  readonly freshness: Freshness
  /** Drops a tenant's route from memory, and closes the pools that its new route does not use. */
  readonly forget: (tenantId: string) => void
}

export interface OpenOptions {
  /**
   * True if the session runs SQL of an application, which an attacker may have changed by injection. A connection is then cleaned
   * before it is lent again. Sessions for the core's own statements need no cleaning.
   */
  readonly ownSql?: boolean
}

interface Opened {
  readonly session: TenantSession
  readonly lapses: number
}

/**
 * The sessions of all routes. A session holds no connection, so all requests with the same route share one. If this process has
 * missed changes, callers who are authenticated later get a new session.
 */
export class TenantSessions {
  readonly #options: SessionOptions
  readonly #sessions = { core: new WeakMap<Route, Opened>(), ownSql: new WeakMap<Route, Opened>() }

  constructor({ directory, freshness, forget, ...options }: TenantSessionsOptions) {
    const refresh = (stale: Route) => {
      // Only the first session that finds a route wrong drops it; the others wait for the same read.
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

  /** A session for a tenant that is being created. The catalog has no route of it yet, so it always uses the given one. */
  openUnlisted(route: Route): TenantSession {
    const given = async () => route
    const directory = { peekById: () => route, byId: given, generation: 0, holds: () => true }
    const { freshness } = this.#options.routes
    return new RoutedSession(route, { ...this.#options, routes: { directory, freshness, refresh: given } })
  }
}
