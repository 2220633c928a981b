import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { generateDrizzleJson, generateMigration } from 'drizzle-kit/api'
import { describe, expect, test } from 'vitest'
import { property } from '../../../src/applications/property/application.ts'
import * as audit from '../../../src/catalog/audit/schema.ts'
import * as changes from '../../../src/catalog/changes/schema.ts'
import * as encryption from '../../../src/catalog/encryption-schema.ts'
import * as jobs from '../../../src/catalog/jobs/schema.ts'
import * as migrations from '../../../src/catalog/runs/schema.ts'
import * as catalog from '../../../src/catalog/schema.ts'
import * as servers from '../../../src/catalog/servers/schema.ts'
import { migrationsFolder } from '../../../src/migrations/files.ts'
import * as tenant from '../../../src/residence/tables.ts'

const readJson = async (path: string) => JSON.parse(await readFile(path, 'utf8'))

describe.each([
  [
    'catalog',
    { ...catalog, ...encryption, ...changes, ...audit, ...jobs, ...migrations, ...servers },
    migrationsFolder('catalog'),
  ],
  ['core', tenant, migrationsFolder('core')],
  ['property', property.schema, property.migrations],
] as const)('the %s schema', (name, schema, folder) => {
  test('has a migration for everything that it declares', async () => {
    const journal = await readJson(join(folder, 'meta', '_journal.json'))
    const tag: string = journal.entries.at(-1).tag
    const latest = await readJson(join(folder, 'meta', `${tag.split('_')[0]}_snapshot.json`))
    const missing = await generateMigration(latest, generateDrizzleJson({ ...schema }, latest.id))
    expect(missing, `npm run db:generate:${name}`).toEqual([])
  })

  test("has exactly the files that drizzle-kit's journal lists", async () => {
    const journal = await readJson(join(folder, 'meta', '_journal.json'))
    const files = (await readdir(folder)).filter((file) => file.endsWith('.sql')).sort()
    expect(files).toEqual(journal.entries.map((entry: { tag: string }) => `${entry.tag}.sql`))
  })
})
