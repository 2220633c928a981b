import { defineConfig } from 'drizzle-kit'

/** The tables of each folder of migrations. */
const FOLDERS: Record<string, { schema: string; out: string }> = {
  catalog: { schema: './src/catalog/**/*schema.ts', out: './catalog-migrations' },
  core: { schema: './src/residence/tables.ts', out: './tenant-migrations/core' },
  property: { schema: './src/applications/property/tables/*.ts', out: './tenant-migrations/property' },
}

const folder = FOLDERS[process.env.FREEHOLD_SCHEMA ?? '']
if (folder === undefined) throw new Error(`FREEHOLD_SCHEMA must be one of ${Object.keys(FOLDERS).join(', ')}`)

/** drizzle-kit only writes SQL here, so it needs no credentials. `src/migrations/apply.ts` applies the SQL. */
export default defineConfig({ dialect: 'postgresql', ...folder, breakpoints: true })
