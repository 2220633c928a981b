import { createHash } from 'node:crypto'
import { type SQL, sql } from 'drizzle-orm'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Route } from '../../src/catalog/directory.ts'
import { newId } from '../../src/lib/ids.ts'
import { PoolManager } from '../../src/pools/pool-manager.ts'
import { CurrentRoute } from '../../src/sql/current-route.ts'
import type { TenantSession } from '../../src/sql/session.ts'
import { RoutedSession } from '../../src/sql/tenant-session.ts'
import { Transaction } from '../../src/sql/tenant-transaction.ts'
import { dropAll, query, superuserUrl } from '../support/database.ts'
import { routeSource } from '../support/route-source.ts'
import { addressOf, createTenantDatabase, moveIn, routeOf } from '../support/tenant-database.ts'

// One connection, so that each request gets the connection of the one before.

let home: Awaited<ReturnType<typeof createTenantDatabase>>
let pools: PoolManager
let route: Route
let own: TenantSession
let core: TenantSession

beforeAll(async () => {
  home = await createTenantDatabase()
  pools = new PoolManager({
    ...{ maxPools: 10, maxConnections: 1, maxConnectionsPerServer: 1, sharedPoolSize: 1 },
    ...{ acquireTimeoutMs: 20_000, statementTimeoutMs: 5_000, shared: addressOf(home.url) },
    addressOf: () => {
      throw new Error('no dedicated database in this test')
    },
  })
  route = routeOf(await moveIn(home.url))
  own = sessionFor({ ownSql: true })
  core = sessionFor({ ownSql: false })
})
afterAll(async () => {
  await pools.close()
  await dropAll()
})

const stuck: string[] = []
function sessionFor({ ownSql }: { ownSql: boolean }): TenantSession {
  const routes = routeSource(route)
  return new RoutedSession(route, {
    ...{ pools, routes, ownSql, fenceTimeoutMs: 300 },
    onStuck: (tenantId) => stuck.push(tenantId),
  })
}

const STATEMENT = 'SELECT 1 AS one'
const NAME_OF_IT = `fh_${createHash('sha256').update(STATEMENT).digest('base64url')}`

/** What one request leaves in its session, and how the next one would notice it. */
const leftovers: Record<string, { leave: SQL | SQL[]; felt: SQL; clean: unknown }> = {
  'a search path': {
    leave: sql`SELECT set_config('search_path', 'pg_temp', false)`,
    felt: sql`SELECT current_setting('search_path') AS felt`,
    clean: 'pg_catalog,public,pg_temp',
  },
  'a limit of time': {
    leave: sql`SELECT set_config('statement_timeout', '1', false)`,
    felt: sql`SELECT current_setting('statement_timeout') AS felt`,
    clean: '5s',
  },
  'another isolation': {
    leave: sql`SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE`,
    felt: sql`SELECT current_setting('transaction_isolation') AS felt`,
    clean: 'read committed',
  },
  'a setting of its own': {
    leave: sql`SELECT set_config('clinic.mode', 'on', false)`,
    felt: sql`SELECT coalesce(current_setting('clinic.mode', true), '') AS felt`,
    clean: '',
  },
  'row security switched off': {
    leave: sql`SELECT set_config('row_security', 'off', false)`,
    felt: sql`SELECT current_setting('row_security') AS felt`,
    clean: 'on',
  },
  'a lock': {
    leave: sql`SELECT pg_advisory_lock(4711)`,
    felt: sql`SELECT count(*)::int AS felt FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711`,
    clean: 0,
  },
  'a temporary table': {
    leave: sql`CREATE TEMP TABLE leaked AS SELECT 1 AS n`,
    felt: sql`SELECT to_regclass('pg_temp.leaked')::text AS felt`,
    clean: null,
  },
  'a temporary function': {
    leave: sql.raw(`CREATE FUNCTION pg_temp.leaked() RETURNS int LANGUAGE sql AS 'SELECT 1'`),
    felt: sql`SELECT to_regprocedure('pg_temp.leaked()')::text AS felt`,
    clean: null,
  },
  'a cursor': {
    leave: sql`DECLARE leaked CURSOR WITH HOLD FOR SELECT 1`,
    felt: sql`SELECT count(*)::int AS felt FROM pg_cursors WHERE name = 'leaked'`,
    clean: 0,
  },
  'a channel that is listened to': {
    leave: sql`LISTEN leaked`,
    felt: sql`SELECT count(*)::int AS felt FROM pg_listening_channels()`,
    clean: 0,
  },
  'a prepared statement': {
    leave: sql`PREPARE leaked AS SELECT 1`,
    felt: sql`SELECT count(*)::int AS felt FROM pg_prepared_statements WHERE name = 'leaked'`,
    clean: 0,
  },
  'a sequence': {
    leave: [sql`CREATE TEMP SEQUENCE leaked`, sql`SELECT nextval('pg_temp.leaked')`],
    felt: sql`SELECT to_regclass('pg_temp.leaked')::text AS felt`,
    clean: null,
  },
}

describe('state that SQL of an application leaves on a connection', () => {
  test.each(Object.entries(leftovers))('is removed: %s', async (_, { leave, felt, clean }) => {
    const steps = [leave].flat()
    const run = (session: TenantSession) =>
      session.transaction(async (db) => {
        for (const step of steps) await db.execute(step)
      })
    const feel = async () => (await core.db.execute<{ felt: unknown }>(felt)).rows[0]?.felt
    await run(core)
    expect(await feel(), 'it would be felt if nothing were cleaned').not.toEqual(clean)
    await own.db.execute(sql`SELECT`)
    await run(own)
    expect(await feel()).toEqual(clean)
  })

  test('is removed after a single statement', async () => {
    await own.db.execute(sql`SELECT set_config('statement_timeout', '1', false)`)
    expect((await core.db.execute(sql`SELECT current_setting('statement_timeout') AS t`)).rows).toEqual([
      { t: '5s' },
    ])
  })

  test('is removed after a failed transaction', async () => {
    const failing = own.transaction(async (db) => {
      await db.execute(sql`SELECT set_config('statement_timeout', '1', false)`)
      await db.execute(sql`SELECT pg_advisory_lock(4712)`)
      throw new Error('never mind')
    })
    await expect(failing).rejects.toThrow('never mind')
    expect(
      (await core.db.execute(sql`SELECT count(*)::int AS n FROM pg_locks WHERE objid = 4712`)).rows,
    ).toEqual([{ n: 0 }])
  })

  test('never replaces a prepared statement of the next request', async () => {
    expect((await core.db.execute(sql.raw(STATEMENT))).rows).toEqual([{ one: 1 }])
    await own.transaction(async (db) => {
      await db.execute(sql.raw(`DEALLOCATE "${NAME_OF_IT}"`)).catch(() => undefined)
      await db.execute(sql.raw(`PREPARE "${NAME_OF_IT}" AS SELECT 2 AS one`)).catch(() => undefined)
    })
    expect((await core.db.execute(sql.raw(STATEMENT))).rows).toEqual([{ one: 1 }])
  })

  test('does not decide the next value of random()', async () => {
    const roll = async () => {
      await own.db.execute(sql`SELECT setseed(0.5)`)
      return (await core.db.execute<{ n: number }>(sql`SELECT random() AS n`)).rows[0]?.n
    }
    expect(await roll()).not.toBe(await roll())
  })

  test('does not close the connection', async () => {
    const pid = async (session: TenantSession) =>
      (await session.db.execute<{ pid: number }>(sql`SELECT pg_backend_pid() AS pid`)).rows[0]?.pid
    const first = await pid(core)
    expect(await pid(own)).toBe(first)
    expect(await pid(core)).toBe(first)
  })
})

test('a unit leaves neither its tenant nor its seal in the session', async () => {
  await core.db.execute(sql`SELECT`)
  const settings =
    "SELECT current_setting('app.tenant_id', true) AS tenant, current_setting('app.seal', true) AS seal"
  const { rows } = await pools.run(
    route,
    (client) => client.query(settings),
    () => false,
  )
  expect(rows).toEqual([{ tenant: '', seal: '' }])
})

describe('SQL of an application', () => {
  test.each([
    'COMMIT',
    '/* /* nested */ */ COMMIT',
    '-- x\n rollback',
    ';;COMMIT AND CHAIN',
    ' ;/**/;abort',
    '--\rEND',
  ])('cannot end its transaction: %j', async (text) => {
    const ran = own.transaction((db) => db.execute(sql.raw(text)))
    await expect(ran).rejects.toMatchObject({
      cause: { message: expect.stringMatching(/^a session runs no BEGIN/) },
    })
    await expect(own.db.execute(sql.raw(text))).rejects.toThrow()
  })

  test('cannot run COPY', async () => {
    await expect(own.db.execute(sql`/**/COPY places FROM STDIN`)).rejects.toMatchObject({
      cause: { message: expect.stringMatching(/^a session runs no COPY/) },
    })
  })

  test.each(['COMMIT', 'ROLLBACK', 'COMMIT AND CHAIN', 'ROLLBACK AND CHAIN'])(
    'that ends it all the same (%s) gets an unknown outcome, and no further statement runs',
    async (text) => {
      let isClean = true
      const ran = pools.run(
        route,
        async (client) => {
          const transaction = new Transaction(client, new CurrentRoute(route, routeSource(route)), {
            ownSql: true,
          })
          try {
            await transaction.commitAfter(async (db) => {
              await db.execute(sql`SELECT 1`)
              await behindItsBack(client, text, () => db.execute(sql`SELECT 2`)).catch(() => undefined)
              await db.execute(sql`SELECT 3`).catch(() => undefined)
            })
          } finally {
            isClean = transaction.isClean
          }
        },
        () => isClean,
      )
      await expect(ran).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' })
      expect(isClean).toBe(false)
    },
  )

  test('whose COMMIT failed has ended its transaction too', async () => {
    await query(
      superuserUrl(home.database),
      'CREATE TABLE IF NOT EXISTS later (n int UNIQUE DEFERRABLE INITIALLY DEFERRED); GRANT ALL ON later TO PUBLIC',
    )
    let isClean = true
    const ran = pools.run(
      route,
      async (client) => {
        const transaction = new Transaction(client, new CurrentRoute(route, routeSource(route)), {
          ownSql: true,
        })
        try {
          await transaction.commitAfter(async (db) => {
            await db.execute(sql`INSERT INTO later VALUES (1), (1)`)
            await behindItsBack(client, 'COMMIT', () => db.execute(sql`SELECT 2`)).catch(() => undefined)
          })
        } finally {
          isClean = transaction.isClean
        }
      },
      () => isClean,
    )
    await expect(ran).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' })
  })

  test.each(['FH001', 'FH002', 'FH003'])(
    'that raises %s itself is not mistaken for the tenant check',
    async (code) => {
      const raised = sql.raw(`DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '${code}'; END $$`)
      stuck.length = 0
      const begun = performance.now()
      await expect(own.db.execute(raised)).rejects.toThrow()
      await expect(own.transaction((db) => db.execute(raised))).rejects.toThrow()
      expect(stuck).toEqual([])
      expect(performance.now() - begun).toBeLessThan(300)
    },
  )

  test.each(['26000', '42P05', '0A000', '25001', '40001', '40P01'])(
    'is not repeated if it raises %s after a commit',
    async (code) => {
      const id = newId()
      const text = `DO $$ BEGIN
        INSERT INTO public.places (tenant_id, id, name) VALUES (current_setting('app.tenant_id')::uuid, gen_random_uuid(), '${id}');
        COMMIT;
        RAISE EXCEPTION 'x' USING ERRCODE = '${code}';
      END $$`
      await expect(own.db.execute(sql.raw(text))).rejects.toThrow()
      const rows = await query(superuserUrl(home.database), `SELECT FROM places WHERE name = '${id}'`)
      expect(rows.length).toBeLessThanOrEqual(1)
    },
  )

  test('fails its transaction even if the error of a statement is caught', async () => {
    const tenantId = own.tenantId
    await own.transaction(async (db) => {
      await db.execute(sql`INSERT INTO places (tenant_id, id, name) VALUES (${tenantId}, ${newId()}, 'kept')`)
    })
    const failed = own.transaction(async (db) => {
      await db.execute(sql`SELECT 1/0`).catch(() => undefined)
    })
    await expect(failed).rejects.toThrow()
    expect(
      (await own.db.execute(sql`SELECT count(*)::int AS n FROM places WHERE name = 'kept'`)).rows,
    ).toEqual([{ n: 1 }])
  })
})

/** Makes the next statement on the connection another one than the session expects. */
async function behindItsBack<T>(client: pg.ClientBase, text: string, fn: () => Promise<T>): Promise<T> {
  const { connection: wire } = client as unknown as { connection: { parse(message: object): void } }
  const parse = wire.parse.bind(wire)
  wire.parse = (message) => {
    wire.parse = parse
    parse({ ...message, text })
  }
  return fn()
}
