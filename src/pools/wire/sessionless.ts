import type pg from 'pg'
import type { GuardedClient } from '../../lib/postgres/guarded-client.ts'
import { databaseError } from '../../lib/postgres/pg.ts'
import { PoolerUnsupportedError } from '../../lib/postgres/pooler-faults.ts'
import { type SessionScope, scopeOf, setScope } from '../../lib/postgres/session-scope.ts'
import {
  columnsOf,
  deviation,
  ISOLATION,
  type SessionSetting,
  settingColumns,
} from '../../lib/postgres/session-settings.ts'
import { type SessionSetup, sessionSetups } from '../../lib/wire/session-setup.ts'
import { runUnit, TenantUnit } from './tenant-unit.ts'

interface QueryInput {
  readonly text: string
  readonly values?: readonly unknown[]
}

/** Opens one more connection to the same database. */
export type OpenSecond = () => Promise<GuardedClient>

const BEGIN = /^\s*begin(?:\s+isolation level read committed)?\b/i
const END = /^\s*(?:commit|rollback)\s*$/i
const ENDS = /;\s*commit\s*$/i
/** The transaction that holds the locks stays idle for long, so the server must not end it. The locks end with the connection. */
const GUARD_SETTINGS: readonly SessionSetting[] = [
  { name: 'search_path', value: 'pg_catalog,pg_temp' },
  { name: 'idle_in_transaction_session_timeout', value: '0' },
]

/** A statement that runs once needs no name. Behind a pooler a named statement would remain in the pooler's session. */
const UNNAMED = { keepsNames: false }

/**
 * If a connection leads through a pooler, proves that everything we do on it works there.
 * @throws PoolerUnsupportedError
 */
export async function assertUsable(client: GuardedClient): Promise<void> {
  const scope = scopeOf(client)
  if (scope instanceof Sessionless) await scope.assertUsable(client.wanted)
}

/**
 * Makes checks and housekeeping work on a connection behind a pooler, where each transaction may run in another session. Every
 * statement gets the settings in its own transaction. A session lock is replaced by the lock of a transaction that stays open on
 * a second connection, the guard.
 */
export class Sessionless implements SessionScope {
  readonly #client: GuardedClient
  readonly #ask: pg.ClientBase['query']
  readonly #setup: SessionSetup
  readonly #openSecond: OpenSecond
  #pinned: readonly SessionSetting[] = []
  #isInBlock = false
  #guard: Promise<GuardedClient> | null = null
  #isLockLost = false

  private constructor(client: GuardedClient, setup: SessionSetup, openSecond: OpenSecond) {
    this.#client = client
    this.#ask = client.query.bind(client)
    this.#setup = setup
    this.#openSecond = openSecond
  }

  /** Does nothing on a connection with a session of its own. */
  static wrap(client: GuardedClient, openSecond: OpenSecond): void {
    const setup = sessionSetups.get(client)
    if (setup === undefined) return
    const scope = new Sessionless(client, setup, openSecond)
    setScope(client, scope)
    const query = (input: string | QueryInput, values?: readonly unknown[]) => scope.#query(input, values)
    Object.defineProperty(client, 'query', { value: query })
  }

  /** The settings are sent with each later statement, so there is nothing to run now. */
  pin(settings: readonly SessionSetting[]): string {
    this.#pinned = [...this.#pinned, ...settings]
    return 'SELECT'
  }

  async tryLock(name: string): Promise<boolean> {
    this.#guard ??= this.#openGuard()
    const { rows } = await (await this.#guard).query<{ locked: boolean }>(
      'SELECT pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended($1::text, 0)) AS locked',
      [name],
    )
    return rows[0]?.locked === true
  }

  /** A transaction's lock is released only at its end, and this transaction ends with its connection. */
  async unlock(): Promise<void> {}

  async assertLocked(): Promise<void> {
    if (this.#guard !== null) await (await this.#guard).query('SELECT 1')
  }

  /**
   * Proves that everything we do works behind the pooler.
   * @throws PoolerUnsupportedError
   */
  async assertUsable(wanted: readonly SessionSetting[]): Promise<void> {
    try {
      await this.#query('BEGIN')
    } catch (error) {
      throw databaseError(error)?.code === '08P01'
        ? new PoolerUnsupportedError('STATEMENT_MODE', error)
        : error
    }
    const { rows } = await this.#query(`SELECT ${columnsOf(wanted)}`)
    const row = rows[0] as Record<string, unknown>
    const level = wanted.filter(({ name }) => name === ISOLATION)
    if (deviation(level, row) !== null) throw new PoolerUnsupportedError('ISOLATION')
    if (deviation(wanted, row) !== null) throw new PoolerUnsupportedError('SETTING')
    // This connection is in a transaction, so the pooler must have a second session to lend.
    this.#guard ??= this.#openGuard()
    await this.#guard.catch((error: unknown) => {
      throw databaseError(error) === null ? new PoolerUnsupportedError('POOL_TOO_SMALL', error) : error
    })
    await this.#query('COMMIT')
  }

  async #openGuard(): Promise<GuardedClient> {
    const guard = await this.#openSecond()
    const end = () => {
      this.#isLockLost = true
      void guard.end(() => undefined)
    }
    guard.once('end', end)
    this.#client.once('end', end)
    await guard.query(`BEGIN; SELECT ${settingColumns(GUARD_SETTINGS, 'transaction')}`)
    return guard
  }

  async #query(input: string | QueryInput, params?: readonly unknown[]): Promise<pg.QueryResult> {
    const { text, values = params ?? [] } = typeof input === 'string' ? { text: input } : input
    if (this.#isLockLost) throw Object.assign(new Error('the locks are lost'), { code: 'ECONNRESET' })
    if (BEGIN.test(text)) return this.#begin(text)
    if (END.test(text)) this.#isInBlock = false
    else if (!this.#isInBlock)
      return values.length === 0 ? this.#several(text) : this.#single({ text, values })
    return this.#ask<pg.QueryResultRow>(text, values.length === 0 ? undefined : [...values])
  }

  /** Begins a block: sends the settings, then everything that follows BEGIN in the text. That part may also end the block. */
  async #begin(text: string): Promise<pg.QueryResult> {
    this.#isInBlock = true
    const rest = text.replace(BEGIN, '')
    const answer = await this.#several(
      `BEGIN ISOLATION LEVEL READ COMMITTED;\nSELECT ${this.#settings}${rest}`,
      '',
    )
    if (ENDS.test(rest)) this.#isInBlock = false
    return answer
  }

  /** PostgreSQL runs all statements of one message without parameters as one transaction. pg returns a result for each. */
  async #several(text: string, before = `SELECT ${this.#settings};\n`): Promise<pg.QueryResult> {
    const answer: unknown = await this.#ask(`${before}${text}`)
    const results = (answer as pg.QueryResult[]).slice(1)
    return (results.length === 1 ? results[0] : results) as pg.QueryResult
  }

  /** The unit gets the client's original `query`, because `client.query` calls this class. */
  #single({ text, values }: Required<QueryInput>): Promise<pg.QueryResult> {
    const setup = { settings: this.#settings, names: UNNAMED }
    const unit = new TenantUnit(
      { text, values, rowMode: 'object' },
      { tenantCheck: null, begin: false, writes: true, isAlone: true, setup },
    )
    return runUnit({ query: this.#ask } as pg.ClientBase, unit)
  }

  get #settings(): string {
    const pinned = settingColumns(this.#pinned, 'transaction')
    return pinned === '' ? this.#setup.settings : `${this.#setup.settings}, ${pinned}`
  }
}
