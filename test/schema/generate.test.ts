import { execFile } from 'node:child_process'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { promisify } from 'node:util'
import { integer, pgEnum, pgSequence, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import { beforeEach, describe, expect, test } from 'vitest'
import { generateMigration } from '../../src/cli/schema/generate.ts'
import { referenceTable, tenantTable, users } from '../../src/index.ts'
import { parseMigration, readMigrations } from '../../src/migrations/files.ts'
import { applicationOf, newFolder } from './applications.ts'

const countries = referenceTable('countries', {
  code: text('code').primaryKey(),
  name: text('name').notNull(),
})
const clinicians = tenantTable('clinicians', { name: text('name').notNull() })
const bookings = tenantTable(
  'bookings',
  { clinicianId: uuid('clinician_id').notNull(), patientId: uuid('patient_id').notNull() },
  (t, { references, unique }) => [
    unique(t.clinicianId, t.patientId),
    references(t.clinicianId, () => clinicians),
    references(t.patientId, () => users),
  ],
)
const state = pgEnum('clinician_state', ['open', 'closed'])
const statedClinicians = tenantTable('clinicians', { name: text('name').notNull(), state: state('state') })

let folder: string
beforeEach(async () => {
  folder = await newFolder()
})

const generate = (tables: Record<string, unknown>, name = 'change', interactive = false) =>
  generateMigration({ application: applicationOf(folder, tables), name, interactive })
const read = (file: string) => readFile(join(folder, file), 'utf8')
const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.fail('a migration was written'),
    (error: { code: string; message: string; details: string[] }) => error,
  )

describe('a generated migration', () => {
  test('creates the tables, and protects or shares each after a breakpoint', async () => {
    const made = await generate({ countries, clinicians, bookings }, 'first')
    expect(made).toEqual({
      path: join(folder, '0000_first.sql'),
      tables: ['countries', 'clinicians', 'bookings'],
    })
    const { statements } = parseMigration('application', '0000_first.sql', await read('0000_first.sql'))
    expect(statements.slice(-3)).toEqual([
      "SELECT public.freehold_share('public.countries');",
      "SELECT public.freehold_protect('public.clinicians');",
      "SELECT public.freehold_protect('public.bookings');",
    ])
    expect(statements.filter((text) => text.startsWith('CREATE TABLE'))).toHaveLength(3)
    expect(await readMigrations(folder, 'application')).toMatchObject([{ id: '0000_first', statements }])
  })

  test('is not written if nothing has changed', async () => {
    await generate({ clinicians })
    expect(await generate({ clinicians })).toBeNull()
    expect(await readdir(folder)).toEqual(['0000_change.sql', 'meta'])
  })

  test('protects new tables only, and continues the numbers of the folder', async () => {
    await generate({ clinicians })
    await generate({ clinicians: statedClinicians, bookings }, 'more')
    const sql = await read('0001_more.sql')
    expect(sql.match(/freehold_protect\('[^']+'\)/g)).toEqual(["freehold_protect('public.bookings')"])
    // A column uses it, although it is not exported.
    expect(sql).toContain(`CREATE TYPE "public"."clinician_state" AS ENUM('open', 'closed')`)
    const journal = JSON.parse(await read('meta/_journal.json'))
    expect(journal.entries.map(({ idx, tag }: { idx: number; tag: string }) => [idx, tag])).toEqual([
      [0, '0000_change'],
      [1, '0001_more'],
    ])
    const snapshots = await Promise.all(
      ['0000', '0001'].map(async (prefix) => JSON.parse(await read(`meta/${prefix}_snapshot.json`))),
    )
    expect(snapshots[1].prevId).toBe(snapshots[0].id)
  })

  test('quotes names that need it', async () => {
    const odd = tenantTable("O'Brien", { name: text('name') })
    await generate({ odd })
    expect(await read('0000_change.sql')).toContain(`freehold_protect('public."O''Brien"')`)
  })

  test('ignores exports that are no table, view or enum', async () => {
    const made = await generate({ clinicians, numbers: pgSequence('numbers'), Helper: class {}, limit: 3 })
    expect(made?.tables).toEqual(['clinicians'])
    expect(await read('0000_change.sql')).not.toContain('SEQUENCE')
  })

  test('is numbered by time if the folder is', async () => {
    await generate({ clinicians })
    const journal = await read('meta/_journal.json')
    await writeFile(
      join(folder, 'meta/_journal.json'),
      journal.replace('0000_change', '20250102030405_change'),
    )
    await rm(join(folder, '0000_change.sql'))
    await writeFile(join(folder, '20250102030405_change.sql'), 'SELECT 1')
    const made = await generate({ clinicians, bookings }, 'more')
    expect(made?.path).toMatch(/\/20\d{12}_more\.sql$/)
  })

  test('leaves nothing for drizzle-kit itself to add', async () => {
    const tables = `import { text } from 'drizzle-orm/pg-core'
      import { tenantTable } from '${join(process.cwd(), 'src/index.ts')}'
      export const clinicians = tenantTable('clinicians', { name: text('name').notNull() })`
    await generate({ clinicians })
    const schema = join(process.cwd(), 'node_modules/.cache', `tables-${process.pid}.ts`)
    await mkdir(join(process.cwd(), 'node_modules/.cache'), { recursive: true })
    await writeFile(schema, tables)
    const args = ['generate', '--dialect', 'postgresql', '--schema', schema, '--out', relative('.', folder)]
    try {
      const { stdout } = await promisify(execFile)('node_modules/.bin/drizzle-kit', args)
      expect(stdout).toContain('No schema changes')
    } finally {
      await rm(schema)
    }
    expect(await readdir(folder)).toEqual(['0000_change.sql', 'meta'])
  })
})

describe('no migration is written', () => {
  test.each([
    [
      'a table',
      { clinicians: tenantTable('doctors', { name: text('name').notNull() }) },
      /the table "doctors" is new, or was "clinicians" before/,
    ],
    [
      'a column',
      { clinicians: tenantTable('clinicians', { title: text('title').notNull() }) },
      /the column "title" of table "clinicians" is new, or was "name" before/,
    ],
  ])('if %s may have been renamed and there is no terminal', async (_what, tables, question) => {
    await generate({ clinicians })
    const { code, message, details } = await failureOf(generate(tables))
    expect(code).toBe('RENAME_UNCLEAR')
    expect(message).toMatch(/Run the command in a terminal, or make two migrations/)
    expect(details).toEqual([expect.stringMatching(question)])
    expect(await readdir(folder)).toEqual(['0000_change.sql', 'meta'])
  })

  test('except one that adds and one that removes, as the error advises', async () => {
    await generate({ clinicians })
    const doctors = tenantTable('doctors', { name: text('name').notNull() })
    expect((await generate({ clinicians, doctors }, 'add'))?.tables).toEqual(['doctors'])
    expect((await generate({ doctors }, 'take-away'))?.tables).toEqual([])
    expect(await read('0002_take-away.sql')).toBe('DROP TABLE "clinicians" CASCADE;\n')
  })

  test.each(['', '../escape', 'a b', 'a/b', '-x', 'é'])('under the name %j', async (name) => {
    expect(await failureOf(generate({ clinicians }, name))).toMatchObject({ code: 'NAME_INVALID' })
  })

  test('into the layout of a newer drizzle-kit, which is only applied', async () => {
    await mkdir(join(folder, '20250102030405_first'), { recursive: true })
    await writeFile(join(folder, '20250102030405_first', 'migration.sql'), 'SELECT 1')
    const { code, message } = await failureOf(generate({ clinicians }))
    expect(code).toBe('MIGRATIONS_LAYOUT_NEWER')
    expect(message).toContain('freehold_protect')
    expect(await readMigrations(folder, 'application')).toMatchObject([{ id: '20250102030405_first' }])
  })

  test.each([
    [
      'SQL files but no record of what they lead to',
      async () => rm(join(folder, 'meta'), { recursive: true }),
      /Restore the folder "meta"/,
    ],
    [
      'a record that is half merged',
      async () => writeFile(join(folder, 'meta/_journal.json'), '<<<<<<< HEAD'),
      /is not JSON/,
    ],
    [
      'a snapshot of another release',
      async () => writeFile(join(folder, 'meta/0000_snapshot.json'), '{"version":"8"}'),
      /has version 8, but 7 is expected/,
    ],
    [
      'two migrations with the same predecessor',
      async () => writeFile(join(folder, 'meta/0001_snapshot.json'), await read('meta/0000_snapshot.json')),
      /two migrations have the same predecessor/,
    ],
    [
      'a file that sorts behind the next one',
      async () => writeFile(join(folder, '9999_last.sql'), 'SELECT 1'),
      /would sort before 9999_last.sql/,
    ],
  ])('into a folder with %s', async (_what, spoil, words) => {
    await generate({ clinicians })
    await spoil()
    const { code, message } = await failureOf(generate({ clinicians, bookings }))
    expect(code).toBe('MIGRATIONS_FOLDER_UNUSABLE')
    expect(message).toMatch(words)
  })
})

test('a table of pgTable is protected as well', async () => {
  const notes = pgTable('notes', { tenantId: uuid('tenant_id').primaryKey(), n: integer('n') })
  await generate({ notes })
  expect(await read('0000_change.sql')).toContain("SELECT public.freehold_protect('public.notes');")
})
