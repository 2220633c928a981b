import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import type { Route } from '../catalog/directory.ts'
import { fail, PublicError } from '../errors.ts'
import { databaseError } from '../lib/postgres/pg.ts'
import { ConnectionTarget, RouteChangedError, type RouteSource } from '../pools/connection-target.ts'
import type { PoolManager } from '../pools/pool-manager.ts'
import { soil } from '../pools/wire/soiled-connections.ts'
import {
  isDriverFault,
  isEntranceRefused,
  isLost,
  isOrderly,
  isReadOnly,
  isUnbegun,
} from '../pools/wire/statement-fault.ts'
import type { Statement, UnitOptions } from '../pools/wire/tenant-unit.ts'
import type { TenantDb, TenantSession } from './session.ts'
import { assertServed, kindOf, type StatementKind } from './statement-kind.ts'
import { entranceOf, overClient, runStatement, Transaction } from './tenant-transaction.ts'

export interface SessionOptions {
  readonly pools: PoolManager
  readonly routes: RouteSource
  /** How long a statement waits before a fence (a tenant that is changing its home). */
  readonly fenceTimeoutMs: number
  /**
   * Told of a tenant before whose fence a statement has waited in vain: the gateway that put it there may be dead; and of one
   * that does not live where its route leads, however often that is read: the catalog may have been restored.
   */
  readonly onStuck: (tenantId: string) => void
  /** Whether the database that the route leads to lacks migrations of this release. */
  readonly isBehind?: (route: Route) => boolean
  /** What runs on it is SQL of an application: a connection it has run on is cleaned before others get it. */
  readonly ownSql?: boolean
}

type Verdict = 'stale' | 'fenced' | 'again' | 'final'
const FENCE_POLL_MS = 25
/** SQLSTATEs after which the server has certainly undone or never begun the unit. */
const REPEATABLE = new Set(['26000', '42P05', '0A000', '25001', '40001', '40P01'])
/** Those of the connection, not of what others do: another connection does it. */
const OF_THE_CONNECTION = new Set(['26000', '42P05', '0A000', '25001'])
/** RAISE and ASSERT of a trigger that the database's owner has made. */
const RAISED = /^P0/
const RULE_OF_ITS_OWN = 'A rule of the database refuses this change.'
/** A table, column or function that is not there: where migrations are missing, they make it. */
const NOT_THERE = new Set(['42P01', '42703', '42883'])
/** Data exceptions, which a caller's values may cause. */
const ABOUT_VALUES = /^22/
/** Broken constraints, which only writing can cause. */
const ABOUT_CONSTRAINTS = /^23/
const MAX_ATTEMPTS = 3
const READ_ONLY = "The tenant's database is read-only at the moment: it serves reads, and takes no changes."

/**
 * Runs the statements of one tenant along its route, as it stands when the statement begins: whatever was known of it when
 * the request came, what a change has taken away is not used once that change is applied here. Follows the tenant once more
 * if its database says that it has moved.
 */
export class RoutedSession implements TenantSession {
  readonly db: TenantDb
  readonly #options: SessionOptions
  readonly #lapses: number
  readonly #ownSql: boolean
  #route: Route

  constructor(route: Route, options: SessionOptions) {
    this.#route = route
    this.#options = options
    this.#ownSql = options.ownSql === true
    this.#lapses = options.routes.freshness.lapses
    this.db = overClient((statement) => this.#runSingle(statement))
  }

  get tenantId(): string {
    return this.#route.tenantId
  }

  /**
   * Runs `fn` in one transaction. If the tenant has moved, or the connection was lost, before the first statement reached
   * its database, nothing was done and `fn` is called again.
   * @throws PublicError TENANT_DATABASE_UNAVAILABLE, NO_CONNECTION_AVAILABLE: nothing was done; OUTCOME_UNKNOWN where the
   *   connection was lost while COMMIT was on its way; whatever `fn` throws
   */
  transaction<T>(fn: (db: TenantDb) => Promise<T>): Promise<T> {
    return this.#along(async (target) => {
      let transaction: Transaction | null = null
      return this.#options.pools.run(
        target.route,
        async (client) => {
          if (this.#ownSql) soil(client)
          transaction = new Transaction(client, target, { ownSql: this.#ownSql })
          return transaction.run(fn)
        },
        () => transaction?.isClean === true,
      )
    }, 'transaction')
  }

  #runSingle(statement: Statement): Promise<pg.QueryResult> {
    assertServed(statement.text)
    const kind = kindOf(statement.text)
    return this.#along((target) => {
      const { route } = target
      const ownSql = this.#ownSql
      const options: UnitOptions = {
        entrance: entranceOf(route),
        begin: false,
        writes: kind === 'write',
        ownSql,
      }
      const run = async (client: pg.ClientBase) => {
        target.assertCurrent()
        if (ownSql) soil(client)
        return runStatement(client, statement, options)
      }
      return this.#options.pools.run(route, run, leavesInOrder)
    }, kind)
  }

  async #along<T>(attempt: (target: ConnectionTarget) => Promise<T>, kind: StatementKind): Promise<T> {
    const deadline = performance.now() + this.#options.fenceTimeoutMs
    for (let attempts = 1; ; ) {
      this.#assertNotMissed()
      // Where the route is at hand there is nothing to wait for.
      const target = this.#present() ?? (await this.#read())
      try {
        return await attempt(target)
      } catch (error) {
        if (error instanceof RouteChangedError) {
          if (performance.now() > deadline) throw fail('TENANT_DATABASE_UNAVAILABLE', { cause: error })
          if (this.#options.routes.freshness.isOver) await this.#options.routes.freshness.renew()
          continue
        }
        const verdict = judge(error, { kind, attempts, ownSql: this.#ownSql })
        if (verdict === 'fenced') {
          if (performance.now() > deadline) {
            this.#options.onStuck(this.tenantId)
            throw fail('TENANT_DATABASE_UNAVAILABLE', { cause: error })
          }
          await delay(FENCE_POLL_MS)
        } else {
          if (verdict === 'stale' && attempts >= MAX_ATTEMPTS) this.#options.onStuck(this.tenantId)
          if (verdict === 'final' || attempts >= MAX_ATTEMPTS)
            throw publicError(error, kind, () => this.#options.isBehind?.(target.route) === true)
          attempts += 1
        }
        if (verdict !== 'again') this.#adopt(await this.#options.routes.refresh(target.route))
      }
    }
  }

  /**
   * Who was let in before this process stood still for a while may be somebody who is not let in any more.
   * @throws PublicError CATALOG_UNAVAILABLE
   */
  #assertNotMissed(): void {
    if (this.#options.routes.freshness.lapses !== this.#lapses) throw fail('CATALOG_UNAVAILABLE')
  }

  /** Null where the route has to be read, because of a change or its age. @throws PublicError TENANT_NOT_FOUND */
  #present(): ConnectionTarget | null {
    const { routes } = this.#options
    const route = routes.peek(this.tenantId)
    if (route === undefined) return null
    if (route !== this.#route) this.#adopt(route)
    return new ConnectionTarget(route, routes)
  }

  /** @throws PublicError TENANT_NOT_FOUND, CATALOG_UNAVAILABLE */
  async #read(): Promise<ConnectionTarget> {
    const { routes } = this.#options
    for (;;) {
      const route = this.#adopt(await routes.find(this.tenantId))
      // Between its arrival and this line another change may have been heard of.
      if (routes.holds(route)) return new ConnectionTarget(route, routes)
    }
  }

  /** Only who was let in to a tenant that is INACTIVE (operators are) goes on with one. */
  #adopt(route: Route | null): Route {
    if (route === null || (route.status !== 'ACTIVE' && this.#route.status === 'ACTIVE'))
      throw fail('TENANT_NOT_FOUND')
    this.#route = route
    return route
  }
}

/** True if what was thrown leaves the connection fit for the next request. */
function leavesInOrder(error: unknown): boolean {
  return error instanceof RouteChangedError || isOrderly(error)
}

interface Attempted {
  readonly kind: StatementKind
  readonly attempts: number
  readonly ownSql: boolean
}

function judge(error: unknown, { kind, attempts, ownSql }: Attempted): Verdict {
  const code = databaseError(error)?.code
  const isRefused = isEntranceRefused(error)
  if (isRefused && (code === 'FH001' || code === 'FH002')) return 'stale'
  if (isRefused && code === 'FH003') return 'fenced'
  if (error instanceof PublicError) return 'final'
  if (isUnbegun(error)) return 'again'
  const isRead = kind === 'read'
  // Refused, so nothing was done; the connection may be from before the database could be written to again (`TenantPool`).
  if (!isRead && isReadOnly(error)) return attempts === 1 ? 'again' : 'final'
  if (code !== undefined && REPEATABLE.has(code)) {
    // SQL of an application can raise any code, also after it has committed something.
    const isUndone = OF_THE_CONNECTION.has(code) && (isRefused || !ownSql)
    return isRead || isUndone ? 'again' : 'final'
  }
  // A read whose connection was lost is worth a second try; a write may have happened.
  return isRead && (code === undefined || isLost(error)) ? 'again' : 'final'
}

/**
 * What a caller is told of an error. What a handler may interpret, values and constraints, passes as it is; everything else
 * that a database says is its own trouble: it may be another than the one that was validated, or its owner's mischief.
 */
function publicError(error: unknown, kind: StatementKind, isBehind: () => boolean): unknown {
  if (error instanceof PublicError) return error
  // Its own Sync commits it. A transaction says by itself what became of its COMMIT; before that nothing was done.
  if (kind === 'write' && isLost(error)) return fail('OUTCOME_UNKNOWN', { cause: error })
  if (isDriverFault(error)) return fail('TENANT_DATABASE_UNAVAILABLE', { cause: error })
  const code = databaseError(error)?.code
  if (code === undefined) return error
  if (kind !== 'read' && isReadOnly(error))
    return fail('TENANT_DATABASE_UNAVAILABLE', { detail: READ_ONLY, cause: error })
  if (kind !== 'read' && RAISED.test(code)) return fail('CONFLICT', { detail: RULE_OF_ITS_OWN, cause: error })
  if (code === '53300') return fail('NO_CONNECTION_AVAILABLE', { cause: error })
  if (NOT_THERE.has(code) && isBehind()) return fail('TENANT_SCHEMA_OUT_OF_DATE', { cause: error })
  const isInterpreted = ABOUT_VALUES.test(code) || (kind !== 'read' && ABOUT_CONSTRAINTS.test(code))
  return isInterpreted ? error : fail('TENANT_DATABASE_UNAVAILABLE', { cause: error })
}
