import { appendFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { doublePrecision, foreignKey, integer, text, uuid } from 'drizzle-orm/pg-core'
import { beforeEach, describe, expect, test } from 'vitest'
import { referenceTable, tenantTable, users } from '../../src/index.ts'
import { checkSchema } from '../../src/schema/check.ts'
import { generateMigration } from '../../src/schema/generate.ts'
import { property } from '../support/application.ts'
import { query, superuserUrl } from '../support/database.ts'
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
  },
  (t, { index, references, unique }) => [
    unique(t.clinicianId, t.patientId),
    index(t.patientId),
    references(t.clinicianId, () => clinicians, { onDelete: 'cascade' }),
    references(t.patientId, () => users),
    foreignKey({ name: 'bookings_country_fkey', columns: [t.country], foreignColumns: [countries.code] }),
  ],
)
const tables = { countries, clinicians, bookings }

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

  test.each<[string, string, string | RegExp | undefined, RegExp[]]>([
    [
      'a table that is not protected',
      '',
      /SELECT public.freehold_protect\('public.clinicians'\);\n/,
      [
        /^Table "clinicians" has no row-level security .* SELECT public\.freehold_protect\('public\.clinicians'\);$/,
      ],
    ],
    [
      'row-level security that is not forced',
      'ALTER TABLE clinicians NO FORCE ROW LEVEL SECURITY',
      undefined,
      [/^Table "clinicians" has no row-level security/],
    ],
    [
      'a policy more',
      'CREATE POLICY all_of_them ON clinicians USING (true)',
      undefined,
      [/^The policy all_of_them of table "clinicians"/],
    ],
    [
      'a table that is not declared',
      'CREATE TABLE rooms (id uuid PRIMARY KEY)',
      undefined,
      [/^Table "rooms" is created by a migration and not declared\./],
    ],
    [
      'one that keeps every rule',
      `CREATE TABLE rooms (tenant_id uuid, id uuid, PRIMARY KEY (tenant_id, id)); SELECT freehold_protect('rooms')`,
      undefined,
      [/^Table "rooms" is created by a migration and not declared\./],
    ],
    [
      'a table of another schema',
      'CREATE SCHEMA reports; CREATE TABLE reports.rooms (id uuid)',
      undefined,
      [/^Table "reports\.rooms" is outside of the schema public/],
    ],
    [
      'a table that is not created',
      '',
      /CREATE TABLE "clinicians"[\s\S]*/,
      [
        /^Table "clinicians" is declared and no migration creates it\./,
        /^Table "bookings" is declared and no/,
      ],
    ],
    [
      'a column that is not created',
      'ALTER TABLE clinicians DROP COLUMN rank',
      undefined,
      [/^Column "rank" of table "clinicians" is declared and no migration creates it\./],
    ],
    [
      'a column that is not declared',
      'ALTER TABLE clinicians ADD COLUMN born date',
      undefined,
      [/^Column "born" of table "clinicians" is created by a migration and not declared\./],
    ],
    [
      'a column of another type',
      'ALTER TABLE clinicians ALTER COLUMN rank TYPE bigint',
      undefined,
      [/^Column "rank" of table "clinicians" is bigint, and declared as integer\./],
    ],
    [
      'a column that may be null',
      'ALTER TABLE clinicians ALTER COLUMN name DROP NOT NULL',
      undefined,
      [/^Column "name" of table "clinicians" is text, and declared as text NOT NULL\./],
    ],
    [
      'a column without its default',
      'ALTER TABLE clinicians ALTER COLUMN rank DROP DEFAULT',
      undefined,
      [/^Column "rank" .* is declared with a default, and has none\./],
    ],
    [
      'an identity that is not declared',
      'ALTER TABLE clinicians ALTER COLUMN rank DROP DEFAULT, ALTER COLUMN rank SET NOT NULL, ALTER COLUMN rank ADD GENERATED ALWAYS AS IDENTITY, ALTER COLUMN name DROP NOT NULL',
      undefined,
      [
        /^Column "name"/,
        /^Column "rank" of table "clinicians" is integer NOT NULL, and declared as integer\./,
      ],
    ],
    [
      'a key that is not there',
      'ALTER TABLE bookings DROP CONSTRAINT bookings_clinician_id_patient_id_key',
      undefined,
      [
        /^The unique key "bookings_clinician_id_patient_id_key" of table "bookings" is declared and not there\./,
      ],
    ],
    [
      'an index that is not there',
      'DROP INDEX bookings_patient_id_idx',
      undefined,
      [/^The index "bookings_patient_id_idx" of table "bookings" is declared and not there\./],
    ],
    [
      'a real RESTRICT',
      'ON DELETE restrict',
      /ON DELETE cascade/,
      [
        /^The foreign key "bookings_clinician_id_fkey" of table "bookings" does something else on delete/,
        /^The foreign key "bookings_clinician_id_fkey" of table "bookings" is a RESTRICT/,
      ],
    ],
    [
      'a key without the tenant',
      'CREATE UNIQUE INDEX by_name ON clinicians (name)',
      undefined,
      [/^The unique index .*by_name of table "clinicians" does not begin with tenant_id/],
    ],
    [
      'an exclusion constraint without the tenant',
      'ALTER TABLE clinicians ADD CONSTRAINT one_rank EXCLUDE (rank WITH =)',
      undefined,
      [/^The unique index or exclusion constraint .*one_rank of table "clinicians"/],
    ],
    [
      'a grant to everybody',
      'GRANT SELECT ON clinicians TO PUBLIC',
      undefined,
      [/^Table "clinicians" is granted to PUBLIC \(SELECT\)\./],
    ],
    [
      'a grant that the serving role does not need',
      `DO $$ BEGIN EXECUTE (SELECT format('GRANT TRUNCATE ON clinicians TO %I', rolname) FROM pg_roles WHERE rolname = replace(current_user, '_owner', '_serving')); END $$`,
      undefined,
      [/^A migration grants TRUNCATE on table "clinicians"/],
    ],
    [
      'a function that runs as the owner',
      `CREATE FUNCTION names() RETURNS bigint SECURITY DEFINER LANGUAGE sql AS 'SELECT count(*) FROM clinicians'`,
      undefined,
      [/^The function names is SECURITY DEFINER/],
    ],
    [
      'a view of the owner',
      'CREATE VIEW names AS SELECT name FROM clinicians',
      undefined,
      [/^The view .*names shows what its owner may see/],
    ],
    [
      "a column more in a table of Freehold's",
      'ALTER TABLE users ADD COLUMN born date',
      undefined,
      [/^A migration adds the column born of table users, which is Freehold's own\./],
    ],
    [
      "a function of Freehold's that is replaced",
      `CREATE OR REPLACE FUNCTION public.freehold_protect(p_table regclass) RETURNS void LANGUAGE sql AS ''`,
      undefined,
      [/^A migration changes or drops the function freehold_protect\(regclass\)/],
    ],
    [
      "a policy of Freehold's that is dropped",
      'DROP POLICY tenant_isolation ON users',
      undefined,
      [
        /^A migration changes or drops the policy tenant_isolation of table users/,
        /^Table "users" has no row-level security/,
      ],
    ],
    [
      'a trigger that a cascade would fire for all tenants',
      `CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM count(*) FROM public.clinicians; RETURN OLD; END';
      CREATE TRIGGER look BEFORE DELETE ON bookings FOR EACH ROW EXECUTE FUNCTION look()`,
      undefined,
      [/^The trigger "look" of table "bookings" runs before each row/],
    ],
  ])('names %s', async (_what, sql, find, faults) => {
    await migrate(sql, find)
    expect((await check(tables)).faults).toEqual(faults.map((fault) => expect.stringMatching(fault)))
  })

  test('names a key whose text depends on settings', async () => {
    const readings = tenantTable('readings', { at: doublePrecision('at').notNull() })
    const keyed = { ...readings }
    expect(keyed).toBeDefined()
    await generate({ readings }, 'first')
    await appendFile(
      file(),
      '--> statement-breakpoint\nALTER TABLE readings DROP CONSTRAINT readings_pkey, ADD CONSTRAINT readings_pkey PRIMARY KEY (tenant_id, at)',
    )
    expect((await check({ readings })).faults).toEqual([
      expect.stringMatching(/^The primary key of table "readings" holds "at"/),
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
