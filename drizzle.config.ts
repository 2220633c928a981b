import { defineConfig } from 'drizzle-kit'

/** Which tables each folder of migrations is made of. */
const FOLDERS: Record<string, { schema: string; out: string }> = {
  catalog: { schema: './src/catalog/**/*schema.ts', out: './catalog-migrations' },
  core: { schema: './src/residence/tables.ts', out: './tenant-migrations/core' },
  property: { schema: './src/applications/property/tables/*.ts', out: './tenant-migrations/property' },
}

const folder = FOLDERS[process.env.FREEHOLD_SCHEMA ?? '']
if (folder === undefined) throw new Error(`FREEHOLD_SCHEMA must be one of ${Object.keys(FOLDERS).join(', ')}`)

/** drizzle-kit only writes SQL here; `src/migrations/apply.ts` applies it. Hence no credentials. */
export default defineConfig({ dialect: 'postgresql', ...folder, breakpoints: true })
