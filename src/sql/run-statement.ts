import type pg from 'pg'
import { databaseError } from '../lib/postgres/pg.ts'
import { sessionSetups } from '../lib/wire/session-setup.ts'
import { isTenantCheckRefused, StatementFault, TenantCheckRefused } from '../pools/wire/statement-fault.ts'
import {
  isOutOfStep,
  runUnit,
  type Statement,
  TenantUnit,
  type UnitOptions,
} from '../pools/wire/tenant-unit.ts'
import { type Traced, traced } from './trace.ts'

/** How a session runs a statement. */
export interface RunOptions extends UnitOptions {
  /** For development; see `FREEHOLD_TRACE_SQL`. */
  readonly traced?: Pick<Traced, 'trace' | 'tenantId'> | undefined
}

/**
 * Runs a statement as one unit. If the connection holds other prepared statements than we recorded, nothing has run. The
 * statement is then run once more, unless it belongs to an open transaction.
 * @throws StatementFault, or the error of the database
 */
export async function runStatement<Row>(
  client: pg.ClientBase,
  statement: Statement,
  options: RunOptions,
): Promise<pg.QueryResult<Row & pg.QueryResultRow>> {
  try {
    return await runOnce<Row>(client, statement, options)
  } catch (error) {
    if (options.tenantCheck === null || !isOutOfStep(error)) throw error
    // SQL of an application can raise this SQLSTATE itself, after it has committed something.
    if (options.ownSql === true && !isTenantCheckRefused(error)) throw error
    if (options.begin) await leaveFailedBlock(client)
    return runOnce<Row>(client, statement, options)
  }
}

/** @throws StatementFault if the connection fails. Nothing was done then either. */
async function leaveFailedBlock(client: pg.ClientBase): Promise<void> {
  try {
    await client.query('ROLLBACK')
  } catch (error) {
    throw new StatementFault(false, error)
  }
}

async function runOnce<Row>(
  client: pg.ClientBase,
  statement: Statement,
  options: RunOptions,
): Promise<pg.QueryResult<Row & pg.QueryResultRow>> {
  const setup = sessionSetups.get(client)
  const unit = new TenantUnit(statement, setup === undefined ? options : { ...options, setup })
  try {
    return await (options.traced === undefined
      ? runUnit<Row>(client, unit)
      : traced({ ...options.traced, text: statement.text, isNamed: options.ownSql !== true }, () =>
          runUnit<Row>(client, unit),
        ))
  } catch (error) {
    // pg gives the last error of a connection to all queries in its queue, also to queries that were not sent yet.
    if (unit.isSent && databaseError(error) !== null)
      throw unit.isPreambleDone ? error : new TenantCheckRefused(error)
    throw new StatementFault(unit.isSent, error)
  }
}
