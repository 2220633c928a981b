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
/** The serving role has a name of its own in each check. */
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
/** The migration of all tables, and `sql` behind it, or in place of `find`. */
const migrate = async (sql = '', find?: string | RegExp) => {
  await generate(tables, 'first')
  if (find === undefined) return appendFile(file(), `--> statement-breakpoint\n${sql}`)
  const text = await readFile(file(), 'utf8')
  expect(text).toMatch(find)
  return writeFile(file(), text.replace(find, sql))
}

describe('a check of the schema', () => {
  test('finds nothing in what was generated, and leaves nothing behind', async () => {
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

  test('finds nothing in the reference application', async () => {
    expect(await checkSchema(property, superuser())).toEqual({ faults: [], notes: [] })
  })

  // One database for many faults: what is said of each must not depend on the others.
  test.each<[string, (readonly [sql: string, ...faults: RegExp[]])[]]>([
    [
      'tables and columns that are not as declared',
      [
        [
          'CREATE TABLE rooms (id uuid PRIMARY KEY)',
          /^Table "rooms" is created by a migration and not declared\./,
        ],
        [
          `CREATE TABLE kept (tenant_id uuid, id uuid, PRIMARY KEY (tenant_id, id)); SELECT freehold_protect('kept')`,
          /^Table "kept" is created by a migration and not declared\./,
        ],
        [
          'CREATE TABLE freehold_own (id uuid)',
          /^Table "freehold_own" is created by a migration and not declared\./,
        ],
        [
          'CREATE SCHEMA reports; CREATE TABLE reports.rooms (id uuid)',
          /^Table "reports\.rooms" is outside of the schema public/,
        ],
        [
          'ALTER TABLE clinicians DROP COLUMN rank',
          /^Column "rank" of table "clinicians" is declared and no migration creates it\./,
        ],
        [
          'ALTER TABLE clinicians ADD COLUMN born date',
          /^Column "born" of table "clinicians" is created by a migration and not declared\./,
        ],
        [
          'ALTER TABLE clinicians ALTER COLUMN name DROP NOT NULL',
          /^Column "name" of table "clinicians" is text, and declared as text NOT NULL\./,
        ],
        [
          'ALTER TABLE bookings ALTER COLUMN minutes TYPE bigint',
          /^Column "minutes" of table "bookings" is bigint, and declared as integer\./,
        ],
        [
          'ALTER TABLE bookings ALTER COLUMN state DROP DEFAULT',
          /^Column "state" of table "bookings" is declared with a default, and has none\./,
        ],
        [
          'ALTER TABLE bookings ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY',
          /^Column "number" of table "bookings" is an identity column, and not declared as one\./,
        ],
      ],
    ],
    [
      'keys, and rules of isolation',
      [
        [
          'ALTER TABLE bookings DROP CONSTRAINT bookings_clinician_id_patient_id_key',
          /^The unique key "bookings_clinician_id_patient_id_key" of table "bookings" is declared and not there\./,
        ],
        [
          'DROP INDEX bookings_patient_id_idx',
          /^The index "bookings_patient_id_idx" of table "bookings" is declared and not there\./,
        ],
        [
          `ALTER TABLE bookings DROP CONSTRAINT bookings_clinician_id_fkey, ADD CONSTRAINT bookings_clinician_id_fkey
             FOREIGN KEY (tenant_id, clinician_id) REFERENCES clinicians (tenant_id, id) ON DELETE RESTRICT`,
          /^The foreign key "bookings_clinician_id_fkey" of table "bookings" does something else on delete/,
          /^The foreign key "bookings_clinician_id_fkey" of table "bookings" is a RESTRICT/,
        ],
        [
          'CREATE UNIQUE INDEX by_name ON clinicians (name)',
          /^The unique index .*by_name of table "clinicians" does not begin with tenant_id/,
        ],
        [
          'ALTER TABLE clinicians ADD CONSTRAINT one_rank EXCLUDE (rank WITH =)',
          /^The unique index or exclusion constraint .*one_rank of table "clinicians"/,
        ],
        ['ALTER TABLE bookings NO FORCE ROW LEVEL SECURITY', /^Table "bookings" has no row-level security/],
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
          /^The reference table "countries" can be written .* SELECT public\.freehold_share\('public\.countries'\);$/,
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
          /^The primary key of table "readings" holds "at"/,
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
          /^A migration adds the column born of table users, which is Freehold's own\./,
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
          /^Table "users" has no row-level security/,
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
        /^Table "clinicians" has no row-level security .* SELECT public\.freehold_protect\('public\.clinicians'\);$/,
      ),
      expect.stringMatching(/^The reference table "countries" can be written/),
    ])
    await writeFile(file(), 'SELECT 1')
    expect((await check({ clinicians })).faults).toEqual([
      expect.stringMatching(/^Table "clinicians" is declared and no migration creates it\./),
      expect.stringMatching(/^The migrations lack 4 statements .*, the first: DROP TABLE "countries"/),
    ])
  })

  test('names a migration that fails, with what PostgreSQL says', async () => {
    await migrate('ALTER TABLE rooms ADD COLUMN n int')
    expect((await check(tables)).faults).toEqual([
      expect.stringMatching(
        /^Migration application\/0000_first failed: relation "rooms" does not exist\. Correct/,
      ),
    ])
  })

  test('names what no migration makes of the declared tables', async () => {
    await migrate('SELECT 1')
    const { faults } = await check({ ...tables, rooms: tenantTable('rooms', { name: text('name') }) })
    expect(faults).toEqual([
      expect.stringMatching(
        /^Table "rooms" is declared and no migration creates it\. Run: freehold schema generate/,
      ),
      expect.stringMatching(
        /^The migrations lack 1 statements of what the tables declare, the first: CREATE TABLE "rooms"/,
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

  test('says what is wrong with a server on which it can make nothing', async () => {
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

  test('applies the layout of a newer drizzle-kit, and says that its snapshots were not compared', async () => {
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
