import { createTableRelationsHelpers, extractTablesRelationalConfig } from 'drizzle-orm'
import { NodePgDatabase, type NodePgDatabase as NodePgDb, NodePgSession } from 'drizzle-orm/node-postgres'
import { PgDialect } from 'drizzle-orm/pg-core'
import type { Application, ApplicationDb } from '../application.ts'
import type { TenantSession } from '../sql/session.ts'

/** The part of pg's client that drizzle uses; every session's `db` has one. */
type Client = ConstructorParameters<typeof NodePgSession>[0]

const NO_TRANSACTION =
  'db has no transaction of its own: use tenant.transaction(fn), whose function is handed a db inside of one'

/**
 * drizzle over an application's tables. What drizzle reads out of the tables (relations, keys) is read once for all
 * sessions: `drizzle({ schema })` would read it for each.
 */
export class OwnSchema {
  readonly #dialect = new PgDialect()
  readonly #relational: ConstructorParameters<typeof NodePgDatabase<Record<string, unknown>>>[2]
  readonly #known = new WeakMap<object, ApplicationDb>()

  constructor({ schema }: Pick<Application, 'schema'>) {
    const { tables, tableNamesMap } = extractTablesRelationalConfig(schema, createTableRelationsHelpers)
    this.#relational = { fullSchema: { ...schema }, schema: tables, tableNamesMap } as never
  }

  /** The application's `db` over the connection that a session's `db` stands for. One object a session. */
  over(db: TenantSession['db']): ApplicationDb {
    const known = this.#known.get(db)
    if (known !== undefined) return known
    const { $client: client } = db as unknown as { $client: Client }
    const session = new NodePgSession(client, this.#dialect, this.#relational as never)
    const own = new NodePgDatabase(this.#dialect, session as never, this.#relational as never)
    const transaction = () => Promise.reject(new Error(NO_TRANSACTION))
    Object.assign(own, { $client: client, transaction })
    const made = own as unknown as NodePgDb as unknown as ApplicationDb
    this.#known.set(db, made)
    return made
  }
}
