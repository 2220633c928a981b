import { createHash } from 'node:crypto'
import pg from 'pg'
import { databaseError } from '../../lib/postgres/pg.ts'
import type { Secret } from '../../lib/secret.ts'
import type { SessionSetup } from '../../lib/wire/session-setup.ts'

/**
 * What a statement needs to enter its tenant. The seal stays in a private field, so that it cannot be printed. It travels as a
 * parameter only: every session of the role can read the text of a statement.
 */
export class Entrance {
  readonly #values: readonly [tenantId: string, seal: string, epoch: number]

  constructor({ tenantId, epoch, seal }: { tenantId: string; epoch: number; seal: Secret }) {
    this.#values = [tenantId, seal.reveal(), epoch]
  }

  /** The parameters of `ENTRANCE`. */
  valuesFor(writes: boolean): unknown[] {
    return [...this.#values, writes]
  }
}

export interface Statement {
  readonly text: string
  readonly values: readonly unknown[]
  readonly rowMode: 'array' | 'object'
}

/** What stands around the statement in one unit. */
export interface UnitOptions {
  readonly entrance: Entrance | null
  /** What has to be set up behind a pooler; absent on a session of our own. */
  readonly setup?: SessionSetup
  /** It has no entrance, and belongs to no transaction that has begun: its settings go with it. */
  readonly isAlone?: boolean
  /** Opens a transaction block that later statements share, instead of the implicit one that ends with the unit. */
  readonly begin: boolean
  readonly writes: boolean
  /** The statement is SQL of an application: it is planned for this one time, under the settings that the SQL has made. */
  readonly ownSql?: boolean
}

const BEGIN = 'BEGIN'
const BEGIN_POOLED = 'BEGIN ISOLATION LEVEL READ COMMITTED'
const ENTRANCE = [
  "pg_catalog.set_config('app.tenant_id', $1, true)",
  "pg_catalog.set_config('app.seal', $2, true)",
  'public.freehold_enter($3::pg_catalog.int8, $4::pg_catalog.bool)',
].join(', ')

/** The messages of pg's protocol that a unit writes. */
interface Wire {
  readonly stream: { cork(): void; uncork(): void }
  parse(message: { name: string; text: string; types: readonly number[] }): void
  bind(message: object): void
  describe(message: { type: 'P'; name: '' }): void
  execute(message: { portal: ''; rows: 0 }): void
  close(message: { type: 'S'; name: string }): void
  sync(): void
}

/** The statements that a connection holds, as far as is known. */
interface Prepared {
  readonly known: Set<string>
  /** An error came before it was known whether these were prepared. */
  readonly doubtful: Set<string>
  /** The connection held others than we believed: each name is closed before it is used again. */
  isDistrusted: boolean
}
const preparedOn = new WeakMap<object, Prepared>()

/** SQLSTATEs of a connection that holds other statements than we believe: none of this name, or already one. */
const OUT_OF_STEP = new Set(['26000', '42P05'])

/**
 * The name is a hash of the text, so that one name means one statement in all processes: behind a pooler many processes share
 * a server's connection. Beyond the bound a statement stays unnamed.
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

/** As a number where a number can hold it, so that money leaves as a JSON integer; a text beyond, rather than another number. */
function safeInteger(text: string): number | string {
  const number = Number(text)
  return Number.isSafeInteger(number) ? number : text
}

const INT8 = 20
const TIMESTAMPTZ = 1184
const DATE = 1082
const asText = (text: string) => text
const TYPES = {
  getTypeParser(oid: number, format?: 'text' | 'binary') {
    if (format !== 'binary' && oid === TIMESTAMPTZ) return isoTimestamp
    if (format !== 'binary' && oid === DATE) return asText
    if (format !== 'binary' && oid === INT8) return safeInteger
    return pg.types.getTypeParser(oid, format as 'text')
  },
} as pg.CustomTypesConfig

type QueryInternals = { _result: unknown; callback: (error: Error | null, result?: unknown) => void }
/** What pg's Query does with each message; its typings show only the constructor and `submit`. */
interface QueryMessages {
  handleRowDescription(message: unknown): void
  handleDataRow(message: unknown): void
  handleCommandComplete(message: unknown, connection: unknown): void
  handleError(error: Error, connection: unknown): void
}
const messages = pg.Query.prototype as unknown as QueryMessages

/**
 * One statement and what must stand before it, written together and ended by ONE Sync: PostgreSQL runs what stands before
 * a Sync as one transaction and, after an error, skips to the Sync. So if the entrance is refused the statement never
 * runs, the tenant's setting ends with the unit, and all of it is one round trip.
 *
 * pg assumes that a query has one statement: it takes any ParseComplete as that of the query's own name, and forgets a name
 * after an error. Units therefore have no name for pg, and keep their own record of what a connection holds.
 */
export class TenantUnit extends pg.Query {
  readonly #statement: Statement
  readonly #setup: SessionSetup | undefined
  readonly #preamble: readonly Omit<Statement, 'rowMode'>[]
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

  /** False as long as the server cannot have run the statement, because it was not told to. */
  get isSent(): boolean {
    return this.#isSent
  }

  /** True if all that stands before the statement was done: an error that comes now is about the statement. */
  get hasEntered(): boolean {
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
      // The Sync is written also if a value could not be encoded: the server answers, and the connection stays in step.
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
    if (this.hasEntered) messages.handleDataRow.call(this, message)
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
      // A pooler leads to sessions in which others have named statements, and will do so again.
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
 * True if the connection holds other statements than we believed. The statement has certainly not run; it may be repeated
 * on the same connection, whose names are given out anew from then on.
 */
export function isOutOfStep(error: unknown): boolean {
  return OUT_OF_STEP.has(databaseError(error)?.code ?? '')
}

/**
 * What goes before the statement. Behind a pooler the settings come first, so that everything after them is parsed under them.
 * A transaction that is open already has them.
 */
function preambleOf({ begin, entrance, setup, isAlone, writes }: UnitOptions): Omit<Statement, 'rowMode'>[] {
  if (setup !== undefined && isAlone === true) return [{ text: `SELECT ${setup.settings}`, values: [] }]
  const opening = begin ? [{ text: setup === undefined ? BEGIN : BEGIN_POOLED, values: [] }] : []
  if (entrance === null) return opening
  const values = entrance.valuesFor(writes)
  const settings = setup === undefined ? '' : `${setup.settings}, `
  return [...opening, { text: `SELECT ${settings}${ENTRANCE}`, values }]
}

function preparedOf(wire: object): Prepared {
  const known = preparedOn.get(wire)
  if (known !== undefined) return known
  const prepared = { known: new Set<string>(), doubtful: new Set<string>(), isDistrusted: false }
  preparedOn.set(wire, prepared)
  return prepared
}

/** Forgets which statements a connection holds, once it has been told to drop them. */
export function forgetStatements(client: pg.ClientBase): void {
  preparedOn.delete((client as unknown as { connection: object }).connection)
}

function distrust(prepared: Prepared): void {
  prepared.isDistrusted = true
  prepared.known.clear()
}

/** Runs a unit and gives its result; rows are arrays or objects as the statement asks. */
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

/** pg's rules for values, without its private module: text for all but null and buffers. */
function encodeValue(value: unknown): unknown {
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
