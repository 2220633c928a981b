import { appendFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { doublePrecision, foreignKey, integer, text, uuid } from 'drizzle-orm/pg-core'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { checkSchema } from '../../src/cli/schema/check.ts'
import { generateMigration } from '../../src/cli/schema/generate.ts'
import { referenceTable, tenantTable, users } from '../../src/index.ts'
import type { ServerAddress } from '../../src/lib/postgres/pg.ts'
import { property } from '../support/application.ts'
import { createRole, dropAll, query, superuserUrl, urlFor } from '../support/database.ts'
import { addressOf } from '../support/tenant-database.ts'
import { applicationOf, newFolder } from './applications.ts'

const countries = referenceTable('countries', {
  code: text('code').primaryKey(),
  name: text('name').notNull(),
})
const clinicians = tenantTable('clinicians', {
  name: text('name').notNull(),
  rank: integer('rank').default(0),
})
const bookings = tenantTable(
  'bookings',
  {
    clinicianId: uuid('clinician_id').notNull(),
    patientId: uuid('patient_id').notNull(),
    country: text('country'),
    minutes: integer('minutes'),
    number: integer('number').notNull(),
    state: text('state').default('open'),
  },
  (t, { index, references, unique }) => [
    unique(t.clinicianId, t.patientId),
    index(t.patientId),
    references(t.clinicianId, () => clinicians, { onDelete: 'cascade' }),
    references(t.patientId, () => users),
    foreignKey({ name: 'bookings_country_fkey', columns: [t.country], foreignColumns: [countries.code] }),
  ],
)
const readings = tenantTable('readings', { at: doublePrecision('at').notNull() })
const slots = tenantTable('slots', { bookingId: uuid('booking_id').notNull() }, (t, { references }) => [
  references(t.bookingId, () => bookings, { onDelete: 'cascade' }),
])
const tables = { countries, clinicians, bookings, readings, slots }
/** The serving role has a different name in each check. */
const grantToServing = (what: string) => `DO $$ BEGIN
  EXECUTE format('GRANT ${what} TO %I', replace(current_user, '_owner', '_serving')); END $$`

afterAll(dropAll)

let folder: string
beforeEach(async () => {
  folder = await newFolder()
})

const superuser = () => addressOf(superuserUrl())
const check = (declared: Record<string, unknown>) => checkSchema(applicationOf(folder, declared), superuser())
const generate = (declared: Record<string, unknown>, name: string) =>
  generateMigration({ application: applicationOf(folder, declared), name, interactive: false })
const file = () => join(folder, '0000_first.sql')
/** The migration of all tables, with `sql` after it, or in place of `find`. */
const migrate = async (sql = '', find?: string | RegExp) => {
  await generate(tables, 'first')
  if (find === undefined) return appendFile(file(), `--> statement-breakpoint\n${sql}`)
  const text = await readFile(file(), 'utf8')
  expect(text).toMatch(find)
  return writeFile(file(), text.replace(find, sql))
}

describe('a check of the schema', () => {
  test('finds no fault in generated migrations, and leaves nothing behind', async () => {
    await migrate('SELECT 1')
    expect(await check(tables)).toEqual({ faults: [], notes: [] })
    expect(
      await query(
        superuserUrl(),
        `SELECT datname FROM pg_database WHERE datname LIKE 'freehold_check_%'
        UNION ALL SELECT rolname FROM pg_roles WHERE rolname LIKE 'freehold_check_%'`,
      ),
    ).toEqual([])
  })

  test('finds no fault in the reference application', async () => {
    expect(await checkSchema(property, superuser())).toEqual({ faults: [], notes: [] })
  })

  // One database for many faults. The report of each must not depend on the others.
  test.each<[string, (readonly [sql: string, ...faults: RegExp[]])[]]>([
    [
      'tables and columns that are not as declared',
      [
        [
          'CREATE TABLE rooms (id uuid PRIMARY KEY)',
          /^Table "rooms" is created by a migration but not declared\./,
        ],
        [
          `CREATE TABLE kept (tenant_id uuid, id uuid, PRIMARY KEY (tenant_id, id)); SELECT freehold_protect('kept')`,
          /^Table "kept" is created by a migration but not declared\./,
        ],
        [
          'CREATE TABLE freehold_own (id uuid)',
          /^Table "freehold_own" is created by a migration but not declared\./,
        ],
        [
          'CREATE SCHEMA reports; CREATE TABLE reports.rooms (id uuid)',
          /^Table "reports\.rooms" is not in the schema public/,
        ],
        [
          'ALTER TABLE clinicians DROP COLUMN rank',
          /^Column "rank" of table "clinicians" is declared but no migration creates it\./,
        ],
        [
          'ALTER TABLE clinicians ADD COLUMN born date',
          /^Column "born" of table "clinicians" is created by a migration but not declared\./,
        ],
        [
          'ALTER TABLE clinicians ALTER COLUMN name DROP NOT NULL',
          /^Column "name" of table "clinicians" is text but declared as text NOT NULL\./,
        ],
        [
          'ALTER TABLE bookings ALTER COLUMN minutes TYPE bigint',
          /^Column "minutes" of table "bookings" is bigint but declared as integer\./,
        ],
        [
          'ALTER TABLE bookings ALTER COLUMN state DROP DEFAULT',
          /^Column "state" of table "bookings" is declared with a default but has none\./,
        ],
        [
          'ALTER TABLE bookings ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY',
          /^Column "number" of table "bookings" is an identity column but not declared as one\./,
        ],
      ],
    ],
    [
      'keys, and rules of isolation',
      [
        [
          'ALTER TABLE bookings DROP CONSTRAINT bookings_clinician_id_patient_id_key',
          /^The unique key "bookings_clinician_id_patient_id_key" of table "bookings" is declared but does not exist\./,
        ],
        [
          'DROP INDEX bookings_patient_id_idx',
          /^The index "bookings_patient_id_idx" of table "bookings" is declared but does not exist\./,
        ],
        [
          `ALTER TABLE bookings DROP CONSTRAINT bookings_clinician_id_fkey, ADD CONSTRAINT bookings_clinician_id_fkey
             FOREIGN KEY (tenant_id, clinician_id) REFERENCES clinicians (tenant_id, id) ON DELETE RESTRICT`,
          /^The foreign key "bookings_clinician_id_fkey" of table "bookings" has another action on delete or update than declared/,
          /^The foreign key "bookings_clinician_id_fkey" of table "bookings" is RESTRICT/,
        ],
        [
          'CREATE UNIQUE INDEX by_name ON clinicians (name)',
          /^The unique index .*by_name of table "clinicians" does not begin with tenant_id/,
        ],
        [
          'ALTER TABLE clinicians ADD CONSTRAINT one_rank EXCLUDE (rank WITH =)',
          /^The unique index or exclusion constraint .*one_rank of table "clinicians"/,
        ],
        [
          'ALTER TABLE bookings NO FORCE ROW LEVEL SECURITY',
          /^Table "bookings" lacks Freehold's row-level security/,
        ],
        [
          'CREATE POLICY all_of_them ON clinicians USING (true)',
          /^The policy all_of_them of table "clinicians"/,
        ],
        ['GRANT SELECT ON clinicians TO PUBLIC', /^Table "clinicians" is granted to PUBLIC \(SELECT\)\./],
        [
          grantToServing('TRUNCATE ON clinicians'),
          /^The serving role has the right to TRUNCATE on "clinicians"/,
        ],
        [grantToServing('SELECT ON residence'), /^The serving role has the right to SELECT on "residence"/],
        [
          grantToServing('INSERT ON countries'),
          /^The reference table "countries" is writable, .* SELECT public\.freehold_share\('public\.countries'\);$/,
        ],
        [
          `CREATE FUNCTION names() RETURNS bigint SECURITY DEFINER LANGUAGE sql AS 'SELECT count(*) FROM clinicians'`,
          /^The function names is SECURITY DEFINER/,
        ],
        [
          'CREATE VIEW names AS SELECT name FROM clinicians',
          /^The view .*names shows what its owner may see/,
        ],
        [
          'ALTER TABLE readings DROP CONSTRAINT readings_pkey, ADD CONSTRAINT readings_pkey PRIMARY KEY (tenant_id, at)',
          /^The primary key of table "readings" contains "at"/,
        ],
        [
          `CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM count(*) FROM public.rooms; RETURN OLD; END';
           CREATE TRIGGER look BEFORE DELETE ON slots FOR EACH ROW EXECUTE FUNCTION look();
           CREATE FUNCTION own() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN PERFORM count(*) FROM public.rooms WHERE tenant_id = OLD.tenant_id; RETURN OLD; END';
           CREATE TRIGGER own BEFORE DELETE ON slots FOR EACH ROW EXECUTE FUNCTION own()`,
          /^The trigger "look" of table "slots" runs before each row/,
        ],
      ],
    ],
    [
      "changes of what is Freehold's own",
      [
        [
          'ALTER TABLE users ADD COLUMN born date',
          /^A migration adds the column born of table users, which belongs to Freehold\./,
        ],
        [
          'ALTER TABLE roles DROP COLUMN description',
          /^A migration changes or drops the column description of table roles/,
        ],
        [
          `CREATE OR REPLACE FUNCTION public.freehold_protect(p_table regclass) RETURNS void LANGUAGE sql AS ''`,
          /^A migration changes or drops the function freehold_protect\(regclass\)/,
        ],
        [
          'DROP POLICY tenant_isolation ON users',
          /^A migration changes or drops the policy tenant_isolation of table users/,
          /^Table "users" lacks Freehold's row-level security/,
        ],
      ],
    ],
  ])('names %s', async (_what, seeded) => {
    await migrate(seeded.map(([sql]) => sql).join(';\n'))
    const { faults } = await check(tables)
    const expected = seeded.flatMap(([, ...each]) => each)
    expect(faults.filter((told) => !expected.some((fault) => fault.test(told)))).toEqual([])
    expect(expected.filter((fault) => faults.filter((told) => fault.test(told)).length !== 1)).toEqual([])
  })

  test('names tables that are not protected, not shared, and not created', async () => {
    await migrate(
      '',
      /SELECT public.freehold_(protect\('public.clinicians'|share\('public.countries')\);\n.*\n/g,
    )
    expect([...(await check(tables)).faults].sort()).toEqual([
      expect.stringMatching(
        /^Table "clinicians" lacks Freehold's row-level security\. .* SELECT public\.freehold_protect\('public\.clinicians'\);$/,
      ),
      expect.stringMatching(/^The reference table "countries" is writable/),
    ])
    await writeFile(file(), 'SELECT 1')
    expect((await check({ clinicians })).faults).toEqual([
      expect.stringMatching(/^Table "clinicians" is declared but no migration creates it\./),
      expect.stringMatching(
        /^The migrations lack 4 statements for the declared tables\. The first is: DROP TABLE "countries"/,
      ),
    ])
  })

  test('names a migration that fails, with the error of PostgreSQL', async () => {
    await migrate('ALTER TABLE rooms ADD COLUMN n int')
    expect((await check(tables)).faults).toEqual([
      expect.stringMatching(
        /^Migration application\/0000_first failed: relation "rooms" does not exist\. Correct/,
      ),
    ])
  })

  test('names declared parts that no migration creates', async () => {
    await migrate('SELECT 1')
    const { faults } = await check({ ...tables, rooms: tenantTable('rooms', { name: text('name') }) })
    expect(faults).toEqual([
      expect.stringMatching(
        /^Table "rooms" is declared but no migration creates it\. Run: freehold schema generate/,
      ),
      expect.stringMatching(
        /^The migrations lack 1 statements for the declared tables\. The first is: CREATE TABLE "rooms"/,
      ),
    ])
    const renamed = tenantTable('clinicians', {
      title: text('title').notNull(),
      rank: integer('rank').default(0),
    })
    expect((await check({ countries, clinicians: renamed })).faults.at(-1)).toMatch(
      /may have been renamed without a migration/,
    )
  })

  test('names a folder without migrations', async () => {
    expect((await check(tables)).faults).toEqual([
      expect.stringMatching(/^no migrations in .*Run: freehold schema generate/),
    ])
  })

  test('reports why it cannot create a database on a server', async () => {
    await migrate('SELECT 1')
    const role = await createRole()
    const checkOn = (address: ServerAddress) => checkSchema(applicationOf(folder, tables), address)
    const plain = addressOf(urlFor({ role, database: 'postgres' }))
    await expect(checkOn(plain)).rejects.toMatchObject({
      code: 'SERVER_UNUSABLE',
      message: expect.stringContaining('(42501)'),
    })
    const closed = { ...superuser(), host: '127.0.0.1', port: 1 }
    await expect(checkOn(closed)).rejects.toMatchObject({
      code: 'SERVER_UNUSABLE',
      message: expect.stringMatching(/\(ECONNREFUSED\).*TEST_DATABASE_URL must name a superuser/),
    })
  })

  test('applies the layout of a newer drizzle-kit, and reports that its snapshots were not compared', async () => {
    await migrate('SELECT 1')
    const inner = join(folder, '20250102030405_first')
    await mkdir(inner)
    await writeFile(join(inner, 'migration.sql'), await readFile(file(), 'utf8'))
    await rm(file())
    await rm(join(folder, 'meta'), { recursive: true })
    expect(await check(tables)).toEqual({
      faults: [],
      notes: [expect.stringContaining('layout of a newer drizzle-kit')],
    })
  })
})
