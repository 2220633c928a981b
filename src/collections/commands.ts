import type { SQL } from 'drizzle-orm'
import { and, getTableColumns, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { fail } from '../errors.ts'
import { newId } from '../lib/ids.ts'
import { etagOf, parseIfMatch } from './etag.ts'
import type { Field, Model, ResourceTable, Tagged } from './model.ts'
import type { Reader, RowWithTag } from './query.ts'
import { builder, isRow, tagged, taggedSelection } from './query.ts'
import type { Reach, Statement, Values, Within } from './statement.ts'
import { compile, reachOf, value } from './statement.ts'
import type { Verb } from './violations.ts'

/** A placeholder. Its name has a space, so no field can have the same name. */
const KNOWN_ETAGS = 'known etags'

/** A validated body: declared fields only. */
export type Body = Readonly<Record<string, unknown>>

/**
 * The writing half of a collection. Each call runs one statement. A conditional write that changed nothing runs a second one, to find
 * out whether the row is missing or has changed.
 */
export class Writer {
  readonly #model: Model
  readonly #reader: Reader
  readonly #insert: Statement
  readonly #update: Statement
  readonly #updateIfMatch: Statement
  readonly #delete: Statement
  readonly #deleteIfMatch: Statement

  constructor(model: Model, reader: Reader) {
    this.#model = model
    this.#reader = reader
    this.#insert = insertStatement(model)
    this.#update = updateStatement(model, isRow(model.table))
    this.#updateIfMatch = updateStatement(model, isVersion(model.table))
    this.#delete = deleteStatement(model, isRow(model.table))
    this.#deleteIfMatch = deleteStatement(model, isVersion(model.table))
  }

  /** Inserts a row under a new id; throws `REFERENCE_NOT_FOUND`, `CONFLICT`, `VALIDATION_FAILED`. */
  async create(tenant: Within, body: Body): Promise<Tagged> {
    const session = reachOf(tenant)
    const values: Record<string, unknown> = { tenantId: session.tenantId, id: newId() }
    for (const field of this.#model.fields) values[field.name] = body[field.name] ?? field.column.default
    const [row] = await this.#run<RowWithTag>(session, { statement: this.#insert, values })
    if (row === undefined) throw new Error('An insert returned no row')
    return tagged(row)
  }

  /**
   * Applies a merge patch (RFC 7396): absent fields stay, null clears a field. An empty patch changes nothing, not even `updatedAt`.
   * Throws `NOT_FOUND`, `PRECONDITION_FAILED`, `CONFLICT` for a row that may not change, and what `create` throws.
   */
  // biome-ignore lint/complexity/useMaxParams: applications call it with these four.
  async update(tenant: Within, id: string, patch: Body, ifMatch?: string): Promise<Tagged> {
    const session = reachOf(tenant)
    const etags = parseIfMatch(ifMatch)
    if (Object.keys(patch).length === 0) return this.#findVersion(session, id, etags)
    const values: Record<string, unknown> = { tenantId: session.tenantId, id, [KNOWN_ETAGS]: etags }
    for (const { name } of givenFields(this.#model)) {
      values[given(name)] = patch[name] !== undefined
      values[name] = patch[name]
    }
    const statement = etags === null ? this.#update : this.#updateIfMatch
    const [row] = await this.#run<RowWithTag>(session, { statement, values })
    if (row === undefined) throw await this.#unchanged(session, id, etags)
    return tagged(row)
  }

  /** Deletes a row; throws `NOT_FOUND`, `PRECONDITION_FAILED`, and `CONFLICT` while others refer to it. */
  async remove(tenant: Within, id: string, ifMatch?: string): Promise<void> {
    const session = reachOf(tenant)
    const etags = parseIfMatch(ifMatch)
    const statement = etags === null ? this.#delete : this.#deleteIfMatch
    const values = { tenantId: session.tenantId, id, [KNOWN_ETAGS]: etags }
    const rows = await this.#run(session, { statement, values, verb: 'remove' })
    if (rows.length === 0) throw await this.#missing(session, id, etags)
  }

  async #findVersion(session: Reach, id: string, etags: readonly string[] | null): Promise<Tagged> {
    const found = await this.#reader.find(session, id)
    if (etags !== null && !etags.includes(found.etag)) throw fail('PRECONDITION_FAILED')
    return found
  }

  /** Why an update changed no row: the row is missing, has another version, or may not be changed. */
  async #unchanged(session: Reach, id: string, etags: readonly string[] | null): Promise<Error> {
    const { changeable } = this.#model
    if (changeable === null) return this.#missing(session, id, etags)
    const found = await this.#reader.find(session, id)
    const isKnown = etags === null || etags.includes(found.etag)
    return isKnown ? fail('CONFLICT', { detail: changeable.otherwise }) : fail('PRECONDITION_FAILED')
  }

  async #missing(session: Reach, id: string, etags: readonly string[] | null): Promise<Error> {
    if (etags === null) return fail('NOT_FOUND')
    await this.#reader.find(session, id)
    return fail('PRECONDITION_FAILED')
  }

  async #run<R>(session: Reach, { statement, values, verb = 'write' }: Command): Promise<R[]> {
    try {
      return (await session.run<R>(statement.bind(values))).rows
    } catch (error) {
      throw this.#model.violations.translate(error, verb)
    }
  }
}

interface Command {
  readonly statement: Statement
  readonly values: Values
  readonly verb?: Verb
}

/** The placeholder that says whether a patch names a field. The value alone does not say it, because null clears a field. */
function given(field: string): string {
  return `${field} given`
}

/** A condition: the row still has one of the entity tags that the caller knows. */
function isVersion(table: ResourceTable): SQL | undefined {
  return and(isRow(table), sql`${etagOf(table)} = any(${sql.placeholder(KNOWN_ETAGS)}::text[])`)
}

function givenFields({ fields }: Model): readonly Field[] {
  return fields.filter(({ readOnly }) => !readOnly)
}

function insertStatement(model: Model): Statement {
  const { table, fields } = model
  const own = { tenantId: value('tenantId', table.tenantId), id: value('id', table.id) }
  const values = Object.fromEntries(fields.map((field) => [field.name, stored(field)]))
  return compile(
    builder
      .insert(table)
      .values({ ...own, ...values, ...derivedValues(model) })
      .returning(taggedSelection(model)),
  )
}

/**
 * One text for every patch. A column that the patch does not name is set to itself; PostgreSQL sees that it is unchanged and touches
 * neither its indexes nor its foreign keys. With a text for each set of fields there would be 2^n prepared statements.
 */
function updateStatement(model: Model, where: SQL | undefined): Statement {
  const { table, derived, changeable } = model
  const columns: Record<string, PgColumn> = getTableColumns(table)
  const values: Record<string, SQL> = derivedValues(model)
  const changes = [
    ...givenFields(model).map((field) => [field.name, field.name, merged(field)] as const),
    ...Object.entries(derived).map(([name, { from }]) => [name, from, values[name]] as const),
  ].map(([name, from, changed]) => [
    name,
    sql`case when ${sql.placeholder(given(from))} then ${changed} else ${columns[name]} end`,
  ])
  return compile(
    builder
      .update(table)
      .set({ ...Object.fromEntries(changes), updatedAt: sql`now()` })
      .where(and(where, changeable?.when))
      .returning(taggedSelection(model)),
  )
}

function deleteStatement({ table }: Model, where: SQL | undefined): Statement {
  return compile(
    builder
      .delete(table)
      .where(where)
      .returning({ id: sql`${table.id}`.as('id') }),
  )
}

/** The values of the derived columns for the given values. */
function derivedValues({ table, fields, derived }: Model): Record<string, SQL> {
  const values = Object.entries(derived).flatMap(([name, { from, value: derive }]) =>
    fields
      .filter((field) => field.name === from)
      .map(({ column }) => [name, derive(value('tenantId', table.tenantId), value(from, column))]),
  )
  return Object.fromEntries(values)
}

/** A field's value for a new row. In an object, a null part counts as left out. */
function stored({ name, column }: Field): SQL {
  return column.getSQLType() === 'jsonb'
    ? sql`jsonb_strip_nulls(${value(name, column)})`
    : value(name, column)
}

/** A field's value for a patched row. The parts of an object are merged, and those that are null removed. */
function merged(field: Field): SQL {
  const { name, column } = field
  if (column.getSQLType() !== 'jsonb') return value(name, column)
  return sql`jsonb_strip_nulls(coalesce(${column}, '{}') || ${value(name, column)})`
}
