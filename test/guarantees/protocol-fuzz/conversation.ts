import type { GuardedClient } from '../../../src/lib/postgres/guarded-client.ts'
import { commit } from '../../../src/lib/postgres/outcome.ts'
import { runUnit, type Statement, TenantUnit } from '../../../src/pools/wire/tenant-unit.ts'
import { tenantCheckOf } from '../../../src/sql/current-route.ts'
import { routeOf } from '../../support/tenant-database.ts'

const ROWS: Statement = {
  text: 'SELECT n, $1::text AS name, null AS nothing, now() AS at FROM generate_series(1, 5) AS n',
  values: ['x'],
  rowMode: 'array',
}

/** What a gateway sends to a database: a statement of each kind. The real server and the fake one get the same messages. */
export async function converse(client: GuardedClient, tenantId: string): Promise<unknown[]> {
  const tenantCheck = tenantCheckOf(routeOf(tenantId))
  const unit = (statement: Statement, begin: boolean) =>
    runUnit(client, new TenantUnit(statement, { tenantCheck, begin, writes: begin }))
  const failures: unknown[] = []
  const steps = [
    () => client.query("SELECT g AS one, repeat('x', g) AS other FROM generate_series(1, 3) AS g; SELECT 1"),
    () => client.query('SELECT $1::int AS n', [7]),
    () => unit(ROWS, false),
    () => unit(ROWS, false),
    () => unit({ ...ROWS, rowMode: 'object' }, true),
    () => commit(client),
    () => client.query('SELECT no_such_column'),
    () => client.query('COPY (SELECT 1, 2) TO STDOUT'),
    () => client.query('CREATE TEMPORARY TABLE taken (n int); COPY taken FROM STDIN'),
    () => client.query('LISTEN fuzzed; NOTIFY fuzzed'),
    () => unit({ text: 'SELECT 1 / $1::int', values: [0], rowMode: 'array' }, false),
  ]
  for (const step of steps) await step().catch((error: unknown) => failures.push(error))
  return failures
}
