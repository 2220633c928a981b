import type pg from 'pg'
import type { Route } from '../catalog/directory.ts'
import { databaseError } from '../lib/postgres/pg.ts'
import { sessionSetups } from '../lib/wire/session-setup.ts'
import { EntranceRefused, isEntranceRefused, StatementFault } from '../pools/wire/statement-fault.ts'
import {
  Entrance,
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

const entrances = new WeakMap<Route, Entrance>()

/** What enters the tenant of a route: made once for each route. */
export function entranceOf(route: Route): Entrance {
  const known = entrances.get(route)
  if (known !== undefined) return known
  const entrance = new Entrance(route)
  entrances.set(route, entrance)
  return entrance
}

/**
 * Runs a statement as one unit. Where the connection holds other prepared statements than we believed, nothing has run: a
 * statement that begins a transaction (its own, or a block) is then run once more.
 * @throws StatementFault, or what the database said
 */
export async function runStatement<Row>(
  client: pg.ClientBase,
  statement: Statement,
  options: RunOptions,
): Promise<pg.QueryResult<Row & pg.QueryResultRow>> {
  try {
    return await runOnce<Row>(client, statement, options)
  } catch (error) {
    if (options.entrance === null || !isOutOfStep(error)) throw error
    // SQL of an application can raise any code, also after it has committed something.
    if (options.ownSql === true && !isEntranceRefused(error)) throw error
    if (options.begin) await leaveFailedBlock(client)
    return runOnce<Row>(client, statement, options)
  }
}

/** @throws StatementFault where that is not possible: still nothing has happened. */
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
    // pg tells the last error of a connection to all queries in its queue, also to those that were not sent yet.
    if (unit.isSent && databaseError(error) !== null)
      throw unit.hasEntered ? error : new EntranceRefused(error)
    throw new StatementFault(unit.isSent, error)
  }
}
