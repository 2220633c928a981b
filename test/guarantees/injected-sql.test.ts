import { randomBytes } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { stamp } from '../../src/databases/residence.ts'
import { newId } from '../../src/lib/ids.ts'
import { PoolManager } from '../../src/pools/pool-manager.ts'
import { findIsolationViolations, findLostPromises } from '../../src/residence/isolation.ts'
import { RoutedSession } from '../../src/sql/tenant-session.ts'
import {
  type Attack,
  LEAVING_ATTACKS,
  OWNER_ATTACKS,
  RESIDENCE_ATTACKS,
} from '../../src/testing/attack-list.ts'
import { type AttackAccess, attack, type Target } from '../../src/testing/attacks.ts'
import { ROW_ATTACKS } from '../../src/testing/row-attacks.ts'
import { property } from '../support/application.ts'
import { createRole, dropAll, superuserUrl, type TestRole, urlFor } from '../support/database.ts'
import { createMigrated } from '../support/migrated.ts'
import { routeSource } from '../support/route-source.ts'
import { addressOf, routeOf, withClient } from '../support/tenant-database.ts'

// SQL of a tenant in the shared database, where the serving role owns nothing. The test first shows that each statement succeeds
// without the protection. Otherwise its failure would prove nothing.

const own = routeOf(newId())
const other = routeOf(newId())
const secretName = `secret-${randomBytes(8).toString('hex')}`
const BELIEVING = 'public.believing_roles'
const OWNED = 'public.owned_roles'
const OPEN = 'public.open_residence'

let superuser: Client
let serving: TestRole
let database: string
let pools: PoolManager
let cleaned: RoutedSession
let uncleaned: RoutedSession

beforeAll(async () => {
  const owner = await createRole()
  serving = await createRole()
  database = await createMigrated(owner.name, property)
  await withClient(urlFor({ role: owner, database }), async (client) => {
    await client.query(
      `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ${serving.name};
       REVOKE ALL ON residence, freehold_here, freehold_migrations FROM ${serving.name}`,
    )
    for (const route of [own, other]) await stamp(client, route)
  })
  superuser = new Client({ connectionString: superuserUrl(database) })
  await superuser.connect()
  await superuser.query("UPDATE residence SET state = 'fenced' WHERE tenant_id = $1", [other.tenantId])
  await furnish('public.roles')
  pools = new PoolManager({
    // One connection, so that the next request uses the connection of the one before.
    ...{ maxPools: 1, maxConnections: 1, maxConnectionsPerServer: 1, sharedPoolSize: 1 },
    ...{ acquireTimeoutMs: 20_000, statementTimeoutMs: 10_000 },
    shared: addressOf(urlFor({ role: serving, database })),
    addressOf: () => {
      throw new Error('no dedicated database in this test')
    },
  })
  cleaned = sessionOf(true)
  uncleaned = sessionOf(false)
})
afterAll(async () => {
  await pools?.close()
  await superuser?.end()
  await dropAll()
})

function sessionOf(ownSql: boolean): RoutedSession {
  const routes = routeSource(own)
  return new RoutedSession(own, { pools, routes, ownSql, fenceTimeoutMs: 300, onStuck: () => undefined })
}

async function furnish(table: string): Promise<void> {
  await superuser.query(
    `DELETE FROM ${table};
     INSERT INTO ${table} (tenant_id, id, name) VALUES ('${own.tenantId}', gen_random_uuid(), 'own'),
       ('${own.tenantId}', gen_random_uuid(), 'own too'), ('${other.tenantId}', gen_random_uuid(), '${secretName}')`,
  )
}

/** A copy of the table whose policy compares with the setting. */
async function makeBelieving(table: string): Promise<void> {
  const setting = "tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)"
  await superuser.query(
    `DROP TABLE IF EXISTS ${table} CASCADE; CREATE TABLE ${table} (LIKE public.roles INCLUDING ALL);
     ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY; ALTER TABLE ${table} FORCE ROW LEVEL SECURITY;
     CREATE POLICY tenant_isolation ON ${table} USING (${setting}) WITH CHECK (${setting});
     GRANT SELECT, INSERT, UPDATE, DELETE ON ${table} TO ${serving.name}`,
  )
  await furnish(table)
}

async function makeOpen(): Promise<void> {
  await superuser.query(
    `DROP TABLE IF EXISTS ${OPEN}; CREATE TABLE ${OPEN} (LIKE public.residence INCLUDING ALL);
     INSERT INTO ${OPEN} SELECT * FROM public.residence; GRANT SELECT, INSERT, UPDATE, DELETE ON ${OPEN} TO ${serving.name}`,
  )
}

const targetOf = (changes: Partial<Target> = {}): Target => ({
  ...{ table: 'public.roles', residence: 'public.residence' },
  ...{ own: own.tenantId, other: other.tenantId, ...changes },
})

function fieldOf(session: RoutedSession, { table, residence }: Target): AttackAccess {
  return {
    single: async (text) => (await session.db.execute(sql.raw(text))).rows,
    transaction: (texts) =>
      session.transaction(async (db) => {
        const answers: unknown[] = []
        for (const text of texts) answers.push((await db.execute(sql.raw(text))).rows)
        return answers
      }),
    look: async () => {
      const seen = await superuser
        .query(
          `SELECT (SELECT json_agg(t ORDER BY id) FROM ${table} t WHERE tenant_id = '${other.tenantId}') AS rows,
                  (SELECT json_agg(r ORDER BY tenant_id) FROM ${residence} r) AS residences`,
        )
        .catch(() => ({ rows: ['gone'] }))
      return JSON.stringify(seen.rows)
    },
    secrets: [secretName, other.seal.reveal()],
  }
}

const run = (each: Attack, target: Target, session = cleaned) =>
  attack(each, target, fieldOf(session, target))

test('the serving role owns nothing, and has no rights that it does not need', async () => {
  await withClient(urlFor({ role: serving, database }), async (client) => {
    expect(await findLostPromises(client)).toEqual([])
    expect(await findIsolationViolations(client, { everything: true, tables: property })).toEqual([])
  })
})

test('there are more than a hundred attacks, each with a unique name', () => {
  const names = [...ROW_ATTACKS, ...OWNER_ATTACKS, ...RESIDENCE_ATTACKS, ...LEAVING_ATTACKS].map(
    ({ name }) => name,
  )
  expect(names.length).toBeGreaterThan(100)
  expect(new Set(names).size).toBe(names.length)
})

describe('SQL of a tenant', () => {
  test.each(ROW_ATTACKS)('reaches no row of another tenant: $name', async (each) => {
    await makeBelieving(BELIEVING)
    expect(
      await run(each, targetOf({ table: BELIEVING })),
      'where a policy believes a setting',
    ).not.toBeNull()
    expect(await run(each, targetOf())).toBeNull()
  })

  test.each(OWNER_ATTACKS)('cannot remove the protection: $name', async (each) => {
    await makeBelieving(OWNED)
    await superuser.query(`ALTER TABLE ${OWNED} OWNER TO ${serving.name}`)
    expect(
      await run(each, targetOf({ table: OWNED })),
      'where the serving role owns the table',
    ).not.toBeNull()
    expect(await run(each, targetOf())).toBeNull()
  })

  test.each(RESIDENCE_ATTACKS)('learns no seal, and passes no fence: $name', async (each) => {
    await makeOpen()
    expect(await run(each, targetOf({ residence: OPEN })), 'where residences are open').not.toBeNull()
    expect(await run(each, targetOf())).toBeNull()
  })

  test.each(LEAVING_ATTACKS)('does not affect the next request: $name', async (each) => {
    expect(await run(each, targetOf(), uncleaned), 'where nothing is cleaned').toBe('left')
    await cleaned.db.execute(sql`SELECT`)
    expect(await run(each, targetOf())).toBeNull()
  })

  test.each([
    [
      'the owner',
      'SELECT set_config($$role$$, c.relowner::regrole::text, true) FROM pg_class c WHERE c.relname = $$roles$$',
    ],
    ['a superuser', 'SET SESSION AUTHORIZATION postgres'],
    ['replication', "SELECT set_config('session_replication_role', 'replica', true)"],
    ['the policies', "SELECT public.freehold_protect('public.roles')"],
    ['a function for others', "CREATE FUNCTION public.lower(name) RETURNS text LANGUAGE sql AS 'SELECT 1'"],
    ['a table for others', 'CREATE TABLE public.trap (n int)'],
    ['the view', 'UPDATE public.freehold_here SET epoch = 1'],
    [
      'the functions',
      'CREATE OR REPLACE FUNCTION public.freehold_operating() RETURNS uuid LANGUAGE sql AS $$SELECT NULL::uuid$$',
    ],
    ['a file of the server', "SELECT pg_read_file('PG_VERSION')"],
    ['a program', "CREATE TEMP TABLE x (n text); COPY x FROM PROGRAM 'id'"],
  ])('is refused %s', async (_, text) => {
    await expect(cleaned.db.execute(sql.raw(text))).rejects.toThrow()
  })

  test('still serves its own tenant after all attacks', async () => {
    await furnish('public.roles')
    expect((await cleaned.db.execute(sql`SELECT name FROM roles ORDER BY name`)).rows).toMatchObject([
      { name: 'own' },
      { name: 'own too' },
    ])
  })
})
