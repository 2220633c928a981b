import { Client } from 'pg'
import { applyMigrations } from '../../src/migrations/apply.ts'
import { migrationsFolder, readMigrations } from '../../src/migrations/files.ts'
import { createTemplate } from '../support/database.ts'

/** Lends one plain connection, with nothing set on it. */
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

/** A template database with all migrations of a schema. */
export function migratedTemplate(schema: 'catalog' | 'tenant'): Promise<string> {
  return createTemplate(`${schema}_migrated`, async (url) => {
    const migrations = await readMigrations(migrationsFolder(schema))
    await withClient(url, (client) => applyMigrations(client, migrations, { lockTimeoutMs: 10_000 }))
  })
}
