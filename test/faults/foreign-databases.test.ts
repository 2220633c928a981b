import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freshUrl } from '../http/database-calls.ts'
import { API, expectProblem, moveToOwnDatabase } from '../http/support.ts'
import { createDatabase, createRole, dropAll, query, superuserUrl, urlFor } from '../support/database.ts'
import { createStage, startGateway, type TestGateway, type TestTenant } from '../support/gateway.ts'
import { type OwnServer, startOwnServer } from '../support/second-server.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { createTenantDatabase } from '../support/tenant-database.ts'
import { createOwnerOn } from './support.ts'

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startGateway(await createStage())
})
afterAll(async () => {
  await gateway?.close()
  await dropAll()
})

const nameOf = (url: string) => new URL(url).pathname.slice(1)
const asSuperuser = (url: string, sql: string) => query(superuserUrl(nameOf(url)), sql)

/** A database in which another owner has created objects. */
async function furnished(sql: string): Promise<string> {
  const url = await freshUrl()
  await query(url, sql)
  return url
}

/** What PostgreSQL records of a database that an earlier owner could have left there, and all its rows. */
async function contentsOf(url: string): Promise<unknown> {
  const parts = {
    relations: `SELECT oid, relname, relnamespace, relkind, relowner, relacl, relrowsecurity, relforcerowsecurity
                  FROM pg_class WHERE relkind <> 't'`,
    // PostgreSQL has one such table for all databases of the server.
    settings: `SELECT s.* FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
                WHERE d.datname = current_database()`,
    columns: 'SELECT attrelid, attname, atttypid, attnum, attisdropped FROM pg_attribute',
    ...Object.fromEntries(
      [
        'namespace',
        'proc',
        'type',
        'constraint',
        'policy',
        'trigger',
        'rewrite',
        'extension',
        'default_acl',
        'description',
        'depend',
        'event_trigger',
        'publication',
        'largeobject_metadata',

        'language',
      ].map((name) => [name, `SELECT * FROM pg_${name}`]),
    ),
  }
  const digests = await Promise.all(
    Object.entries(parts).map(async ([name, text]) => {
      const [row] = await asSuperuser(
        url,
        `SELECT md5(string_agg(t::text, chr(10) ORDER BY t::text)) AS digest FROM (${text}) t`,
      )
      return [name, row?.digest]
    }),
  )
  const tables = await asSuperuser(
    url,
    `SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) AS name FROM pg_tables
      WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`,
  )
  const rows = await Promise.all(
    tables.map(async ({ name }) => [
      name,
      await asSuperuser(url, `SELECT t::text FROM ${name} t ORDER BY 1`),
    ]),
  )
  return Object.fromEntries([...digests, ...rows])
}

interface Foreign {
  readonly url: () => Promise<string>
  readonly code: string
  readonly message: RegExp
  readonly more?: object
}

const foreign: Record<string, Foreign> = {
  'a table that the first migration makes': {
    url: () => furnished("CREATE TABLE users (id int, name text); INSERT INTO users VALUES (1, 'Ada')"),
    code: 'MIGRATION_FAILED',
    message: /table "public\.users"/,
  },
  'a table that a later migration makes': {
    url: () => furnished('CREATE TABLE leases (id int)'),
    code: 'MIGRATION_FAILED',
    message: /table "public\.leases"/,
  },
  'a view of such a name': {
    url: () => furnished('CREATE VIEW charges AS SELECT 1 AS n'),
    code: 'MIGRATION_FAILED',
    message: /view "public\.charges"/,
  },
  'an index of such a name': {
    url: () => furnished('CREATE TABLE own (n int); CREATE INDEX contacts_pkey ON own (n)'),
    code: 'MIGRATION_FAILED',
    message: /index "public\.contacts_pkey"/,
  },
  'a table with tenants of its own': {
    url: () => furnished('CREATE TABLE tickets (tenant_id uuid NOT NULL, id int)'),
    code: 'SCHEMA_DRIFTED',
    message: /tickets/,
  },
  'a table of residences of its own': {
    url: () => furnished('CREATE TABLE residence (id int, street text)'),
    code: 'SCHEMA_DRIFTED',
    message: /"public\.residence"/,
  },
  'a journal of its own': {
    url: () => furnished('CREATE TABLE freehold_migrations (version int)'),
    code: 'SCHEMA_DRIFTED',
    message: /schema/,
  },
  'no right to make tables': {
    url: async () => {
      const [owner, role] = [await createRole(), await createRole()]
      const database = await createDatabase({ owner: owner.name })
      await query(superuserUrl(database), 'REVOKE CREATE ON SCHEMA public FROM PUBLIC')
      return urlFor({ role, database })
    },
    code: 'PERMISSION_MISSING',
    message: /right/,
  },
  'no schema "public"': {
    url: async () => {
      const url = await freshUrl()
      await asSuperuser(url, 'DROP SCHEMA public')
      return url
    },
    code: 'SCHEMA_DRIFTED',
    message: /no schema "public"/,
  },
  'migrations that are not allowed': {
    url: () => furnished('CREATE TABLE own (n int)'),
    code: 'SCHEMA_OUT_OF_DATE',
    message: /migrations/,
    more: { applyMigrations: false },
  },
  'another tenant': {
    url: async () => {
      const { url } = await createTenantDatabase()
      await query(url, 'INSERT INTO residence (tenant_id, epoch) VALUES (gen_random_uuid(), 1)')
      return url
    },
    code: 'BELONGS_TO_ANOTHER_TENANT',
    message: /another tenant/,
  },
}

describe('a database that is refused', () => {
  test.each(Object.entries(foreign))(
    'because of %s is told why, and holds nothing of Freehold afterwards',
    async (_what, { url, code, message, more }) => {
      const tenant = await gateway.createTenant()
      const at = await url()
      const before = await contentsOf(at)
      const { status, placement, lastError } = await gateway.registerDatabase(tenant.id, at, more)
      expect([status, placement, lastError.code]).toEqual(['failed', 'shared', code])
      expect(lastError.message).toMatch(message)
      expect(await contentsOf(at)).toEqual(before)
    },
  )

  test('because a table name is taken is accepted once that table is renamed', async () => {
    const tenant = await gateway.createTenant()
    const url = await furnished('CREATE TABLE users (id int)')
    expect(await gateway.registerDatabase(tenant.id, url)).toMatchObject({ status: 'failed' })
    await query(url, 'ALTER TABLE users RENAME TO our_users')
    await gateway.operator('POST', `/tenants/${tenant.id}/database/validate`)
    expect(await gateway.waitForDatabase(tenant.id)).toMatchObject({ status: 'active', lastError: null })
  })
})

test('a name that PostgreSQL would cut short is refused with the request', async () => {
  const { id } = await gateway.createTenant()
  for (const path of [`u:p@db.invalid/${'d'.repeat(64)}`, `${'u'.repeat(64)}:p@db.invalid/d`]) {
    const answer = await gateway.operator('PUT', `/tenants/${id}/database`, {
      connectionString: `postgres://${path}`,
    })
    expectProblem(answer, { status: 400, code: 'VALIDATION_FAILED', pointers: ['/connectionString'] })
    expect(answer.text).toMatch(/63 bytes/)
  }
})

describe("a rule of the database's owner", () => {
  const codes = ['P0001', 'P0004', '23000', '23502', '23503', '23505', '23514']
  let tenant: TestTenant
  let url: string
  beforeAll(async () => {
    tenant = await gateway.createTenant()
    url = await moveToOwnDatabase(gateway, tenant.id)
    for (const [table, column] of Object.entries({ places: 'name', roles: 'name', users: 'name' })) {
      await query(
        url,
        `CREATE FUNCTION public.rule_of_${table}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           IF NEW.${column} LIKE 'raise %' THEN
             RAISE EXCEPTION 'secret of the owner' USING ERRCODE = substr(NEW.${column}, 7);
           END IF; RETURN NEW; END $$;
         CREATE TRIGGER rule BEFORE INSERT OR UPDATE ON public.${table} FOR EACH ROW EXECUTE FUNCTION public.rule_of_${table}()`,
      )
    }
  })

  test.each(codes)('that raises %s is answered as a conflict for each kind of write', async (code) => {
    const name = `raise ${code}`
    const { token } = tenant
    const call = (method: string, path: string, body: object, headers = {}) =>
      gateway.call(method, `${API}${path}`, { token, body, headers })
    const kept = await call('POST', '/places', { name: `Kept ${code}` })
    const refused = [
      await call('POST', '/places', { name }),
      await call('POST', '/places', { name }, { 'idempotency-key': crypto.randomUUID() }),
      await call('PATCH', `/places/${kept.body.id}`, { name }),
      await call('POST', '/roles', { name, permissions: ['properties:read'] }),
      await call('POST', '/users', { email: `${code}@b.example`, password: 'long enough, this one', name }),
    ]
    for (const answer of refused) {
      expectProblem(answer, { status: 409, code: 'CONFLICT' })
      expect(answer.text).not.toMatch(/secret/)
    }
  })
})

test('repeats a write whose prepared statement is stale because the table changed', async () => {
  const tenant = await gateway.createTenant()
  const url = await moveToOwnDatabase(gateway, tenant.id)
  const { token } = tenant
  const write = (name: string) => gateway.call('POST', `${API}/places`, { token, body: { name } })
  // More connections than a write tries, and each of them has prepared the statement.
  const warm = await Promise.all(Array.from({ length: 40 }, (_, n) => write(`Before ${n}`)))
  expect(new Set(warm.map(({ status }) => status))).toEqual(new Set([201]))
  await query(url, 'ALTER TABLE public.places ALTER COLUMN name TYPE varchar(500)')
  const after = await Promise.all(Array.from({ length: 40 }, (_, n) => write(`After ${n}`)))
  expect(after.map(({ status }) => status)).toEqual(Array(40).fill(201))
  const [row] = await asSuperuser(
    url,
    "SELECT count(*)::int AS n FROM public.places WHERE name LIKE 'After %'",
  )
  expect(row).toEqual({ n: 40 })
})

describe('servers cloned from one image', () => {
  let original: OwnServer
  let copy: OwnServer
  let urls: Record<'catalog' | 'shared' | 'sharedCopy' | 'catalogCopy', string>
  let other: TestGateway
  /** To the same server, under an address that the gateway has not used before. */
  let otherWay: TcpProxy
  beforeAll(async () => {
    original = await startOwnServer()
    const { createDatabase: make } = await createOwnerOn(original)
    const [catalog, shared] = [(await make()).url, (await make()).url]
    copy = await original.clone()
    const copied = (url: string) => Object.assign(new URL(url), { port: String(copy.port) }).href
    urls = { catalog, shared, catalogCopy: copied(catalog), sharedCopy: copied(shared) }
    const stage = { ...(await createStage()), catalogUrl: catalog, sharedUrl: shared }
    other = await startGateway(stage)
    otherWay = await TcpProxy.start({ port: original.port })
  })
  afterAll(async () => {
    await other?.close()
    await otherWay?.close()
    await copy?.dispose()
    await original?.dispose()
  })

  test.each(['catalogCopy', 'sharedCopy'] as const)(
    "have one identity, and a tenant can still use a clone that is not the gateway's own server (%s)",
    async (which) => {
      const { id } = await other.createTenant()
      expect(await other.registerDatabase(id, urls[which])).toMatchObject({
        ...{ status: 'active', placement: 'dedicated' },
        lastError: null,
      })
    },
  )

  test.each(['catalog', 'shared'] as const)(
    'refuse the %s database itself with an error that says so',
    async (which) => {
      const { id } = await other.createTenant()
      const { lastError } = await other.registerDatabase(id, otherWay.urlFor(urls[which]))
      expect(lastError.code).toBe('HOST_NOT_ALLOWED')
      expect(lastError.message).toMatch(/Freehold's catalog or shared database/)
    },
  )
})
