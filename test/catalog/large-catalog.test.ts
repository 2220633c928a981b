import { type SQL, sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { claimHealthChecks, type DueCheck } from '../../src/catalog/databases/claims.ts'
import { CatalogStore } from '../../src/catalog/store.ts'
import { listTenants } from '../../src/catalog/tenants.ts'
import { createPool } from '../../src/lib/postgres/pg.ts'
import { dropAll, superuserUrl } from '../support/database.ts'
import { addressOf, openCatalog, type TestCatalog } from './catalog.ts'

const TENANTS = 20_000
/** One of so many has the rarer status and placement. */
const RARE = 1_000
const PER_PAGE = 10
const PER_CLAIM = 8
/** The rows of one answer, each with what it refers to. The whole table would be `TENANTS`. */
const MOST_READ = 100

let catalog: TestCatalog
let store: CatalogStore
let end: () => Promise<void>
beforeAll(async () => {
  catalog = await openCatalog()
  // One connection, so that all statements of a test run in the transaction that the test has begun.
  const limits = { connectTimeoutMs: 3_000, statementTimeoutMs: 60_000, max: 1, idleTimeoutMs: 0 }
  const pool = createPool(addressOf(superuserUrl(catalog.database)), limits)
  store = new CatalogStore(pool)
  end = () => pool.end()
  await fill()
})
afterAll(async () => {
  await end()
  await catalog.close()
  await dropAll()
})

/** Tenants with an active database each, all checked at different times. */
async function fill(): Promise<void> {
  await store.db.execute(sql`
    INSERT INTO tenants (id, code, name, auth_config, status, placement)
    SELECT gen_random_uuid(), 'many-' || n, 'Many', '{}',
      CASE WHEN n % ${RARE} = 0 THEN 'INACTIVE' ELSE 'ACTIVE' END,
      CASE WHEN n % ${RARE} = 1 THEN 'shared' ELSE 'dedicated' END
    FROM generate_series(1, ${TENANTS}) AS n`)
  await store.db.execute(sql`
    INSERT INTO tenant_databases (id, tenant_id, slot, host, port, database_name, user_name, ssl_mode,
      sealed_connection_string, pool_size, idle_timeout_seconds, connection_timeout_seconds, apply_migrations,
      status, last_checked_at)
    SELECT gen_random_uuid(), id, 'current', 'db.invalid', 5432, code, 'app', 'verify-full',
      '\\x00', 10, 30, 5, true, 'active', now() - interval '1 hour' - random() * interval '1 hour'
    FROM tenants`)
  for (const table of ['tenants', 'tenant_databases']) await store.db.execute(sql.raw(`ANALYZE ${table}`))
}

/** Sets the time of the last check of each database. The planner still knows the times of before, as it does between rounds. */
async function setChecks(lastCheckedAt: SQL): Promise<void> {
  await store.db.execute(
    sql`UPDATE tenant_databases SET last_checked_at = ${lastCheckedAt}, claimed_until = null`,
  )
  await store.db.execute(sql`VACUUM tenant_databases`)
}

/** What `work` returns, and how many rows of the two tables PostgreSQL has read for it. */
async function countingReads<T>(work: () => Promise<T>): Promise<{ result: T; read: number }> {
  await store.db.execute(sql`BEGIN`)
  try {
    // Earlier transactions of the connection may still be in the counters.
    const before = await rowsRead()
    const result = await work()
    return { result, read: (await rowsRead()) - before }
  } finally {
    await store.db.execute(sql`ROLLBACK`)
  }
}

async function rowsRead(): Promise<number> {
  const { rows } = await store.db.execute<{ read: number }>(sql`
    SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::int AS read
    FROM pg_stat_xact_user_tables WHERE relname IN ('tenants', 'tenant_databases')`)
  return rows[0]?.read ?? Number.NaN
}

const claim = ({ db }: CatalogStore, limit: number) =>
  claimHealthChecks(db, { minAgeMs: 60_000, before: null }, { limit, leaseMs: 60_000 })
const namesOf = (claimed: readonly DueCheck[]) => claimed.map(({ databaseName }) => databaseName).toSorted()

describe('a claim of health checks', () => {
  test('reads no more rows than it claims', async () => {
    const { result, read } = await countingReads(() => claim(store, PER_CLAIM))
    expect(read).toBeLessThan(MOST_READ)
    const { rows } = await store.db.execute<{ name: string }>(
      sql`SELECT database_name AS name FROM tenant_databases ORDER BY last_checked_at LIMIT ${PER_CLAIM}`,
    )
    expect(namesOf(result)).toEqual(rows.map(({ name }) => name).toSorted())
  })

  test('reads next to nothing if all databases were checked just now', async () => {
    await setChecks(sql`now()`)
    const { result, read } = await countingReads(() => claim(store, PER_CLAIM))
    expect(result).toEqual([])
    expect(read).toBeLessThan(MOST_READ)
  })

  test('takes databases that were never checked first, and those that were checked in the future last', async () => {
    await setChecks(sql`CASE database_name
      WHEN 'many-1' THEN now() + interval '1 hour'
      WHEN 'many-2' THEN now() - interval '1 hour'
      WHEN 'many-3' THEN null
      WHEN 'many-4' THEN now() - interval '2 hours'
      ELSE now() END`)
    const { result, read } = await countingReads(async () => {
      const claimed: DueCheck[][] = []
      for (let n = 0; n < 5; n += 1) claimed.push(await claim(store, 1))
      return claimed.map(namesOf)
    })
    expect(result).toEqual([['many-3'], ['many-4'], ['many-2'], ['many-1'], []])
    expect(read).toBeLessThan(MOST_READ)
  })

  test('locks no more rows than it claims, so that another replica can claim the next ones', async () => {
    await setChecks(sql`CASE
      WHEN database_name IN ('many-1', 'many-2') THEN null
      WHEN database_name IN ('many-3', 'many-4') THEN now() - interval '1 hour'
      ELSE now() END`)
    await store.db.execute(sql`BEGIN`)
    try {
      expect(namesOf(await claim(store, 2))).toEqual(['many-1', 'many-2'])
      expect(namesOf(await claim(catalog.store, 2))).toEqual(['many-3', 'many-4'])
    } finally {
      await store.db.execute(sql`ROLLBACK`)
    }
  })
})

test.each([{ status: 'INACTIVE' }, { placement: 'shared' }] as const)(
  'a page of tenants with %o reads no more rows than it shows',
  async (filter) => {
    const { result, read } = await countingReads(() => listTenants(store, { limit: PER_PAGE, ...filter }))
    expect(result.data).toHaveLength(PER_PAGE)
    expect(result.data[0]).toMatchObject(filter)
    expect(read).toBeLessThan(MOST_READ)
  },
)
