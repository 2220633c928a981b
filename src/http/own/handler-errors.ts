import { getTableColumns, is } from 'drizzle-orm'
import { PgTable } from 'drizzle-orm/pg-core'
import { OwnProblem } from '../../application/own-errors.ts'
import type { Application } from '../../application.ts'
import { type Verb, type Violations, violationsOf } from '../../collections/violations.ts'
import { fail, PublicError } from '../../errors.ts'
import { causesOf } from '../../lib/causes.ts'
import { databaseError } from '../../lib/postgres/pg.ts'

/**
 * SQLSTATEs of a fault in the statement's text: all of class 42 except a missing permission. A database that lacks migrations is
 * not among them: the session reports that as TENANT_SCHEMA_OUT_OF_DATE.
 */
const WRONG_SQL = /^42(?!501)/

/** Translates the errors of a handler's SQL to public errors. */
export class HandlerErrors {
  readonly #tables: readonly Violations[]

  constructor({ schema }: Pick<Application, 'schema'>) {
    const tables = Object.values(schema).filter((value): value is PgTable => is(value, PgTable))
    this.#tables = tables.map((table) => {
      const columns = Object.entries(getTableColumns(table)).filter(([name]) => name !== 'tenantId')
      const fields = new Map(columns.map(([name, { name: column }]) => [column, name]))
      return violationsOf(table, (column) => fields.get(column))
    })
  }

  /** The public error for an error of the database that a handler threw. Other errors are returned unchanged. */
  publicErrorOf(error: unknown, method: string): unknown {
    // drizzle wraps the public errors of a session.
    const known = [...causesOf(error)].find(
      (cause) => cause instanceof PublicError || cause instanceof OwnProblem,
    )
    if (known !== undefined && (known as PublicError).code !== 'TENANT_DATABASE_UNAVAILABLE') return error
    const state = databaseError(error)?.code
    if (state === undefined) return error
    if (WRONG_SQL.test(state)) return fail('INTERNAL_ERROR', { cause: error })
    if (known !== undefined) return error
    return this.#violation(error, method === 'DELETE' ? 'remove' : 'write')
  }

  /** The table that has the constraint names the field. If no table has it, the SQLSTATE alone decides. */
  #violation(error: unknown, verb: Verb): unknown {
    const { constraint } = databaseError(error) ?? {}
    const knowing = this.#tables.find((violations) => violations.knows(constraint)) ?? this.#tables[0]
    return knowing?.translate(error, verb) ?? error
  }
}
