import { createTableRelationsHelpers, extractTablesRelationalConfig } from 'drizzle-orm'
import { NodePgDatabase, NodePgSession } from 'drizzle-orm/node-postgres'
import { PgDialect } from 'drizzle-orm/pg-core'
import type { Application, ApplicationDb } from '../application.ts'
import type { TenantSession } from '../sql/session.ts'
import { bindDb, clientOver } from '../sql/tenant-db.ts'

const NO_TRANSACTION =
  'db has no transaction: use tenant.transaction(fn), which calls fn with a db inside the transaction'

/**
 * Drizzle over an application's tables. Drizzle's metadata of the tables (relations, keys) is read once for all sessions.
 * `drizzle({ schema })` would read it for each session.
 */
export class OwnSchema {
  readonly #dialect = new PgDialect()
  readonly #relational: ConstructorParameters<typeof NodePgDatabase<Record<string, unknown>>>[2]
  readonly #known = new WeakMap<TenantSession, ApplicationDb>()

  constructor({ schema }: Pick<Application, 'schema'>) {
    const { tables, tableNamesMap } = extractTablesRelationalConfig(schema, createTableRelationsHelpers)
    this.#relational = { fullSchema: { ...schema }, schema: tables, tableNamesMap } as never
  }

  /** The application's `db` over a session. Each session has one. */
  over(session: TenantSession): ApplicationDb {
    const known = this.#known.get(session)
    if (known !== undefined) return known
    const drizzleSession = new NodePgSession(clientOver(session), this.#dialect, this.#relational as never)
    const db = new NodePgDatabase(this.#dialect, drizzleSession as never, this.#relational as never)
    Object.assign(db, { transaction: () => Promise.reject(new Error(NO_TRANSACTION)) })
    bindDb(db, session)
    this.#known.set(session, db as unknown as ApplicationDb)
    return db as unknown as ApplicationDb
  }
}
