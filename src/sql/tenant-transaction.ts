import type pg from 'pg'
import { fail, PublicError } from '../errors.ts'
import { commit, UnsentError } from '../lib/postgres/outcome.ts'
import type { RouteChangedError } from '../pools/route-changed.ts'
import { isOrderly, isUnbegun, StatementFault } from '../pools/wire/statement-fault.ts'
import { type CurrentRoute, tenantCheckOf } from './current-route.ts'
import { type RunOptions, runStatement } from './run-statement.ts'
import type { SessionStatement, TenantDb, TenantSession } from './session.ts'
import { servedKindOf } from './statement-kind.ts'
import { tenantDb } from './tenant-db.ts'

/** Command tags that end a transaction. With AND CHAIN another transaction has begun. */
const ENDED = new Set(['COMMIT', 'ROLLBACK'])
type Status = ReturnType<pg.Client['getTransactionStatus']>

/**
 *   idle ──first statement: BEGIN, check, statement in one unit──▶ open ──COMMIT──▶ done
 *     └──no statement──▶ done                                       └────ROLLBACK──▶ done
 * If an answer is missing or incomplete, the mode is `unknown` and stays so. Before COMMIT was sent, `unknown` means that nothing
 * was done, because an open transaction ends with its connection.
 */
export class Transaction implements TenantSession {
  readonly tenantId: string
  readonly db: TenantDb
  readonly #client: pg.ClientBase
  readonly #current: CurrentRoute
  #mode: 'idle' | 'open' | 'done' | 'unknown' = 'idle'
  /** Set if the transaction could not begin, or if SQL ended it. The caller gets this error even if `fn` has caught it. */
  #refusal: RouteChangedError | PublicError | null = null
  readonly #ownSql: boolean
  readonly #traced: RunOptions['traced']

  /** `ownSql`: the transaction runs SQL of an application, which may try to end it. */
  constructor(
    client: pg.ClientBase,
    current: CurrentRoute,
    { ownSql, traced }: Pick<RunOptions, 'traced'> & { readonly ownSql: boolean },
  ) {
    this.tenantId = current.route.tenantId
    this.#client = client
    this.#current = current
    this.#ownSql = ownSql
    this.#traced = traced
    this.db = tenantDb(this)
  }

  /** True if no transaction is left open on the connection. */
  get isClean(): boolean {
    return this.#mode === 'idle' || this.#mode === 'done'
  }

  /** A transaction within a transaction is a part of it. */
  transaction<T>(fn: (db: TenantDb, inside: TenantSession) => Promise<T>): Promise<T> {
    return fn(this.db, this)
  }

  /** @throws PublicError OUTCOME_UNKNOWN; StatementFault; what `fn` throws */
  async commitAfter<T>(fn: (db: TenantDb, inside: TenantSession) => Promise<T>): Promise<T> {
    try {
      const result = await fn(this.db, this)
      if (this.#refusal !== null) throw this.#refusal
      await this.#commit()
      return result
    } catch (error) {
      await this.#rollback().catch(() => undefined)
      throw this.#refusal ?? error
    }
  }

  async run<Row>(statement: SessionStatement): Promise<pg.QueryResult<Row & pg.QueryResultRow>> {
    if (this.#mode === 'done') throw new Error('the transaction is over')
    // `fn` may run statements that it does not await. After COMMIT or ROLLBACK they would be outside of any transaction.
    if (this.#mode === 'unknown') throw new StatementFault(true, null)
    if (statement.kind === undefined) servedKindOf(statement.text)
    const first = this.#mode === 'idle'
    if (first) this.#assertCurrent()
    this.#mode = 'open'
    const options: RunOptions = {
      tenantCheck: first ? tenantCheckOf(this.#current.route) : null,
      begin: first,
      writes: true,
      ownSql: this.#ownSql,
      traced: this.#traced,
    }
    try {
      const result = await runStatement<Row>(this.#client, statement, options)
      if (this.#ownSql) this.#assertGoesOn(ENDED.has(result.command) ? 'I' : statusOf(this.#client), 'T')
      return result
    } catch (error) {
      if (!isOrderly(error)) this.#mode = 'unknown'
      else if (this.#ownSql) this.#assertGoesOn(await statusAfterError(this.#client), 'E')
      throw isUnbegun(error) && !first ? new StatementFault(true, error) : error
    }
  }

  /**
   * SQL that ends its own transaction also ends the tenant's setting and the lock that delays a move. So nothing more is sent.
   * @throws PublicError OUTCOME_UNKNOWN, because earlier statements may be committed
   */
  #assertGoesOn(found: Status, wanted: Status): void {
    if (found === wanted || this.#mode !== 'open') return
    this.#mode = 'unknown'
    this.#refusal = fail('OUTCOME_UNKNOWN', {
      cause: new Error('SQL of the application ended its transaction'),
    })
    throw this.#refusal
  }

  #assertCurrent(): void {
    try {
      this.#current.assertCurrent()
    } catch (error) {
      this.#refusal = error as RouteChangedError
      throw error
    }
  }

  async #commit(): Promise<void> {
    if (this.#mode === 'idle') this.#mode = 'done'
    if (this.#mode === 'done') return
    // The connection was lost before COMMIT, so nothing was done, even if `fn` has caught the error.
    if (this.#mode === 'unknown') throw new StatementFault(true, null)
    await this.#current.assertNoChangeMissed()
    this.#mode = 'unknown'
    try {
      await commit(this.#client)
    } catch (error) {
      if (error instanceof UnsentError) throw new StatementFault(true, error)
      // The server refused or rolled back: the transaction is over, and the connection may be used again.
      if (!(error instanceof PublicError)) this.#mode = 'done'
      throw error
    }
    this.#mode = 'done'
  }

  async #rollback(): Promise<void> {
    if (this.#mode === 'idle') this.#mode = 'done'
    if (this.#mode !== 'open') return
    this.#mode = 'unknown'
    await this.#client.query('ROLLBACK')
    this.#mode = 'done'
  }
}

function statusOf(client: pg.ClientBase): Status {
  return (client as pg.Client).getTransactionStatus()
}

/** pg reports an error at once, but the transaction's status only when the server is ready again. Null if the connection ended. */
function statusAfterError(client: pg.ClientBase): Promise<Status> {
  const { connection: wire } = client as unknown as { connection: NodeJS.EventEmitter }
  if ((client as unknown as { readyForQuery: boolean }).readyForQuery)
    return Promise.resolve(statusOf(client))
  return new Promise((resolve) => {
    const finish = (status: Status) => {
      wire.removeListener('readyForQuery', ready)
      client.removeListener('end', ended)
      resolve(status)
    }
    const ready = (message: { readonly status: Status }) => finish(message.status)
    const ended = () => finish(null)
    wire.once('readyForQuery', ready)
    client.once('end', ended)
  })
}
