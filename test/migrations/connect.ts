import { applyMigrations } from '../../src/migrations/apply.ts'
import { migrationsFolder, readMigrations } from '../../src/migrations/files.ts'
import { tenantMigrations } from '../support/application.ts'
import { createTemplate } from '../support/database.ts'
import { withClient } from '../support/tenant-database.ts'

/** A template database with all migrations of a schema. */
export function migratedTemplate(schema: 'catalog' | 'tenant'): Promise<string> {
  return createTemplate(`${schema}_migrated`, async (url) => {
    const migrations =
      schema === 'tenant' ? await tenantMigrations() : await readMigrations(migrationsFolder(schema), schema)
    await withClient(url, (client) => applyMigrations(client, migrations, { lockTimeoutMs: 10_000 }))
  })
}
