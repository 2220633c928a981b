import { Client } from 'pg'
import type { Application } from '../../src/application.ts'
import { applyMigrations } from '../../src/migrations/apply.ts'
import { migrationsFolder, readMigrations, readTenantMigrations } from '../../src/migrations/files.ts'
import { property } from './application.ts'
import { createCopy, createTemplate } from './database.ts'

/** The catalog's schema, or that of an application's tenants. */
type Schema = 'catalog' | Application

/** A database with all migrations of a schema, in which `owner` owns everything. Returns its name. */
export function createMigrated(owner: string, schema: Schema): Promise<string> {
  return createCopy(owner, keyOf(schema), (url) => migrate(url, schema))
}

/** A template database with all migrations of a schema, in which a superuser owns everything. */
export function migratedTemplate(which: 'catalog' | 'tenant'): Promise<string> {
  const schema = which === 'tenant' ? property : which
  return createTemplate(`${keyOf(schema)}_migrated`, (url) => migrate(url, schema))
}

/** Lends one plain connection without settings. If it ends, the running query gets the error. */
export async function withClient<T>(url: string, fn: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  try {
    return await fn(client)
  } finally {
    await client.end()
  }
}

async function migrate(url: string, schema: Schema): Promise<void> {
  const migrations =
    schema === 'catalog'
      ? await readMigrations(migrationsFolder(schema), schema)
      : await readTenantMigrations(schema)
  await withClient(url, (client) => applyMigrations(client, migrations, { lockTimeoutMs: 10_000 }))
}

function keyOf(schema: Schema): string {
  return schema === 'catalog' ? schema : `tenant_${schema.name}`
}
