/**
 * What a careful developer would write by hand for one collection, and nothing more: a pg pool with named statements and
 * `WHERE tenant_id = $1`. No row-level security, one database only.
 */
import { poolFromEnvironment } from './environment-pool.ts'
import { type Place, serve } from './service.ts'
import { placesBy, type Statement } from './statements.ts'

const pool = poolFromEnvironment()

async function query(_tenantId: string, statement: Statement): Promise<Place[]> {
  return (await pool.query<Place>(statement)).rows
}

await serve({
  ...placesBy(query),
  sleep: () => pool.query('SELECT pg_sleep(0.25)'),
})
