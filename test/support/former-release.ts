import { applyMigrations } from '../../src/migrations/apply.ts'
import { migrationsFolder, readMigrations } from '../../src/migrations/files.ts'
import { tenantMigrations } from './application.ts'
import { query } from './database.ts'
import { withClient } from './tenant-database.ts'

/** The last catalog migration of the release before lineages. */
const LAST_OF_FORMER = '0009'
const LIMITS = { lockTimeoutMs: 10_000 }

/** Turns an empty database into the catalog of the release before lineages. */
export async function makeFormerCatalog(url: string): Promise<void> {
  const migrations = await readMigrations(migrationsFolder('catalog'), 'catalog')
  const known = migrations.filter(({ id }) => id.slice(0, 4) <= LAST_OF_FORMER)
  await withClient(url, (client) => applyMigrations(client, known, LIMITS))
  await forgetLineages(url)
}

/** Turns an empty database into a tenant database of the release before lineages. */
export async function makeFormerTenantDatabase(url: string): Promise<void> {
  const migrations = (await tenantMigrations()).filter(({ former }) => former.length > 0)
  await withClient(url, (client) => applyMigrations(client, migrations, LIMITS))
  await forgetLineages(url)
  await query(url, 'DELETE FROM public.freehold_migrations')
  const former = new Map(migrations.flatMap((each) => each.former).map(({ id, hash }) => [id, hash]))
  for (const [id, hash] of former)
    await query(url, `INSERT INTO public.freehold_migrations (id, hash) VALUES ('${id}', '${hash}')`)
}

/** How many rows of a journal have a lineage. Null if the journal has no such column. */
export async function rowsWithLineage(url: string): Promise<number | null> {
  const [row] = await query<{ known: boolean; count: number }>(
    url,
    `SELECT bool_or(to_jsonb(m) ? 'lineage') AS known, count(*)::int AS count FROM public.freehold_migrations m`,
  )
  return row?.known === true ? row.count : null
}

async function forgetLineages(url: string): Promise<void> {
  await query(
    url,
    `ALTER TABLE public.freehold_migrations DROP CONSTRAINT freehold_migrations_pkey, DROP COLUMN lineage;
     ALTER TABLE public.freehold_migrations ADD PRIMARY KEY (id)`,
  )
}
