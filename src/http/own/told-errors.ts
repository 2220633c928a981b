import { getTableColumns, is } from 'drizzle-orm'
import { PgTable } from 'drizzle-orm/pg-core'
import { OwnProblem } from '../../application/own-errors.ts'
import type { Application } from '../../application.ts'
import { type Verb, type Violations, violationsOf } from '../../collections/violations.ts'
import { fail, PublicError } from '../../errors.ts'
import { causesOf } from '../../lib/causes.ts'
import { databaseError } from '../../lib/postgres/pg.ts'

/**
 * A fault in the text of the statement: everything of class 42 but a permission that is missing. Of a database that is behind
 * what the release needs the session has said so.
 */
const WRONG_SQL = /^42(?!501)/

/** What a handler's SQL may meet, in the public errors that it stands for. */
export class ToldErrors {
  readonly #tables: readonly Violations[]

  constructor({ schema }: Pick<Application, 'schema'>) {
    const tables = Object.values(schema).filter((value): value is PgTable => is(value, PgTable))
    this.#tables = tables.map((table) => {
      const columns = Object.entries(getTableColumns(table)).filter(([name]) => name !== 'tenantId')
      const fields = new Map(columns.map(([name, { name: column }]) => [column, name]))
      return violationsOf(table, (column) => fields.get(column))
    })
  }

  /** The public error for what a handler has thrown; anything else comes back as it is. */
  told(error: unknown, method: string): unknown {
    // drizzle wraps what a session has said already.
    const said = [...causesOf(error)].find(
      (cause) => cause instanceof PublicError || cause instanceof OwnProblem,
    )
    if (said !== undefined && (said as PublicError).code !== 'TENANT_DATABASE_UNAVAILABLE') return error
    const state = databaseError(error)?.code
    if (state === undefined) return error
    if (WRONG_SQL.test(state)) return fail('INTERNAL_ERROR', { cause: error })
    if (said !== undefined) return error
    return this.#violation(error, method === 'DELETE' ? 'remove' : 'write')
  }

  /** The table that knows the constraint says which field it is about; without one the SQLSTATE alone speaks. */
  #violation(error: unknown, verb: Verb): unknown {
    const { constraint } = databaseError(error) ?? {}
    const knowing = this.#tables.find((violations) => violations.knows(constraint)) ?? this.#tables[0]
    return knowing?.translate(error, verb) ?? error
  }
}
