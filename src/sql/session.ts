import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import type pg from 'pg'
import type { Statement } from '../pools/wire/tenant-unit.ts'
import type * as schema from '../residence/tables.ts'
import type { StatementKind } from './statement-kind.ts'
import type { WireStatement } from './wire/wire-statement.ts'

/** drizzle, which writes the statements that a session runs. */
export type TenantDb = NodePgDatabase<typeof schema>

/** A statement of a session. */
export interface SessionStatement extends Statement {
  /** The result of `servedKindOf`, if the caller has it already. */
  readonly kind?: StatementKind
  /** Only for a read of a declared resource: it may run on a lane. */
  readonly wire?: WireStatement
}

/**
 * A tenant's rows are reached only by `run` and `transaction`. Code that holds a session cannot reach another tenant's rows, and
 * cannot tell in which database its own tenant's rows are.
 */
export interface TenantSession {
  readonly tenantId: string
  /** Runs one statement in one round trip, after the tenant check. A read runs in a read-only transaction. */
  run<Row>(statement: SessionStatement): Promise<pg.QueryResult<Row & pg.QueryResultRow>>
  /** drizzle, which runs its statements by `run`. */
  readonly db: TenantDb
  /**
   * Runs `fn` in one transaction: commits when it resolves, rolls back when it throws. `inside` is this session within the
   * transaction, and `db` is `inside.db`. `inside.transaction` begins no second transaction: its `fn` runs in this one.
   */
  transaction<T>(fn: (db: TenantDb, inside: TenantSession) => Promise<T>): Promise<T>
}
