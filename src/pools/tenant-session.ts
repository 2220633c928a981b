import { setTimeout as delay } from 'node:timers/promises'
import { drizzle } from 'drizzle-orm/node-postgres'
import type pg from 'pg'
import type { Route } from '../catalog/directory.ts'
import { fail, PublicError } from '../errors.ts'
import { causesOf } from '../lib/causes.ts'
import { databaseError } from '../lib/pg.ts'
import type { TenantDb, TenantSession } from '../tenant/session.ts'
import { Heading, RouteChangedError, type RouteSource } from './heading.ts'
import type { PoolManager } from './pool-manager.ts'
import { runUnit, type Statement, TenantUnit, type UnitOptions } from './tenant-unit.ts'

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
const READ = /^[\s(]*(?:select|with|values|table)\b/i
const WRITING_WORD =
  /\b(?:insert|update|delete|merge|for\s+(?:no\s+key\s+)?(?:update|share)|for\s+key\s+share)\b/i
const TRANSACTION_WORD =
  /^\s*(?:begin|start|commit|end|rollback|abort|savepoint|release|prepare\s+transaction)\b/i
/** SQLSTATEs after which the server has certainly undone or never begun the unit. */
const REPEATABLE = new Set(['26000', '0A000', '40001', '40P01'])
const CONNECTION_ENDED = /^(?:57P0|08)/
/** Data exceptions, which a caller's values may cause. */
const ABOUT_VALUES = /^22/
/** Broken constraints, which only writing can cause. */
const ABOUT_CONSTRAINTS = /^23/
const MAX_ATTEMPTS = 3

type StatementKind = 'read' | 'write' | 'transaction'
const kinds = new Map<string, StatementKind>()
const MAX_KINDS = 2_000

/** Reads run in read-only transactions, so a wrong guess here fails loudly (25006) and changes nothing. */
export function kindOf(text: string): StatementKind {
  const known = kinds.get(text)
  if (known !== undefined) return known
  const reads = READ.test(text) && !WRITING_WORD.test(text)
  const kind = TRANSACTION_WORD.test(text) ? 'transaction' : reads ? 'read' : 'write'
  if (kinds.size < MAX_KINDS) kinds.set(text, kind)
  return kind
}

/** True if the database answered in order, so that the connection may serve the next request. */
export function isOrderly(error: unknown): boolean {
  const code = databaseError(error)?.code
  if (code === undefined) return false
  return !CONNECTION_ENDED.test(code) && code !== '26000' && code !== '0A000'
}

interface QueryInput {
  readonly text: string
  readonly values?: readonly unknown[]
  readonly rowMode?: 'array'
}

/**
 * Runs the statements of one tenant along its route, as it stands when the statement begins: whatever was known of it when
 * the request came, what a change has taken away is not used once that change is applied here. Follows the tenant once more
 * if its database says that it has moved.
 */
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
   * Runs `fn` in one transaction. If the tenant has moved before the first statement reached its database, nothing was
   * done and `fn` is called a second time.
   * @throws PublicError TENANT_DATABASE_UNAVAILABLE, NO_CONNECTION_AVAILABLE; whatever `fn` throws
   */
  transaction<T>(fn: (db: TenantDb) => Promise<T>): Promise<T> {
    return this.#along(async (heading) => {
      let transaction: Transaction | null = null
      return this.#options.pools.run(
        heading.route,
        async (client) => {
          transaction = new Transaction(client, heading)
          return transaction.run(fn)
        },
        () => transaction?.isClean === true,
      )
    }, false)
  }

  #runSingle(statement: Statement): Promise<pg.QueryResult> {
    const kind = kindOf(statement.text)
    if (kind === 'transaction') throw new Error('single statements only: use session.transaction()')
    return this.#along((heading) => {
      const { route } = heading
      const options: UnitOptions = { entrance: entranceOf(route), begin: false, writes: kind === 'write' }
      const run = async (client: pg.ClientBase) => {
        heading.assertPresent()
        return runStatement(client, statement, options)
      }
      return this.#options.pools.run(route, run, leavesInOrder)
    }, kind === 'read')
  }

  async #along<T>(attempt: (heading: Heading) => Promise<T>, repeatable: boolean): Promise<T> {
    const deadline = performance.now() + this.#options.fenceTimeoutMs
    for (let attempts = 1; ; ) {
      // Where the route is at hand there is nothing to wait for.
      const heading = this.#present() ?? (await this.#read())
      try {
        return await attempt(heading)
      } catch (error) {
        if (error instanceof RouteChangedError) {
          if (performance.now() > deadline) throw fail('TENANT_DATABASE_UNAVAILABLE', { cause: error })
          continue
        }
        const verdict = judge(error, repeatable)
        if (verdict === 'fenced') {
          if (performance.now() > deadline) {
            this.#options.onStuck(this.tenantId)
            throw fail('TENANT_DATABASE_UNAVAILABLE', { cause: error })
          }
          await delay(FENCE_POLL_MS)
        } else {
          if (verdict === 'final' || attempts >= MAX_ATTEMPTS) throw publicError(error, repeatable)
          attempts += 1
        }
        if (verdict !== 'again') this.#adopt(await this.#options.routes.refresh(heading.route))
      }
    }
  }

  /** Null where the route has to be read, because of a change or its age. @throws PublicError TENANT_NOT_FOUND */
  #present(): Heading | null {
    const { routes } = this.#options
    const route = routes.peek(this.tenantId)
    if (route === undefined) return null
    if (route !== this.#route) this.#adopt(route)
    return new Heading(route, routes)
  }

  /** @throws PublicError TENANT_NOT_FOUND, CATALOG_UNAVAILABLE */
  async #read(): Promise<Heading> {
    const { routes } = this.#options
    for (;;) {
      const route = this.#adopt(await routes.find(this.tenantId))
      // Between its arrival and this line another change may have been heard of.
      if (routes.holds(route)) return new Heading(route, routes)
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

function judge(error: unknown, repeatable: boolean): Verdict {
  const code = databaseError(error)?.code
  if (code === 'FH001' || code === 'FH002') return 'stale'
  if (code === 'FH003') return 'fenced'
  if (error instanceof PublicError) return 'final'
  if (code !== undefined && REPEATABLE.has(code)) return repeatable || code === '26000' ? 'again' : 'final'
  // A read whose connection was lost is worth a second try; a write may have happened.
  return repeatable && (code === undefined || CONNECTION_ENDED.test(code)) ? 'again' : 'final'
}

/**
 * What a caller is told of an error. What a handler may interpret, values and constraints, passes as it is; everything else
 * that a database says is its own trouble: it may be another than the one that was validated, or its owner's mischief.
 */
function publicError(error: unknown, isRead: boolean): unknown {
  if (error instanceof PublicError) return error
  const code = databaseError(error)?.code
  if (code === undefined) {
    return isDriverFault(error) ? fail('TENANT_DATABASE_UNAVAILABLE', { cause: error }) : error
  }
  if (code === '53300') return fail('NO_CONNECTION_AVAILABLE', { cause: error })
  const isInterpreted = ABOUT_VALUES.test(code) || (!isRead && ABOUT_CONSTRAINTS.test(code))
  return isInterpreted ? error : fail('TENANT_DATABASE_UNAVAILABLE', { cause: error })
}

/** Marks what the driver threw while a statement was on its way, as apart from a mistake in the caller's code. */
class StatementFault extends Error {}

function isDriverFault(error: unknown): boolean {
  for (const e of causesOf(error)) {
    if (e instanceof StatementFault) return true
  }
  return false
}

function entranceOf(route: Route): { tenantId: string; epoch: number } {
  return { tenantId: route.tenantId, epoch: route.epoch }
}

/** The part of pg's client that drizzle uses. */
function overClient(run: (statement: Statement) => Promise<pg.QueryResult>): TenantDb {
  const client = {
    query(config: string | QueryInput, params?: readonly unknown[]) {
      const input = typeof config === 'string' ? { text: config } : config
      return run({
        text: input.text,
        values: params ?? ('values' in input ? input.values : undefined) ?? [],
        rowMode: 'rowMode' in input && input.rowMode === 'array' ? 'array' : 'object',
      })
    },
  }
  return drizzle({ client: client as never }) as unknown as TenantDb
}

/**
 *   idle ──first statement: BEGIN, enter, statement in one unit──▶ open ──COMMIT──▶ done
 *                                                                   └────ROLLBACK──▶ done
 */
class Transaction {
  readonly #client: pg.ClientBase
  readonly #heading: Heading
  #mode: 'idle' | 'open' | 'done' | 'unknown' = 'idle'
  /** Why it never began; whatever `fn` made of it, that is what came out. */
  #refusal: RouteChangedError | null = null

  constructor(client: pg.ClientBase, heading: Heading) {
    this.#client = client
    this.#heading = heading
  }

  /** True if no transaction is left open on the connection. */
  get isClean(): boolean {
    return this.#mode === 'idle' || this.#mode === 'done'
  }

  async run<T>(fn: (db: TenantDb) => Promise<T>): Promise<T> {
    try {
      const result = await fn(overClient((statement) => this.#statement(statement)))
      if (this.#refusal !== null) throw this.#refusal
      await this.#end('COMMIT')
      return result
    } catch (error) {
      await this.#end('ROLLBACK').catch(() => undefined)
      throw this.#refusal ?? error
    }
  }

  async #statement(statement: Statement): Promise<pg.QueryResult> {
    if (this.#mode === 'done') throw new Error('the transaction is over')
    if (kindOf(statement.text) === 'transaction') throw new Error('transactions do not nest')
    const first = this.#mode === 'idle'
    if (first) this.#assertPresent()
    this.#mode = 'open'
    const options: UnitOptions = {
      entrance: first ? entranceOf(this.#heading.route) : null,
      begin: first,
      writes: true,
    }
    try {
      return await runStatement(this.#client, statement, options)
    } catch (error) {
      if (!isOrderly(error)) this.#mode = 'unknown'
      throw error
    }
  }

  #assertPresent(): void {
    try {
      this.#heading.assertPresent()
    } catch (error) {
      this.#refusal = error as RouteChangedError
      throw error
    }
  }

  async #end(word: 'COMMIT' | 'ROLLBACK'): Promise<void> {
    if (this.#mode !== 'open') return
    this.#mode = 'unknown'
    const { command } = await this.#client.query(word).catch((error: unknown) => {
      throw asFault(error)
    })
    this.#mode = 'done'
    if (command !== word) throw new Error('the transaction had failed and was rolled back')
  }
}

async function runStatement(
  client: pg.ClientBase,
  statement: Statement,
  options: UnitOptions,
): Promise<pg.QueryResult> {
  try {
    return await runUnit(client, new TenantUnit(statement, options))
  } catch (error) {
    throw asFault(error)
  }
}

function asFault(error: unknown): unknown {
  return databaseError(error) === null ? new StatementFault('the statement failed', { cause: error }) : error
}
