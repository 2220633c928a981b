/**
 * Like `hand-written.ts`, but with row-level security, as the guides show it: a transaction in which `set_config` says the
 * tenant before the statement. It sends four messages, and waits for each answer before the next one.
 */
import { poolFromEnvironment } from './environment-pool.ts'
import { type Place, serve } from './service.ts'
import { placesBy, type Statement } from './statements.ts'

const pool = poolFromEnvironment()

async function query(tenantId: string, statement: Statement): Promise<Place[]> {
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    await client.query("SELECT set_config('app.tenant_id', $1, true)", [tenantId])
    const { rows } = await client.query<Place>(statement)
    await client.query('COMMIT')
    client.release()
    return rows
  } catch (error) {
    // The connection is closed: it may still be inside the transaction.
    client.release(true)
    throw error
  }
}

await serve(placesBy(query))
