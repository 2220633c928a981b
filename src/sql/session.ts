import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import type pg from 'pg'
import type { Statement } from '../pools/wire/tenant-unit.ts'
import type * as schema from '../residence/tables.ts'
import type { StatementKind } from './statement-kind.ts'

/** drizzle, which writes the statements that a session runs. */
export type TenantDb = NodePgDatabase<typeof schema>

/** A statement of a session. */
export interface SessionStatement extends Statement {
  /** What it does, where that was found out beforehand by `servedKindOf`. */
  readonly kind?: StatementKind
}

/**
 * The only way to a tenant's rows: `run` and `transaction`. Code that holds a session cannot reach another tenant's rows, and
 * cannot tell where its own tenant's rows live.
 */
export interface TenantSession {
  readonly tenantId: string
  /** Runs one statement, in one round trip that enters the tenant first. A read runs in a read-only transaction. */
  run<Row>(statement: SessionStatement): Promise<pg.QueryResult<Row & pg.QueryResultRow>>
  /** drizzle over `run`. */
  readonly db: TenantDb
  /**
   * Runs `fn` in one transaction: commits when it resolves, rolls back when it throws. `inside` is this session within the
   * transaction; a transaction that is begun on `inside` is part of it. `db` is the one of `inside`.
   */
  transaction<T>(fn: (db: TenantDb, inside: TenantSession) => Promise<T>): Promise<T>
}
