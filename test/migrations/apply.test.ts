import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { type ApplyResult, applyMigrations } from '../../src/migrations/apply.ts'
import { MigrationError, schemaState } from '../../src/migrations/drift.ts'
import {
  latestVersion,
  type Migration,
  migrationsFolder,
  parseMigration,
  readMigrations,
} from '../../src/migrations/files.ts'
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

const a = parseMigration('0000_a.sql', 'CREATE TABLE "a" (n int)')
const b = parseMigration(
  '0001_b.sql',
  'CREATE TABLE "b" (n int);--> statement-breakpoint\nINSERT INTO a VALUES (1)',
)
const c = parseMigration('0002_c.sql', 'ALTER TABLE "a" ADD COLUMN m int')

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
    expect(await state([a, b])).toMatchObject({ version: null, pending: ['0000_a', '0001_b'] })
    expect(await apply([a, b])).toEqual({ applied: ['0000_a', '0001_b'], version: '0001_b', ahead: [] })
    expect(await apply([a, b])).toEqual({ applied: [], version: '0001_b', ahead: [] })
    expect(await apply([a, b, c])).toEqual({ applied: ['0002_c'], version: '0002_c', ahead: [] })
    expect(await state([a, b, c])).toEqual({ version: '0002_c', pending: [], edited: [], ahead: [] })
  })

  test.each(['catalog', 'tenant'] as const)('works for the whole %s schema', async (schema) => {
    const migrations = await readMigrations(migrationsFolder(schema))
    const { applied, version } = await apply(migrations)
    expect(applied).toEqual(migrations.map(({ id }) => id))
    expect(version).toBe(latestVersion(migrations))
  })

  test('by three runners at once applies each once', async () => {
    const migrations = await readMigrations(migrationsFolder('tenant'))
    const results = await Promise.all([apply(migrations), apply(migrations), apply(migrations)])
    expect(results.flatMap((result) => result.applied)).toEqual(migrations.map(({ id }) => id))
    expect(new Set(results.map((result) => result.version))).toEqual(new Set([latestVersion(migrations)]))
  })

  test('says what it did', async () => {
    const lines: unknown[] = []
    const log = { info: (fields: object, message: string) => lines.push({ ...fields, message }) }
    await withClient(url, (client) => applyMigrations(client, [a], { lockTimeoutMs: 1_000, log }))
    expect(lines).toEqual([
      { migration: '0000_a', durationMs: expect.any(Number), message: 'migration applied' },
    ])
  })

  test('leaves a newer release alone, and reports it', async () => {
    await apply([a, b, c])
    expect(await apply([a, b])).toEqual({ applied: [], version: '0002_c', ahead: ['0002_c'] })
  })
})

describe('a migration that fails', () => {
  const broken = parseMigration('0001_b.sql', 'CREATE TABLE b ();--> statement-breakpoint\nSELECT 1 / 0')

  test('is rolled back whole, the ones before it stay, the ones behind it wait', async () => {
    const error = await failureOf(apply([a, broken, c]))
    expect(error).toMatchObject({ code: 'MIGRATION_FAILED', migrationId: '0001_b', cause: { code: '22012' } })
    expect(error.message).toBe('Migration 0001_b failed')
    expect(await tables()).toEqual(['public.a', 'public.freehold_migrations'])
    expect(await state([a, b, c])).toMatchObject({ version: '0000_a', pending: ['0001_b', '0002_c'] })
  })

  test('can be put right and applied by the next run, for the lock is free', async () => {
    await withClient(url, async (client) => {
      await failureOf(applyMigrations(client, [a, broken], { lockTimeoutMs: 1_000 }))
      expect((await apply([a, b, c], { lockTimeoutMs: 1_000 })).version).toBe('0002_c')
    })
  })

  test('because the server cut the connection is reported, and continued by the next run', async () => {
    const cut = parseMigration('0001_b.sql', 'SELECT pg_terminate_backend(pg_backend_pid())')
    expect(await failureOf(apply([a, cut]))).toMatchObject({
      code: 'MIGRATION_FAILED',
      migrationId: '0001_b',
    })
    expect((await apply([a, b])).applied).toEqual(['0001_b'])
  })
})

describe('a schema that is not what the files say', () => {
  test('because an applied file was edited is refused', async () => {
    await apply([a])
    const edited = parseMigration('0000_a.sql', 'CREATE TABLE "a" (n bigint)')
    expect(await failureOf(apply([edited, b]))).toMatchObject({
      code: 'SCHEMA_DRIFTED',
      migrationId: '0000_a',
    })
    expect((await state([edited, b])).edited).toEqual(['0000_a'])
    expect(await tables()).not.toContain('public.b')
  })

  test('because a migration appeared before an applied one is refused', async () => {
    await apply([a, c])
    expect(await failureOf(apply([a, b, c]))).toMatchObject({ code: 'SCHEMA_DRIFTED', migrationId: '0001_b' })
    expect(await tables()).not.toContain('public.b')
  })

  test('because it is the schema of the other folder is refused', async () => {
    await apply(await readMigrations(migrationsFolder('catalog')))
    const tenant = await readMigrations(migrationsFolder('tenant'))
    expect(await failureOf(apply(tenant))).toMatchObject({ code: 'SCHEMA_DRIFTED' })
  })
})

describe('rights', () => {
  beforeEach(() => query(superuserUrl(database), 'REVOKE CREATE ON SCHEMA public FROM PUBLIC'))

  test('to create tables, when missing, are named as such', async () => {
    const role = await createRole()
    const error = await failureOf(apply([a], { as: urlFor({ role, database }) }))
    expect(error).toMatchObject({ code: 'PERMISSION_MISSING', cause: { code: '42501' } })
  })

  test("to change another role's tables, when missing, are named as such", async () => {
    await apply([a])
    const role = await createRole()
    await query(url, `GRANT SELECT, INSERT ON public.freehold_migrations TO ${role.name}`)
    const error = await failureOf(apply([a, c], { as: urlFor({ role, database }) }))
    expect(error).toMatchObject({ code: 'PERMISSION_MISSING', migrationId: '0002_c' })
  })

  test('to read the journal are all that is needed when nothing is to be done', async () => {
    await apply([a])
    const role = await createRole()
    const as = urlFor({ role, database })
    expect(await failureOf(apply([a], { as }))).toMatchObject({ code: 'PERMISSION_MISSING' })
    await query(url, `GRANT SELECT ON public.freehold_migrations TO ${role.name}`)
    expect((await apply([a], { as })).version).toBe('0000_a')
  })
})

describe("a database's own settings", () => {
  test.each([
    ['a search_path that begins elsewhere', 'search_path = elsewhere, pg_catalog, public'],
    ['an empty search_path', "search_path = ''"],
    ['another isolation level', "default_transaction_isolation = 'serializable'"],
  ])('such as %s do not decide where tables land', async (_what, setting) => {
    await query(url, 'CREATE SCHEMA elsewhere')
    await query(superuserUrl(database), `ALTER DATABASE ${database} SET ${setting}`)
    const { version } = await apply(await readMigrations(migrationsFolder('tenant')))
    expect(version).toBe((await state([])).version)
    expect((await tables()).filter((name) => !name.startsWith('public.'))).toEqual([])
    expect(await tables()).toContain('public.users')
  })

  test('the search_path of our own connections does not either', async () => {
    const path = new URL(url)
    path.searchParams.set('options', '-c search_path=pg_catalog,public,pg_temp')
    await apply(await readMigrations(migrationsFolder('tenant')), { as: path.href })
    expect(await tables()).toContain('public.users')
  })
})

test('a database whose owner made it read only is left as it is, and serves when nothing is to be done', async () => {
  await apply([a])
  await query(superuserUrl(database), `ALTER DATABASE ${database} SET default_transaction_read_only = on`)
  expect((await apply([a])).version).toBe('0000_a')
  expect(await failureOf(apply([a, b]))).toMatchObject({ code: 'MIGRATION_FAILED', cause: { code: '25006' } })
  await query(superuserUrl(database), 'BEGIN READ WRITE; DROP TABLE public.freehold_migrations; COMMIT')
  expect(await failureOf(apply([a]))).toMatchObject({ code: 'MIGRATION_FAILED', cause: { code: '25006' } })
})

describe('the lock', () => {
  test('held by another runner for too long ends the wait', async () => {
    await withClient(url, async (holder) => {
      await holder.query("SELECT pg_advisory_lock(hashtextextended('freehold:migrations', 0))")
      const error = await failureOf(apply([a], { lockTimeoutMs: 200 }))
      expect(error).toMatchObject({ code: 'MIGRATION_FAILED', migrationId: null })
      expect(await tables()).toEqual([])
    })
    expect((await apply([a])).applied).toEqual(['0000_a'])
  })

  test('is not needed, nor waited for, when nothing is to be done', async () => {
    await apply([a])
    await withClient(url, async (holder) => {
      await holder.query("SELECT pg_advisory_lock(hashtextextended('freehold:migrations', 0))")
      expect((await apply([a], { lockTimeoutMs: 200 })).version).toBe('0000_a')
    })
  })

  test('of a table that somebody holds ends the wait too', async () => {
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
