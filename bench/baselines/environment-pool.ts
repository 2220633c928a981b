import pg from 'pg'

/** A pool for DATABASE_URL with POOL_SIZE connections. */
export function poolFromEnvironment(): pg.Pool {
  const { DATABASE_URL = '', POOL_SIZE = '10' } = process.env
  const pool = new pg.Pool({ connectionString: DATABASE_URL, max: Number(POOL_SIZE) })
  pool.on('error', () => undefined)
  return pool
}
