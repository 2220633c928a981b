import { createHash } from 'node:crypto'
import pg from 'pg'
import { databaseError } from '../../lib/postgres/pg.ts'
import type { Secret } from '../../lib/secret.ts'
import type { SessionSetup } from '../../lib/wire/session-setup.ts'

/**
 * The values that the tenant check compares with the residence. The seal is in a private field, so that it cannot be printed. It
 * is sent only as a parameter, because every session of the role can read the text of a statement.
 */
export class TenantCheck {
  readonly #values: readonly [tenantId: string, seal: string, epoch: number]

  constructor({ tenantId, epoch, seal }: { tenantId: string; epoch: number; seal: Secret }) {
    this.#values = [tenantId, seal.reveal(), epoch]
  }

  /** The parameters of `TENANT_CHECK`. */
  valuesFor(writes: boolean): unknown[] {
    return [...this.#values, writes]
  }
}

export interface Statement {
  readonly text: string
  readonly values: readonly unknown[]
  readonly rowMode: 'array' | 'object'
}

type PreambleStatement = Omit<Statement, 'rowMode'>

/** What a unit sends besides the statement. */
export interface UnitOptions {
  readonly tenantCheck: TenantCheck | null
  /** Settings that each transaction makes behind a pooler. Absent on a connection without a pooler. */
  readonly setup?: SessionSetup
  /** True if the unit has no tenant check and belongs to no open transaction. It then sends its own settings. */
  readonly isAlone?: boolean
  /** Opens a transaction block for later statements. Otherwise the implicit transaction ends with the unit. */
  readonly begin: boolean
  readonly writes: boolean
  /** True for SQL of an application. It gets no name: its plan depends on settings that this SQL may have changed. */
  readonly ownSql?: boolean
}

const BEGIN = 'BEGIN'
const BEGIN_POOLED = 'BEGIN ISOLATION LEVEL READ COMMITTED'
const TENANT_CHECK = [
  "pg_catalog.set_config('app.tenant_id', $1, true)",
  "pg_catalog.set_config('app.seal', $2, true)",
  'public.freehold_enter($3::pg_catalog.int8, $4::pg_catalog.bool)',
].join(', ')
/** The tenant check as a statement of its own. */
export const TENANT_CHECK_STATEMENT = `SELECT ${TENANT_CHECK}`

interface Wire {
  readonly stream: { cork(): void; uncork(): void }
  parse(message: { name: string; text: string; types: readonly number[] }): void
  bind(message: object): void
  describe(message: { type: 'P'; name: '' }): void
  execute(message: { portal: ''; rows: 0 }): void
  close(message: { type: 'S'; name: string }): void
  sync(): void
}

/** The prepared statements that a connection holds, as far as we know. */
interface Prepared {
  readonly known: Set<string>
  /** Statements that are perhaps not prepared, because an error came first. */
  readonly doubtful: Set<string>
  /** True if the connection held other statements than these. Each name is then closed before it is used again. */
  isDistrusted: boolean
}
const preparedOn = new WeakMap<object, Prepared>()

/** SQLSTATEs that prove our record wrong: no statement has this name, or one has it already. */
const OUT_OF_STEP = new Set(['26000', '42P05'])

/**
 * The name is a hash of the text, because behind a pooler many processes share a session: in all of them, one name must mean one
 * statement. After `MAX_NAMES` statements a new one gets no name.
 */
const names = new Map<string, string>()
const MAX_NAMES = 2_000
export function statementName(text: string): string {
  const known = names.get(text)
  if (known !== undefined) return known
  if (names.size >= MAX_NAMES) return ''
  const name = `fh_${createHash('sha256').update(text).digest('base64url')}`
  names.set(text, name)
  return name
}

/** `2026-01-31 10:00:00.5+00` → `2026-01-31T10:00:00.5Z` (the session's time zone is UTC). */
function isoTimestamp(text: string): string {
  return text.endsWith('+00') ? `${text.slice(0, 10)}T${text.slice(11, -3)}Z` : text
}

/** A number if it is exact, so that money becomes a JSON integer. Otherwise the text, because a number would be rounded. */
function safeInteger(text: string): number | string {
  const number = Number(text)
  return Number.isSafeInteger(number) ? number : text
}

export const OID = pg.types.builtins
const asText = (text: string) => text
/** Reads values as requests see them, by the type's OID. */
export const TYPES = {
  getTypeParser(oid: number, format?: 'text' | 'binary') {
    if (format !== 'binary' && oid === OID.TIMESTAMPTZ) return isoTimestamp
    if (format !== 'binary' && oid === OID.DATE) return asText
    if (format !== 'binary' && oid === OID.INT8) return safeInteger
    return pg.types.getTypeParser(oid, format as 'text')
  },
} as pg.CustomTypesConfig

type QueryInternals = { _result: unknown; callback: (error: Error | null, result?: unknown) => void }
/** pg's handlers of messages. Its typings show only the constructor and `submit`. */
interface QueryMessages {
  handleRowDescription(message: unknown): void
  handleDataRow(message: unknown): void
  handleCommandComplete(message: unknown, connection: unknown): void
  handleError(error: Error, connection: unknown): void
}
const messages = pg.Query.prototype as unknown as QueryMessages

/**
 * One statement and its preamble, written together and ended by ONE Sync. PostgreSQL runs all messages before a Sync as one
 * transaction and, after an error, skips to the Sync. So if the tenant check is refused, the statement never runs. The
 * tenant's setting ends with the unit, and the whole unit is one round trip.
 *
 * pg assumes that a query has one statement: it records the query's name at any ParseComplete, and forgets the name after an
 * error. So a unit gives pg no name, and keeps its own record of the statements that a connection holds.
 */
export class TenantUnit extends pg.Query {
  readonly #statement: Statement
  readonly #setup: SessionSetup | undefined
  readonly #preamble: readonly PreambleStatement[]
  readonly #isNamed: boolean
  #completed = 0
  #written: string[] = []
  #prepared: Prepared | null = null
  #isSent = false

  constructor(statement: Statement, options: UnitOptions) {
    super({
      text: statement.text,
      values: [...statement.values],
      types: TYPES,
      ...(statement.rowMode === 'array' && { rowMode: 'array' }),
    } as pg.QueryConfig)
    this.#statement = statement
    this.#setup = options.setup
    this.#preamble = preambleOf(options)
    this.#isNamed = options.ownSql !== true
    this.submit = (connection) => this.#write(connection as unknown as Wire)
  }

  /** False while the statement was not sent, so that the server cannot have run it. */
  get isSent(): boolean {
    return this.#isSent
  }

  /** True if the whole preamble has succeeded: a later error is about the statement. */
  get isPreambleDone(): boolean {
    return this.#completed >= this.#preamble.length
  }

  #write(wire: Wire): void {
    this.#prepared = preparedOf(wire)
    wire.stream.cork()
    try {
      for (const { text, values } of this.#preamble)
        this.#writeStatement(wire, text, { values, describe: false, isNamed: true })
      const { text, values } = this.#statement
      this.#writeStatement(wire, text, { values, describe: true, isNamed: this.#isNamed })
      this.#isSent = true
    } finally {
      // The Sync is written even if a value could not be encoded: the server then answers, and the connection stays usable.
      wire.sync()
      wire.stream.uncork()
    }
  }

  #writeStatement(
    wire: Wire,
    text: string,
    { values, describe, isNamed }: { values: readonly unknown[]; describe: boolean; isNamed: boolean },
  ) {
    const name = !isNamed || this.#setup?.names.keepsNames === false ? '' : statementName(text)
    const prepared = this.#prepared as Prepared
    if (name === '' || !prepared.known.has(name)) {
      if (prepared.isDistrusted || prepared.doubtful.has(name)) wire.close({ type: 'S', name })
      wire.parse({ name, text, types: [] })
      if (name !== '') this.#written.push(name)
    }
    wire.bind({ portal: '', statement: name, values, binary: false, valueMapper: encodeValue })
    if (describe) wire.describe({ type: 'P', name: '' })
    wire.execute({ portal: '', rows: 0 })
  }

  handleRowDescription(message: unknown): void {
    messages.handleRowDescription.call(this, message)
  }

  handleDataRow(message: unknown): void {
    if (this.isPreambleDone) messages.handleDataRow.call(this, message)
  }

  handleCommandComplete(message: unknown, connection: unknown): void {
    this.#completed += 1
    if (this.#completed <= this.#preamble.length) return
    for (const name of this.#written) this.#remember(name)
    messages.handleCommandComplete.call(this, message, connection)
  }

  handleError(error: Error, connection: unknown): void {
    for (const name of this.#written) this.#prepared?.doubtful.add(name)
    if (this.#prepared !== null && isOutOfStep(error)) {
      distrust(this.#prepared)
      // A pooler lends sessions in which other clients have prepared statements, so this would happen again.
      if (this.#setup !== undefined) this.#setup.names.keepsNames = false
    }
    messages.handleError.call(this, error, connection)
  }

  #remember(name: string): void {
    this.#prepared?.known.add(name)
    this.#prepared?.doubtful.delete(name)
  }
}

/**
 * True if the connection holds other prepared statements than we recorded. The unit's statement has then not run. It may be
 * repeated on the same connection, which prepares its statements again.
 */
export function isOutOfStep(error: unknown): boolean {
  return OUT_OF_STEP.has(databaseError(error)?.code ?? '')
}

/** The statements before the unit's own. Behind a pooler the settings come first, so that they apply to all that follows. */
function preambleOf({ begin, tenantCheck, setup, isAlone, writes }: UnitOptions): PreambleStatement[] {
  if (setup !== undefined && isAlone === true) return [{ text: `SELECT ${setup.settings}`, values: [] }]
  const opening = begin ? [{ text: setup === undefined ? BEGIN : BEGIN_POOLED, values: [] }] : []
  if (tenantCheck === null) return opening
  const values = tenantCheck.valuesFor(writes)
  const settings = setup === undefined ? '' : `${setup.settings}, `
  return [...opening, { text: `SELECT ${settings}${TENANT_CHECK}`, values }]
}

function preparedOf(wire: object): Prepared {
  const known = preparedOn.get(wire)
  if (known !== undefined) return known
  const prepared = { known: new Set<string>(), doubtful: new Set<string>(), isDistrusted: false }
  preparedOn.set(wire, prepared)
  return prepared
}

/** Call after the connection was told to drop its prepared statements. */
export function forgetStatements(client: pg.ClientBase): void {
  preparedOn.delete((client as unknown as { connection: object }).connection)
}

function distrust(prepared: Prepared): void {
  prepared.isDistrusted = true
  prepared.known.clear()
}

export function runUnit<Row>(
  client: pg.ClientBase,
  unit: TenantUnit,
): Promise<pg.QueryResult<Row & pg.QueryResultRow>> {
  return new Promise((resolve, reject) => {
    const internals = unit as unknown as QueryInternals
    internals.callback = (error, result) => {
      if (error) reject(error)
      else resolve(result as pg.QueryResult<Row & pg.QueryResultRow>)
    }
    client.query(unit)
  })
}

/** Encodes as pg does, because pg's own module is private: every value except null and buffers becomes text. */
export function encodeValue(value: unknown): unknown {
  if (value === null || value === undefined) return null
  if (Buffer.isBuffer(value) || typeof value === 'string') return value
  if (value instanceof Date) return value.toISOString()
  if (Array.isArray(value)) return arrayLiteral(value)
  if (typeof value === 'object') return JSON.stringify(value)
  return String(value)
}

function arrayLiteral(values: readonly unknown[]): string {
  const items = values.map((value) => {
    if (value === null || value === undefined) return 'NULL'
    if (Array.isArray(value)) return arrayLiteral(value)
    return `"${String(encodeValue(value)).replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
  })
  return `{${items.join(',')}}`
}
