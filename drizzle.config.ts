import { defineConfig } from 'drizzle-kit'

const kind = process.env.FREEHOLD_SCHEMA
if (kind !== 'catalog' && kind !== 'tenant') throw new Error('FREEHOLD_SCHEMA must be "catalog" or "tenant"')

/** drizzle-kit only writes SQL here; `src/migrations/apply.ts` applies it. Hence no credentials. */
export default defineConfig({
  dialect: 'postgresql',
  schema: `./src/${kind}/*schema.ts`,
  out: `./${kind}-migrations`,
  breakpoints: true,
})
