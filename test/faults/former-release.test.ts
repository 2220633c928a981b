import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { applyMigrations } from '../../src/migrations/apply.ts'
import { migrationsFolder, readMigrations } from '../../src/migrations/files.ts'
import { tenantMigrations } from '../support/application.ts'
import { dropAll, query } from '../support/database.ts'
import { createStage, type Stage } from '../support/gateway.ts'
import { withClient } from '../support/tenant-database.ts'
import { PLACES, startProcess } from './support.ts'

/** The last migration of the catalog that the release before lineages knew. */
const LAST_OF_FORMER = '0009'
const REPLICA = '01900000-0000-7000-8000-0000000000aa'

let stage: Stage

/** Leaves both databases as the release before lineages had them. */
async function makeFormer({ catalogUrl, sharedUrl }: Stage): Promise<void> {
  const catalog = await readMigrations(migrationsFolder('catalog'), 'catalog')
  const known = catalog.filter(({ id }) => id.slice(0, 4) <= LAST_OF_FORMER)
  const tenant = (await tenantMigrations()).filter(({ former }) => former.length > 0)
  const limits = { lockTimeoutMs: 10_000 }
  await withClient(catalogUrl, (client) => applyMigrations(client, known, limits))
  await withClient(sharedUrl, (client) => applyMigrations(client, tenant, limits))
  const former = new Map(tenant.flatMap((each) => each.former).map(({ id, hash }) => [id, hash]))
  for (const url of [catalogUrl, sharedUrl]) {
    await query(
      url,
      `ALTER TABLE public.freehold_migrations DROP CONSTRAINT freehold_migrations_pkey, DROP COLUMN lineage`,
    )
  }
  await query(sharedUrl, 'DELETE FROM public.freehold_migrations')
  for (const [id, hash] of former)
    await query(sharedUrl, `INSERT INTO public.freehold_migrations (id, hash) VALUES ('${id}', '${hash}')`)
}

beforeAll(async () => {
  stage = await createStage()
  await makeFormer(stage)
})
afterAll(dropAll)

describe('databases of the release before lineages', () => {
  test('are not touched while one of its replicas runs, and are carried over when the last has stopped', async () => {
    const beat = () =>
      query(
        stage.catalogUrl,
        `INSERT INTO replicas (id) VALUES ('${REPLICA}') ON CONFLICT (id) DO UPDATE SET heartbeat_at = now()`,
      )
    await beat()
    const beating = setInterval(() => void beat().catch(() => undefined), 1_000)
    const { process, caller } = await startProcess(stage)
    try {
      await process.until(/replicas of an older release are running/)
      expect((await caller.call('GET', '/readyz')).status).toBe(503)
      expect(await lineageColumns(stage.catalogUrl)).toBe(0)
      clearInterval(beating)
      await query(stage.catalogUrl, `DELETE FROM replicas WHERE id = '${REPLICA}'`)
      await vi.waitUntil(async () => (await caller.call('GET', '/readyz')).status === 200, 20_000)
      expect(await lineageColumns(stage.catalogUrl)).toBe(1)
      expect(await lineageColumns(stage.sharedUrl)).toBe(1)
      const acme = await caller.createTenant('acme-corp')
      expect((await caller.call('GET', PLACES, { token: acme.token })).status).toBe(200)
    } finally {
      clearInterval(beating)
      await process.end()
    }
  })
})

async function lineageColumns(url: string): Promise<number> {
  const [row] = await query<{ count: number }>(
    url,
    `SELECT count(*)::int AS count FROM information_schema.columns
      WHERE table_name = 'freehold_migrations' AND column_name = 'lineage'`,
  )
  return row?.count ?? -1
}
