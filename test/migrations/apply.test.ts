import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { type ApplyResult, applyMigrations } from '../../src/migrations/apply.ts'
import { schemaState } from '../../src/migrations/drift.ts'
import {
  type Migration,
  migrationsFolder,
  nameOf,
  parseMigration,
  readMigrations,
} from '../../src/migrations/files.ts'
import { MigrationError } from '../../src/migrations/migration-error.ts'
import { tenantMigrations } from '../support/application.ts'
import {
  createDatabase,
  createRole,
  dropAll,
  query,
  superuserUrl,
  type TestRole,
  urlFor,
} from '../support/database.ts'
import { withClient } from '../support/tenant-database.ts'

const a = parseMigration('catalog', '0000_a.sql', 'CREATE TABLE "a" (n int)')
const b = parseMigration(
  'catalog',
  '0001_b.sql',
  'CREATE TABLE "b" (n int);--> statement-breakpoint\nINSERT INTO a VALUES (1)',
)
const c = parseMigration('catalog', '0002_c.sql', 'ALTER TABLE "a" ADD COLUMN m int')

let database: string
let owner: TestRole
let url: string

beforeEach(async () => {
  owner = await createRole()
  database = await createDatabase({ owner: owner.name })
  url = urlFor({ role: owner, database })
})
afterAll(dropAll)

const apply = (migrations: Migration[], options: { as?: string; lockTimeoutMs?: number } = {}) =>
  withClient(options.as ?? url, (client) =>
    applyMigrations(client, migrations, { lockTimeoutMs: options.lockTimeoutMs ?? 10_000 }),
  )
const state = (migrations: Migration[]) => withClient(url, (client) => schemaState(client, migrations))
const tables = async () => {
  const rows = await query<{ name: string }>(
    superuserUrl(database),
    `SELECT schemaname || '.' || tablename AS name FROM pg_tables
      WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1`,
  )
  return rows.map((row) => row.name)
}
const lastOf = (migrations: Migration[], lineage: string) =>
  migrations.findLast((migration) => migration.lineage === lineage)?.id
const failureOf = (promise: Promise<ApplyResult>): Promise<MigrationError> =>
  promise.then(
    () => expect.fail('it was applied'),
    (error) => {
      expect(error).toBeInstanceOf(MigrationError)
      return error
    },
  )

describe('applying migrations', () => {
  test('brings an empty database up to date, once', async () => {
    expect(await state([a, b])).toMatchObject({ versions: { catalog: null }, pending: [a, b] })
    expect(await apply([a, b])).toEqual({
      applied: ['0000_a', '0001_b'],
      versions: { catalog: '0001_b' },
      ahead: [],
    })
    expect(await apply([a, b])).toEqual({ applied: [], versions: { catalog: '0001_b' }, ahead: [] })
    expect(await apply([a, b, c])).toEqual({
      applied: ['0002_c'],
      versions: { catalog: '0002_c' },
      ahead: [],
    })
    expect(await state([a, b, c])).toMatchObject({ versions: { catalog: '0002_c' }, pending: [], ahead: [] })
  })

  test('creates the whole schema of the catalog and of tenant databases', async () => {
    const catalog = await readMigrations(migrationsFolder('catalog'), 'catalog')
    expect((await apply(catalog)).applied).toEqual(catalog.map(({ id }) => id))
    await query(superuserUrl(database), 'DROP SCHEMA public CASCADE; CREATE SCHEMA public')
    await query(superuserUrl(database), `GRANT ALL ON SCHEMA public TO ${owner.name}`)
    const tenant = await tenantMigrations()
    const { applied, versions } = await apply(tenant)
    expect(applied).toEqual(tenant.map(nameOf))
    expect(versions).toEqual({ core: lastOf(tenant, 'core'), application: lastOf(tenant, 'application') })
  })

  test('by three concurrent runners applies each migration once', async () => {
    const migrations = await tenantMigrations()
    const results = await Promise.all([apply(migrations), apply(migrations), apply(migrations)])
    expect(results.flatMap((result) => result.applied)).toEqual(migrations.map(nameOf))
    const versions = { core: lastOf(migrations, 'core'), application: lastOf(migrations, 'application') }
    expect(results.map((result) => result.versions)).toEqual([versions, versions, versions])
  })

  test('reports what it did', async () => {
    const lines: unknown[] = []
    const log = { info: (fields: object, message: string) => lines.push({ ...fields, message }) }
    await withClient(url, (client) => applyMigrations(client, [a], { lockTimeoutMs: 1_000, log }))
    expect(lines).toEqual([
      { migration: '0000_a', durationMs: expect.any(Number), message: 'migration applied' },
    ])
  })

  test('does not change the schema of a newer release, and reports it', async () => {
    await apply([a, b, c])
    expect(await apply([a, b])).toEqual({ applied: [], versions: { catalog: '0002_c' }, ahead: ['0002_c'] })
  })
})

describe('a migration that fails', () => {
  const broken = parseMigration(
    'catalog',
    '0001_b.sql',
    'CREATE TABLE b ();--> statement-breakpoint\nSELECT 1 / 0',
  )

  test('is rolled back as a whole, earlier ones stay applied, later ones wait', async () => {
    const error = await failureOf(apply([a, broken, c]))
    expect(error).toMatchObject({ code: 'MIGRATION_FAILED', migrationId: '0001_b', cause: { code: '22012' } })
    expect(error.message).toBe('Migration 0001_b failed')
    expect(await tables()).toEqual(['public.a', 'public.freehold_migrations'])
    expect(await state([a, b, c])).toMatchObject({ versions: { catalog: '0000_a' }, pending: [b, c] })
  })

  test('can be corrected and applied by the next run, because the lock is free', async () => {
    await withClient(url, async (client) => {
      await failureOf(applyMigrations(client, [a, broken], { lockTimeoutMs: 1_000 }))
      expect((await apply([a, b, c], { lockTimeoutMs: 1_000 })).versions).toEqual({ catalog: '0002_c' })
    })
  })

  test('because the server cut the connection is reported, and continued by the next run', async () => {
    const cut = parseMigration('catalog', '0001_b.sql', 'SELECT pg_terminate_backend(pg_backend_pid())')
    expect(await failureOf(apply([a, cut]))).toMatchObject({
      code: 'MIGRATION_FAILED',
      migrationId: '0001_b',
    })
    expect((await apply([a, b])).applied).toEqual(['0001_b'])
  })
})

describe('a schema that differs from the files', () => {
  test('is refused if an applied file was edited', async () => {
    await apply([a])
    const edited = parseMigration('catalog', '0000_a.sql', 'CREATE TABLE "a" (n bigint)')
    expect(await failureOf(apply([edited, b]))).toMatchObject({
      code: 'SCHEMA_DRIFTED',
      migrationId: '0000_a',
    })
    expect((await state([edited, b])).drifts.get('catalog')).toMatchObject({ migrationId: '0000_a' })
    expect(await tables()).not.toContain('public.b')
  })

  test('is refused if a migration appeared before an applied one', async () => {
    await apply([a, c])
    expect(await failureOf(apply([a, b, c]))).toMatchObject({ code: 'SCHEMA_DRIFTED', migrationId: '0001_b' })
    expect(await tables()).not.toContain('public.b')
  })

  test('is refused if it is the schema of the other folder', async () => {
    await apply(await readMigrations(migrationsFolder('catalog'), 'catalog'))
    const tenant = await tenantMigrations()
    expect(await failureOf(apply(tenant))).toMatchObject({ code: 'SCHEMA_DRIFTED' })
  })

  test.each([
    [
      'a text without end',
      "ALTER TABLE freehold_migrations DROP CONSTRAINT freehold_migrations_pkey; INSERT INTO freehold_migrations (lineage, id, hash) VALUES ('core', 'z' || repeat('a', 300), 'h')",
    ],
    [
      'a text of several lines',
      "INSERT INTO freehold_migrations (lineage, id, hash) VALUES ('core', E'z\\na', 'h')",
    ],
    ['no text', 'ALTER TABLE freehold_migrations ALTER COLUMN id TYPE jsonb USING jsonb_build_array(id)'],
    ['a hash that is none', 'ALTER TABLE freehold_migrations ALTER COLUMN hash TYPE int USING 1'],
  ])('is refused if the owner wrote %s into the journal', async (_what, text) => {
    const tenant = await tenantMigrations()
    await apply(tenant)
    await query(superuserUrl(database), text)
    const refused = { code: 'SCHEMA_DRIFTED', message: 'The journal of migrations is not ours' }
    expect(await failureOf(apply(tenant))).toMatchObject(refused)
    await expect(state(tenant)).rejects.toMatchObject(refused)
  })
})

describe('missing rights', () => {
  beforeEach(() => query(superuserUrl(database), 'REVOKE CREATE ON SCHEMA public FROM PUBLIC'))

  test('to create tables are named in the error', async () => {
    const role = await createRole()
    const error = await failureOf(apply([a], { as: urlFor({ role, database }) }))
    expect(error).toMatchObject({ code: 'PERMISSION_MISSING', cause: { code: '42501' } })
  })

  test("to change another role's tables are named in the error", async () => {
    await apply([a])
    const role = await createRole()
    await query(url, `GRANT SELECT, INSERT ON public.freehold_migrations TO ${role.name}`)
    const error = await failureOf(apply([a, c], { as: urlFor({ role, database }) }))
    expect(error).toMatchObject({ code: 'PERMISSION_MISSING', migrationId: '0002_c' })
  })

  test('are no error if the journal can be read and nothing is to be applied', async () => {
    await apply([a])
    const role = await createRole()
    const as = urlFor({ role, database })
    expect(await failureOf(apply([a], { as }))).toMatchObject({ code: 'PERMISSION_MISSING' })
    await query(url, `GRANT SELECT ON public.freehold_migrations TO ${role.name}`)
    expect((await apply([a], { as })).versions).toEqual({ catalog: '0000_a' })
  })
})

describe("a database's own settings", () => {
  test.each([
    ['a search_path that begins elsewhere', 'search_path = elsewhere, pg_catalog, public'],
    ['an empty search_path', "search_path = ''"],
    ['another isolation level', "default_transaction_isolation = 'serializable'"],
  ])('such as %s do not decide where tables are created', async (_what, setting) => {
    await query(url, 'CREATE SCHEMA elsewhere')
    await query(superuserUrl(database), `ALTER DATABASE ${database} SET ${setting}`)
    const migrations = await tenantMigrations()
    const { versions } = await apply(migrations)
    expect(versions).toEqual((await state(migrations)).versions)
    expect((await tables()).filter((name) => !name.startsWith('public.'))).toEqual([])
    expect(await tables()).toContain('public.users')
  })

  test('like the search_path of our own connections do not decide it', async () => {
    const path = new URL(url)
    path.searchParams.set('options', '-c search_path=pg_catalog,public,pg_temp')
    await apply(await tenantMigrations(), { as: path.href })
    expect(await tables()).toContain('public.users')
  })
})

test('a database that its owner made read-only is not changed, and serves if nothing is to be applied', async () => {
  await apply([a])
  await query(superuserUrl(database), `ALTER DATABASE ${database} SET default_transaction_read_only = on`)
  expect((await apply([a])).versions).toEqual({ catalog: '0000_a' })
  expect(await failureOf(apply([a, b]))).toMatchObject({ code: 'MIGRATION_FAILED', cause: { code: '25006' } })
  await query(superuserUrl(database), 'BEGIN READ WRITE; DROP TABLE public.freehold_migrations; COMMIT')
  expect(await failureOf(apply([a]))).toMatchObject({ code: 'MIGRATION_FAILED', cause: { code: '25006' } })
})

describe('the lock of migrations', () => {
  test('held by another runner for too long ends the wait', async () => {
    await withClient(url, async (holder) => {
      await holder.query("SELECT pg_advisory_lock(hashtextextended('freehold:migrations', 0))")
      const error = await failureOf(apply([a], { lockTimeoutMs: 200 }))
      expect(error).toMatchObject({ code: 'MIGRATION_FAILED', migrationId: null })
      expect(await tables()).toEqual([])
    })
    expect((await apply([a])).applied).toEqual(['0000_a'])
  })

  test('is neither taken nor waited for if nothing is to be applied', async () => {
    await apply([a])
    await withClient(url, async (holder) => {
      await holder.query("SELECT pg_advisory_lock(hashtextextended('freehold:migrations', 0))")
      expect((await apply([a], { lockTimeoutMs: 200 })).versions).toEqual({ catalog: '0000_a' })
    })
  })

  test('of a table that another session locks ends the wait too', async () => {
    await apply([a])
    await withClient(url, async (holder) => {
      await holder.query('BEGIN; LOCK TABLE a')
      expect(await failureOf(apply([a, b, c], { lockTimeoutMs: 300 }))).toMatchObject({
        code: 'MIGRATION_FAILED',
        migrationId: '0001_b',
        cause: { code: '55P03' },
      })
    })
  })

  test('does not stop CREATE INDEX CONCURRENTLY while other runners wait for it', async () => {
    const index = parseMigration(
      'catalog',
      '0001_index.sql',
      '-- freehold: no-transaction\nCREATE INDEX CONCURRENTLY IF NOT EXISTS a_n_idx ON a (n)',
    )
    await apply([a])
    const results = await Promise.all([apply([a, index]), apply([a, index]), apply([a, index])])
    expect(results.flatMap((result) => result.applied)).toEqual(['0001_index'])
    const [found] = await query(url, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'a_n_idx'::regclass")
    expect(found).toEqual({ indisvalid: true })
  })
})

describe('two lineages', () => {
  const core = parseMigration('core', '0000_core.sql', 'CREATE TABLE c (n int)')
  const nextCore = parseMigration('core', '0001_next.sql', 'ALTER TABLE c ADD COLUMN m int')
  const own = parseMigration('application', '0000_own.sql', 'CREATE TABLE o (n int)')
  const nextOwn = parseMigration('application', '0001_more.sql', 'ALTER TABLE o ADD COLUMN m int')

  test('have their own order each, whichever grew first', async () => {
    expect((await apply([core, own, nextOwn])).versions).toEqual({
      core: '0000_core',
      application: '0001_more',
    })
    expect(await apply([core, nextCore, own, nextOwn])).toMatchObject({
      applied: ['core/0001_next'],
      versions: { core: '0001_next', application: '0001_more' },
    })
  })

  test('do not block each other by a changed file', async () => {
    await apply([core, own])
    const edited = parseMigration('application', '0000_own.sql', 'CREATE TABLE o (n bigint)')
    const failure = await failureOf(apply([core, nextCore, edited, nextOwn]))
    expect(failure).toMatchObject({ code: 'SCHEMA_DRIFTED', migrationId: 'application/0000_own' })
    expect((await state([core, nextCore, own])).versions).toEqual({
      core: '0001_next',
      application: '0000_own',
    })
  })

  test('do not block each other by a failing migration', async () => {
    await apply([core, own])
    const broken = parseMigration('core', '0001_next.sql', 'SELECT 1 / 0')
    const failure = await failureOf(apply([core, broken, own, nextOwn]))
    expect(failure).toMatchObject({ code: 'MIGRATION_FAILED', migrationId: 'core/0001_next' })
    expect((await state([core, broken, own, nextOwn])).versions).toEqual({
      core: '0000_core',
      application: '0001_more',
    })
  })
})

describe('a journal from before lineages', () => {
  /** A journal as the previous release wrote it: without lineages, with the migrations that the present ones replace. */
  const writeFormer = async (migrations: Migration[], choose = (id: string) => id !== '') => {
    const former = new Map(migrations.flatMap((each) => each.former).map(({ id, hash }) => [id, hash]))
    await query(url, 'DROP TABLE public.freehold_migrations')
    await query(url, 'CREATE TABLE public.freehold_migrations (id text PRIMARY KEY, hash text NOT NULL)')
    await query(
      url,
      'ALTER TABLE public.freehold_migrations ADD applied_at timestamptz NOT NULL DEFAULT now()',
    )
    for (const [id, hash] of former)
      if (choose(id)) await query(url, `INSERT INTO public.freehold_migrations VALUES ('${id}', '${hash}')`)
  }
  const standIns = async () => (await tenantMigrations()).filter(({ former }) => former.length > 0)

  test('is read unchanged, and converted by the next run without applying anything', async () => {
    const migrations = await standIns()
    await apply(migrations)
    await writeFormer(migrations)
    expect(await state(migrations)).toMatchObject({ pending: [], isFormer: true })
    expect(await apply(migrations)).toMatchObject({ applied: [], ahead: [] })
    expect(await state(migrations)).toMatchObject({ pending: [], isFormer: false })
    expect((await state(migrations)).versions).toEqual({
      core: lastOf(migrations, 'core'),
      application: lastOf(migrations, 'application'),
    })
    const next = parseMigration('core', '0099_next.sql', 'CREATE TABLE freehold_next (n int)')
    expect((await apply([...migrations, next])).applied).toEqual(['core/0099_next'])
  })

  test('is refused if it is incomplete, or contains a migration of another release', async () => {
    const migrations = await standIns()
    await apply(migrations)
    await writeFormer(migrations, (id) => !id.startsWith('0003'))
    expect(await failureOf(apply(migrations))).toMatchObject({ code: 'SCHEMA_DRIFTED' })
    await writeFormer(migrations)
    await query(url, "INSERT INTO public.freehold_migrations VALUES ('0001_other', 'x')")
    expect(await failureOf(apply(migrations))).toMatchObject({ code: 'SCHEMA_DRIFTED' })
  })

  test('of the catalog gets its lineage', async () => {
    await apply([a, b])
    await query(
      url,
      'ALTER TABLE public.freehold_migrations DROP CONSTRAINT freehold_migrations_pkey, DROP COLUMN lineage',
    )
    await query(url, 'ALTER TABLE public.freehold_migrations ADD PRIMARY KEY (id)')
    expect((await apply([a, b, c])).applied).toEqual(['0002_c'])
  })
})
