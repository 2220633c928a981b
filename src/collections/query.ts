import type { SQL } from 'drizzle-orm'
import { and, asc, desc, eq, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { fail } from '../errors.ts'
import type { DeclaredColumn } from '../sql/wire/wire-statement.ts'
import type { CursorCodec, CursorScope } from './cursor.ts'
import { etagOf } from './etag.ts'
import type { Field, Model, ResourceTable, Row, Tagged } from './model.ts'
import type { Reach, Statement, Within } from './statement.ts'
import { compile, reachOf, value } from './statement.ts'

export const DEFAULT_LIMIT = 50
export const MAX_LIMIT = 200

// Placeholders. Their names have a space, so no filter can have the same name.
const PAGE_SIZE = 'page size'
const AFTER_VALUE = 'after value'
const AFTER_ID = 'after id'

/** Query parameters of a list that are not filters. */
export const LIST_PARAMETERS = ['limit', 'cursor', 'sort'] as const

/** A validated query string: paging, order, and a value for each declared filter that was given. */
export interface ListQuery {
  readonly limit?: number
  readonly cursor?: string
  readonly sort?: string
  readonly [filter: string]: unknown
}

/** One page of an answer. */
export interface Page {
  readonly data: readonly Row[]
  readonly nextCursor: string | null
}

/** A row as `find` and the commands read it: the tag beside the fields. */
export type RowWithTag = Row & { readonly etag: string }

/** Builds SQL without a connection. */
export const builder = drizzle.mock()

/** Every column but the tenant's, under its field's name. */
function selection({ table, fields }: Model): Record<string, SQL.Aliased> {
  return Object.fromEntries(
    columnsOf({ table, fields }).map(([name, column]) => [name, sql`${column}`.as(name)]),
  )
}

function columnsOf({ table, fields }: Pick<Model, 'table' | 'fields'>): (readonly [string, PgColumn])[] {
  const named = fields.map(({ name, column }) => [name, column] as const)
  return [['id', table.id], ...named, ['createdAt', table.createdAt], ['updatedAt', table.updatedAt]]
}

/** The columns of `selection`, as their tables declare them. */
function declaredColumns(model: Model): DeclaredColumn[] {
  return columnsOf(model).map(([name, column]) => ({ name, type: column.getSQLType() }))
}

/** The selection of a single row, which carries its entity tag. */
export function taggedSelection(model: Model): Record<string, SQL.Aliased> {
  return { ...selection(model), etag: etagOf(model.table).as('etag') }
}

/**
 * A condition: the row with this id in the session's tenant. Row-level security adds the same condition on the tenant, but
 * PostgreSQL uses the index of the composite key only if the statement has it too.
 */
export function isRow(table: ResourceTable): SQL | undefined {
  return and(eq(table.tenantId, value('tenantId', table.tenantId)), eq(table.id, value('id', table.id)))
}

/** Takes the tag out of a row that was read with `taggedSelection`. */
export function tagged({ etag, ...row }: RowWithTag): Tagged {
  return { row: row as Row, etag }
}

/** The reading half of a collection. Each call is one statement. */
export class Reader {
  readonly #model: Model
  readonly #find: Statement
  readonly #lists = new Map<string, Statement>()

  constructor(model: Model) {
    this.#model = model
    this.#find = compile(builder.select(taggedSelection(model)).from(model.table).where(isRow(model.table)), [
      ...declaredColumns(model),
      { name: 'etag', type: 'text' },
    ])
  }

  /** The row with its tag; throws `NOT_FOUND`, also for a row of another tenant. */
  async find(tenant: Within, id: string): Promise<Tagged> {
    const session = reachOf(tenant)
    const [row] = await this.#run<RowWithTag>(session, this.#find, { tenantId: session.tenantId, id })
    if (row === undefined) throw fail('NOT_FOUND')
    return tagged(row)
  }

  /** One page in a stable order; throws `INVALID_CURSOR` for a cursor of another list. */
  async list(tenant: Within, query: ListQuery, cursors: CursorCodec): Promise<Page> {
    const session = reachOf(tenant)
    const { limit = DEFAULT_LIMIT, cursor, sort = this.#model.defaultSort, ...given } = query
    const scope: CursorScope = {
      tenantId: session.tenantId,
      resource: this.#model.name,
      sort,
      filters: this.#filtersOf(given),
    }
    const after = cursor === undefined ? undefined : cursors.decode(scope, cursor)
    const rows = await this.#run<Row>(session, this.#listStatement(scope, after !== undefined), {
      ...given,
      tenantId: session.tenantId,
      [PAGE_SIZE]: limit + 1,
      [AFTER_VALUE]: after?.value,
      [AFTER_ID]: after?.id,
    })
    return pageOf(rows, limit, (last) =>
      cursors.encode(scope, { value: last[sort.replace('-', '')] as string | number, id: last.id }),
    )
  }

  /** Sorts the filters in the order of the declaration, so that one set of filters has one statement and one signature. */
  #filtersOf(given: Readonly<Record<string, unknown>>): (readonly [string, unknown])[] {
    const filters = this.#model.filters.flatMap((name) =>
      given[name] === undefined ? [] : [[name, given[name]] as const],
    )
    if (filters.length < Object.keys(given).length) throw fail('VALIDATION_FAILED')
    return filters
  }

  /** The map has at most one statement for each declared order and each set of declared filters, so its size is limited. */
  #listStatement({ sort, filters }: CursorScope, after: boolean): Statement {
    const names = filters.map(([name]) => name)
    const key = `${sort} ${after} ${names.join()}`
    const known = this.#lists.get(key)
    if (known !== undefined) return known
    const statement = listStatement(this.#model, sort, { after, filters: names })
    this.#lists.set(key, statement)
    return statement
  }

  async #run<R>(session: Reach, statement: Statement, values: Record<string, unknown>): Promise<R[]> {
    try {
      return (await session.run<R>(statement.bind(values))).rows
    } catch (error) {
      throw this.#model.violations.translate(error, 'read')
    }
  }
}

/** The statement of a list: filters, the keyset condition except for the first page, and one row more than the page has. */
function listStatement(
  model: Model,
  sort: string,
  { after, filters }: { after: boolean; filters: readonly string[] },
): Statement {
  const descending = sort.startsWith('-')
  const column = model.sorts.get(descending ? sort.slice(1) : sort)
  if (column === undefined) throw fail('VALIDATION_FAILED')
  const { table } = model
  const direction = descending ? desc : asc
  const conditions = [
    eq(table.tenantId, value('tenantId', table.tenantId)),
    ...model.fields.flatMap((field) => (filters.includes(field.name) ? [isFiltered(model, field)] : [])),
    ...(after ? [isAfter(column, table.id, descending)] : []),
  ]
  return compile(
    builder
      .select(selection(model))
      .from(table)
      .where(and(...conditions))
      .orderBy(direction(column), direction(table.id))
      .limit(sql.placeholder(PAGE_SIZE)),
    declaredColumns(model),
  )
}

function isFiltered({ caseless }: Model, { name, column }: Field): SQL {
  const sought = value(name, column)
  const lower = caseless.get(name)
  return lower === undefined ? eq(column, sought) : sql`${lower} = lower(${sought})`
}

/** A row comparison, because one index scan answers it. `a > x or (a = x and b > y)` would need a filter. */
function isAfter(column: PgColumn, id: PgColumn, descending: boolean): SQL {
  const operator = sql.raw(descending ? '<' : '>')
  return sql`(${column}, ${id}) ${operator} (${sql.placeholder(AFTER_VALUE)}, ${sql.placeholder(AFTER_ID)})`
}

function pageOf(rows: Row[], limit: number, cursorAfter: (last: Row) => string): Page {
  if (rows.length <= limit) return { data: rows, nextCursor: null }
  const data = rows.slice(0, limit)
  const last = data.at(-1)
  return { data, nextCursor: last === undefined ? null : cursorAfter(last) }
}
