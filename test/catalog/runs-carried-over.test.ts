import { afterAll, expect, test } from 'vitest'
import { applyMigrations } from '../../src/migrations/apply.ts'
import { migrationsFolder, readMigrations } from '../../src/migrations/files.ts'
import { createDatabase, dropAll, query, superuserUrl } from '../support/database.ts'
import { withClient } from '../support/tenant-database.ts'

afterAll(dropAll)

test('runs of a catalog of the previous release have one wave, with a database for each job', async () => {
  const url = superuserUrl(await createDatabase())
  const migrations = await readMigrations(migrationsFolder('catalog'), 'catalog')
  const before = migrations.filter(({ id }) => id < '0015')
  await withClient(url, (client) => applyMigrations(client, before, { lockTimeoutMs: 5_000 }))
  await query(
    url,
    `INSERT INTO migration_runs (id, status, target, total, done, failed, finished_at) VALUES
       ('01900000-0000-7000-8000-000000000001', 'failed', '{}', 4, 2, 1, now()),
       ('01900000-0000-7000-8000-000000000002', 'running', '{}', 9, 0, 0, NULL);
     INSERT INTO jobs (id, kind, subject, run_id, status, error_code, error_message, result, leased_until, finished_at)
     SELECT ('01900000-0000-7000-8000-00000000001' || n)::uuid, 'migration',
            CASE n WHEN 1 THEN 'shared' ELSE '01900000-0000-7000-8000-00000000002' || n END,
            '01900000-0000-7000-8000-000000000002', s, CASE s WHEN 'failed' THEN 'MIGRATION_FAILED' END,
            CASE s WHEN 'failed' THEN 'A migration failed' END,
            CASE s WHEN 'succeeded' THEN '{"schemaVersion": {"core": "0001_x"}}'::jsonb END,
            CASE s WHEN 'running' THEN now() END, CASE WHEN s IN ('running', 'queued') THEN NULL ELSE now() END
       FROM unnest(ARRAY['succeeded', 'failed', 'running', 'queued', 'cancelled']) WITH ORDINALITY AS j (s, n)`,
  )
  await withClient(url, (client) => applyMigrations(client, migrations, { lockTimeoutMs: 5_000 }))
  expect(await query(url, 'SELECT status, total, waves FROM migration_runs ORDER BY id')).toEqual([
    { status: 'failed', total: 3, waves: [{ size: 3, done: 2, failed: 1 }] },
    { status: 'running', total: 5, waves: [{ size: 5, done: 0, failed: 0 }] },
  ])
  const members = await query<{ state: string }>(
    url,
    `SELECT m.state, m.error_code AS code, m.database_id IS NULL AS "isShared", m.job_id = m.id AS "hasJob",
            m.schema_version AS version
       FROM migration_run_databases m ORDER BY m.id`,
  )
  const row = { isShared: false, hasJob: true, version: null, code: null }
  expect(members).toEqual([
    { ...row, state: 'succeeded', isShared: true, version: { core: '0001_x' } },
    { ...row, state: 'failed', code: 'MIGRATION_FAILED' },
    { ...row, state: 'running' },
    { ...row, state: 'running' },
    { ...row, state: 'skipped', code: 'CANCELLED' },
  ])
})
