import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import type { Route } from '../catalog/directory.ts'
import { fail, PublicError } from '../errors.ts'
import { databaseError } from '../lib/pg.ts'
import type { TenantDb, TenantSession } from '../tenant/session.ts'
import type { PoolManager } from './pool-manager.ts'
import { isDriverFault, isLost, isOrderly, isUnbegun } from './statement-fault.ts'
import { kindOf, type StatementKind } from './statement-kind.ts'
import { entranceOf, overClient, runStatement, Transaction } from './tenant-transaction.ts'
import type { Statement, UnitOptions } from './tenant-unit.ts'

/** What a session needs to know of routes: the present one, and a way to say that it was found wrong. */
export interface RouteSource {
  /** The route as it stands now, read anew if `stale` is what would have been given. Null if the tenant is gone. */
  refresh(stale: Route): Promise<Route | null>
}

export interface SessionOptions {
  readonly pools: PoolManager
  readonly routes: RouteSource
  /** How long a statement waits before a fence (a tenant that is changing its home). */
  readonly fenceTimeoutMs: number
  /** Told of a tenant before whose fence a statement has waited in vain: whoever put it there may be dead. */
  readonly onStuck: (tenantId: string) => void
}

type Verdict = 'stale' | 'fenced' | 'again' | 'final'
const FENCE_POLL_MS = 25
/** SQLSTATEs after which the server has certainly undone or never begun the unit. */
const REPEATABLE = new Set(['26000', '0A000', '40001', '40P01'])
/** Data exceptions, which a caller's values may cause. */
const ABOUT_VALUES = /^22/
/** Broken constraints, which only writing can cause. */
const ABOUT_CONSTRAINTS = /^23/
const MAX_ATTEMPTS = 3

/** Runs the statements of one tenant along its route; follows the tenant once if it turns out to have moved. */
export class RoutedSession implements TenantSession {
  readonly db: TenantDb
  readonly #options: SessionOptions
  #route: Route

  constructor(route: Route, options: SessionOptions) {
    this.#route = route
    this.#options = options
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
    return this.#along(async (route) => {
      let transaction: Transaction | null = null
      return this.#options.pools.run(
        route,
        async (client) => {
          transaction = new Transaction(client, route)
          return transaction.run(fn)
        },
        () => transaction?.isClean === true,
      )
    }, 'transaction')
  }

  #runSingle(statement: Statement): Promise<pg.QueryResult> {
    const kind = kindOf(statement.text)
    if (kind === 'transaction') throw new Error('single statements only: use session.transaction()')
    return this.#along((route) => {
      const options: UnitOptions = { entrance: entranceOf(route), begin: false, writes: kind === 'write' }
      return this.#options.pools.run(route, (client) => runStatement(client, statement, options), isOrderly)
    }, kind)
  }

  async #along<T>(attempt: (route: Route) => Promise<T>, kind: StatementKind): Promise<T> {
    const deadline = performance.now() + this.#options.fenceTimeoutMs
    for (let attempts = 1; ; ) {
      try {
        return await attempt(this.#route)
      } catch (error) {
        const verdict = judge(error, kind)
        if (verdict === 'fenced') {
          if (performance.now() > deadline) {
            this.#options.onStuck(this.tenantId)
            throw fail('TENANT_DATABASE_UNAVAILABLE', { cause: error })
          }
          await delay(FENCE_POLL_MS)
        } else {
          if (verdict === 'final' || attempts >= MAX_ATTEMPTS) throw publicError(error, kind)
          attempts += 1
        }
        if (verdict !== 'again') await this.#follow()
      }
    }
  }

  async #follow(): Promise<void> {
    const route = await this.#options.routes.refresh(this.#route)
    if (route?.status !== 'ACTIVE') throw fail('TENANT_NOT_FOUND')
    this.#route = route
  }
}

function judge(error: unknown, kind: StatementKind): Verdict {
  const code = databaseError(error)?.code
  if (code === 'FH001' || code === 'FH002') return 'stale'
  if (code === 'FH003') return 'fenced'
  if (error instanceof PublicError) return 'final'
  if (isUnbegun(error)) return 'again'
  const isRead = kind === 'read'
  if (code !== undefined && REPEATABLE.has(code)) return isRead || code === '26000' ? 'again' : 'final'
  // A read whose connection was lost is worth a second try; a write may have happened.
  return isRead && (code === undefined || isLost(error)) ? 'again' : 'final'
}

/**
 * What a caller is told of an error. What a handler may interpret, values and constraints, passes as it is; everything else
 * that a database says is its own trouble: it may be another than the one that was validated, or its owner's mischief.
 */
function publicError(error: unknown, kind: StatementKind): unknown {
  if (error instanceof PublicError) return error
  // Its own Sync commits it. A transaction says by itself what became of its COMMIT; before that nothing was done.
  if (kind === 'write' && isLost(error)) return fail('OUTCOME_UNKNOWN', { cause: error })
  if (isDriverFault(error)) return fail('TENANT_DATABASE_UNAVAILABLE', { cause: error })
  const code = databaseError(error)?.code
  if (code === undefined) return error
  if (code === '53300') return fail('NO_CONNECTION_AVAILABLE', { cause: error })
  const isInterpreted = ABOUT_VALUES.test(code) || (kind !== 'read' && ABOUT_CONSTRAINTS.test(code))
  return isInterpreted ? error : fail('TENANT_DATABASE_UNAVAILABLE', { cause: error })
}
