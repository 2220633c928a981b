import { drizzle } from 'drizzle-orm/node-postgres'
import type pg from 'pg'
import type { Route } from '../catalog/directory.ts'
import { fail, PublicError } from '../errors.ts'
import { commit, UnsentError } from '../lib/postgres/outcome.ts'
import { databaseError } from '../lib/postgres/pg.ts'
import { dressingOf } from '../lib/wire/dressing.ts'
import type { ConnectionTarget, RouteChangedError } from '../pools/connection-target.ts'
import {
  EntranceRefused,
  isEntranceRefused,
  isOrderly,
  isUnbegun,
  StatementFault,
} from '../pools/wire/statement-fault.ts'
import {
  type Entrance,
  isOutOfStep,
  runUnit,
  type Statement,
  TenantUnit,
  type UnitOptions,
} from '../pools/wire/tenant-unit.ts'
import type { TenantDb } from './session.ts'
import { assertServed } from './statement-kind.ts'

interface QueryInput {
  readonly text: string
  readonly values?: readonly unknown[]
  readonly rowMode?: 'array'
}

/** drizzle over `run`, which stands for the part of pg's client that drizzle uses. */
export function overClient(run: (statement: Statement) => Promise<pg.QueryResult>): TenantDb {
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

export function entranceOf(route: Route): Entrance {
  const { tenantId, epoch, seal } = route
  return { tenantId, epoch, seal }
}

/**
 * Runs a statement, once more where it begins a transaction (its own, or a block) on a connection that holds other prepared
 * statements than we believed: it has not run then.
 * @throws StatementFault, or what the database said
 */
export async function runStatement(
  client: pg.ClientBase,
  statement: Statement,
  options: UnitOptions,
): Promise<pg.QueryResult> {
  try {
    return await runOnce(client, statement, options)
  } catch (error) {
    if (options.entrance === null || !isOutOfStep(error)) throw error
    // SQL of an application can raise any code, also after it has committed something.
    if (options.ownSql === true && !isEntranceRefused(error)) throw error
    if (options.begin) await leaveFailedBlock(client)
    return runOnce(client, statement, options)
  }
}

/** @throws StatementFault where that is not possible: still nothing has happened. */
async function leaveFailedBlock(client: pg.ClientBase): Promise<void> {
  try {
    await client.query('ROLLBACK')
  } catch (error) {
    throw new StatementFault(false, error)
  }
}

async function runOnce(
  client: pg.ClientBase,
  statement: Statement,
  options: UnitOptions,
): Promise<pg.QueryResult> {
  const dressing = dressingOf(client)
  const unit = new TenantUnit(statement, dressing === undefined ? options : { ...options, dressing })
  try {
    return await runUnit(client, unit)
  } catch (error) {
    // A connection's last words are told to whoever waits, also to those whose turn had not come.
    if (unit.isSent && databaseError(error) !== null)
      throw unit.hasEntered ? error : new EntranceRefused(error)
    throw new StatementFault(unit.isSent, error)
  }
}

/** The words by which a server says that a transaction is over, be it that another one has begun (AND CHAIN). */
const ENDED = new Set(['COMMIT', 'ROLLBACK'])
type Status = ReturnType<pg.Client['getTransactionStatus']>

/**
 *   idle ──first statement: BEGIN, enter, statement in one unit──▶ open ──COMMIT──▶ done
 *     └──without any──▶ done                                        └────ROLLBACK──▶ done
 * Without an orderly answer it is `unknown`, for good. Before COMMIT that means that nothing was done: what is open on a
 * connection ends with it.
 */
export class Transaction {
  readonly #client: pg.ClientBase
  readonly #target: ConnectionTarget
  #mode: 'idle' | 'open' | 'done' | 'unknown' = 'idle'
  /** Why it never began, or that it was ended behind our back; whatever `fn` made of it, that is what came out. */
  #refusal: RouteChangedError | PublicError | null = null
  readonly #ownSql: boolean

  /** `ownSql`: what runs in it is SQL of an application, which may try to end it. */
  constructor(client: pg.ClientBase, target: ConnectionTarget, { ownSql }: { readonly ownSql: boolean }) {
    this.#client = client
    this.#target = target
    this.#ownSql = ownSql
  }

  /** True if no transaction is left open on the connection. */
  get isClean(): boolean {
    return this.#mode === 'idle' || this.#mode === 'done'
  }

  /** @throws PublicError OUTCOME_UNKNOWN; StatementFault; whatever `fn` throws */
  async run<T>(fn: (db: TenantDb) => Promise<T>): Promise<T> {
    try {
      const result = await fn(overClient((statement) => this.#statement(statement)))
      if (this.#refusal !== null) throw this.#refusal
      await this.#commit()
      return result
    } catch (error) {
      await this.#rollback().catch(() => undefined)
      throw this.#refusal ?? error
    }
  }

  async #statement(statement: Statement): Promise<pg.QueryResult> {
    if (this.#mode === 'done') throw new Error('the transaction is over')
    // Also to what `fn` has left running: behind COMMIT or ROLLBACK it would be in nobody's transaction.
    if (this.#mode === 'unknown') throw new StatementFault(true, null)
    assertServed(statement.text)
    const first = this.#mode === 'idle'
    if (first) this.#assertCurrent()
    this.#mode = 'open'
    const options: UnitOptions = {
      entrance: first ? entranceOf(this.#target.route) : null,
      begin: first,
      writes: true,
      ownSql: this.#ownSql,
    }
    try {
      const result = await runStatement(this.#client, statement, options)
      if (this.#ownSql) this.#assertGoesOn(ENDED.has(result.command) ? 'I' : statusOf(this.#client), 'T')
      return result
    } catch (error) {
      if (!isOrderly(error)) this.#mode = 'unknown'
      else if (this.#ownSql) this.#assertGoesOn(await statusAfterError(this.#client), 'E')
      throw isUnbegun(error) && !first ? new StatementFault(true, error) : error
    }
  }

  /**
   * SQL that ends its own transaction has left its tenant, and the lock that holds off a move, behind: nothing more is sent.
   * @throws PublicError OUTCOME_UNKNOWN: what ran before it may be committed
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
      this.#target.assertCurrent()
    } catch (error) {
      this.#refusal = error as RouteChangedError
      throw error
    }
  }

  async #commit(): Promise<void> {
    if (this.#mode === 'idle') this.#mode = 'done'
    if (this.#mode === 'done') return
    // Whoever caught the error of the statement that lost the connection has nothing to show for it all the same.
    if (this.#mode === 'unknown') throw new StatementFault(true, null)
    await this.#target.assertNoChangeMissed()
    this.#mode = 'unknown'
    try {
      await commit(this.#client)
    } catch (error) {
      if (error instanceof UnsentError) throw new StatementFault(true, error)
      // Refused, or rolled back instead: either way it is over, and the connection is none the worse for it.
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

/** pg tells an error at once, and the state that it leaves only when the server is ready again. Null once it has hung up. */
function statusAfterError(client: pg.ClientBase): Promise<Status> {
  const { connection: wire } = client as unknown as { connection: NodeJS.EventEmitter }
  if ((client as unknown as { readyForQuery: boolean }).readyForQuery)
    return Promise.resolve(statusOf(client))
  return new Promise((resolve) => {
    const settle = (status: Status) => {
      wire.removeListener('readyForQuery', ready)
      client.removeListener('end', ended)
      resolve(status)
    }
    const ready = (message: { readonly status: Status }) => settle(message.status)
    const ended = () => settle(null)
    wire.once('readyForQuery', ready)
    client.once('end', ended)
  })
}
