import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { applyMigrations } from '../../src/migrations/apply.ts'
import { migrationsFolder, parseMigration, readMigrations } from '../../src/migrations/files.ts'
import { findIsolationViolations } from '../../src/residence/isolation.ts'
import {
  createDatabase,
  createRole,
  dropAll,
  query,
  superuserUrl,
  type TestRole,
  urlFor,
} from '../support/database.ts'
import { entering, sealBytes } from '../support/seals.ts'
import { withClient } from '../support/tenant-database.ts'

const countries = parseMigration(
  'application',
  '0000_countries.sql',
  `CREATE TABLE countries (code text PRIMARY KEY, name text NOT NULL);
   INSERT INTO countries VALUES ('PT', 'Portugal');
   GRANT UPDATE (name) ON countries TO PUBLIC;
   --> statement-breakpoint
   SELECT public.freehold_share('public.countries');
   --> statement-breakpoint
   CREATE TABLE offices (tenant_id uuid, id uuid, country text REFERENCES countries, PRIMARY KEY (tenant_id, id));
   --> statement-breakpoint
   SELECT public.freehold_protect('public.offices')`,
)
const tables = { tenantTables: ['offices'], referenceTables: ['countries'] }
const TENANT = '0197a000-0000-7000-8000-000000000001'
const asTenant = `${entering(TENANT, 1).replaceAll(', true)', ', false)')};`
const WRITES = [
  "INSERT INTO countries VALUES ('XX', 'x')",
  "UPDATE countries SET name = 'x'",
  'DELETE FROM countries WHERE false',
  'TRUNCATE countries CASCADE',
]

let database: string
let owner: TestRole
let serving: TestRole
let url: (role: TestRole) => string

/** As in production: default privileges allow the serving role to write everything that the owner creates. */
beforeAll(async () => {
  owner = await createRole()
  serving = await createRole()
  database = await createDatabase({ owner: owner.name })
  url = (role) => urlFor({ role, database })
  await query(
    superuserUrl(database),
    `ALTER DEFAULT PRIVILEGES FOR ROLE ${owner.name} GRANT ALL ON TABLES TO ${serving.name}`,
  )
  const core = await readMigrations(migrationsFolder('core'), 'core')
  await withClient(url(owner), (client) =>
    applyMigrations(client, [...core, countries], { lockTimeoutMs: 10_000 }),
  )
  await query(
    url(owner),
    `INSERT INTO residence (tenant_id, epoch, seal) VALUES ('${TENANT}', 1, ${sealBytes(TENANT, 1)})`,
  )
})
afterAll(dropAll)

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'done',
    (error: { code: string }) => error.code,
  )
const audit = async (role: TestRole, statements = 'SELECT 1') =>
  withClient(url(role), async (client) => {
    await client.query(`BEGIN; ${statements}`)
    const violations = await findIsolationViolations(client, { tables })
    await client.query('ROLLBACK')
    return violations
      .filter(({ object }) => object === 'countries')
      .map(({ rule, detail }) => `${rule} ${detail.replace(serving.name, 'serving')}`)
  })

describe('a reference table', () => {
  test('can be read by the serving role, and other rows can refer to it', async () => {
    expect(await query(url(serving), 'SELECT name FROM countries')).toEqual([{ name: 'Portugal' }])
    const insert = (country: string) =>
      query(
        url(serving),
        `${asTenant} INSERT INTO offices VALUES ('${TENANT}', gen_random_uuid(), '${country}')`,
      )
    expect(await codeOf(insert('PT'))).toBe('done')
    expect(await codeOf(insert('XX'))).toBe('23503')
  })

  test.each(WRITES)('cannot be written by the serving role: %s', async (statement) => {
    expect(await codeOf(query(url(serving), statement))).toBe('42501')
    expect(await codeOf(query(url(serving), `${asTenant} ${statement}`))).toBe('42501')
  })

  test.each(WRITES)(
    'can be written by migrations, but not for a tenant, if one role owns everything: %s',
    async (statement) => {
      expect(await codeOf(query(url(owner), `${asTenant} ${statement}`))).toBe('42501')
      expect(await codeOf(query(url(owner), `BEGIN; ${statement}; ROLLBACK`))).toBe('done')
    },
  )

  test('cannot be shared or changed into another kind by the serving role', async () => {
    expect(await codeOf(query(url(serving), "SELECT public.freehold_share('public.offices')"))).toBe('42501')
    expect(await codeOf(query(url(serving), 'DROP TRIGGER freehold_read_only ON countries'))).toBe('42501')
  })

  test('is the form of the journal of migrations', async () => {
    expect(await query(url(serving), 'SELECT FROM freehold_migrations')).not.toEqual([])
    for (const statement of [
      'DELETE FROM freehold_migrations',
      'UPDATE freehold_migrations SET hash = $$x$$',
    ])
      expect(await codeOf(query(url(serving), statement))).toBe('42501')
  })
})

describe('the audit', () => {
  test('finds nothing, also for the role that owns everything', async () => {
    expect(await audit(serving)).toEqual([])
    expect(await audit(owner)).toEqual([])
  })

  test('finds each excess right, also on a column', async () => {
    const grant = `GRANT INSERT ON countries TO ${serving.name}; GRANT UPDATE (name) ON countries TO ${serving.name}`
    expect(await audit(owner, grant)).toEqual([
      'reference-writable serving: INSERT',
      'reference-writable serving: UPDATE',
    ])
    const mended = `${grant}; SELECT public.freehold_share('public.countries')`
    expect(await audit(owner, mended)).toEqual([])
  })

  test.each([
    'DROP TRIGGER freehold_read_only ON countries',
    'ALTER TABLE countries DISABLE TRIGGER freehold_read_only',
  ])('finds that the table is not protected: %s', async (statement) => {
    expect(await audit(owner, statement)).toEqual(['reference-writable '])
  })
})
