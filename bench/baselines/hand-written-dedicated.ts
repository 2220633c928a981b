/**
 * What a careful developer would write by hand for tenants with databases of their own, and nothing more: a table with the sealed
 * connection strings, a pg pool for each tenant within a budget, and named statements. It does not check that the right
 * database answers.
 */
import pg from 'pg'
import { OwnCatalog } from './own-catalog.ts'
import { type Place, serve } from './service.ts'
import { placesBy, type Statement } from './statements.ts'
import { TenantPools } from './tenant-pools.ts'

const { CATALOG_URL = '', SEAL_KEY = '' } = process.env
const [maxConnections = 0, maxPerServer = 0, maxPools = 0] = [
  'MAX_CONNECTIONS',
  'MAX_CONNECTIONS_PER_SERVER',
  'MAX_POOLS',
].map((name) => Number(process.env[name]))
/** The gateway's default for a tenant. */
const MOST_PER_POOL = 10
/** The gateway's default as well. */
const IDLE_TIMEOUT_MS = 30_000
// All databases are on one server. Each pool gets the same share, so that all of them together stay within the budget.
const share = Math.floor(Math.min(maxConnections, maxPerServer) / maxPools)
const max = Math.max(1, Math.min(MOST_PER_POOL, share))

const catalog = new OwnCatalog(CATALOG_URL, Buffer.from(SEAL_KEY, 'base64url'))

const pools = new TenantPools({
  maxPools,
  createPool: async (tenantId) => {
    const connectionString = await catalog.find(tenantId)
    const pool = new pg.Pool({
      ...{ connectionString, max, idleTimeoutMillis: IDLE_TIMEOUT_MS, options: '-c search_path=app' },
    })
    pool.on('error', () => undefined)
    return pool
  },
})

function query(tenantId: string, statement: Statement): Promise<Place[]> {
  return pools.use(tenantId, async (pool) => (await pool.query<Place>(statement)).rows)
}

await serve(placesBy(query), (server) => {
  server.put<{ Body: { connectionString: string } }>('/api/v1/database', async (request) => {
    await catalog.register(request.caller, request.body.connectionString)
    return { status: 'active' }
  })
})
