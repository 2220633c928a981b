import { afterAll, expect, test } from 'vitest'
import { applyMigrations } from '../../src/migrations/apply.ts'
import { migrationsFolder, readMigrations } from '../../src/migrations/files.ts'
import { createDatabase, dropAll, query, superuserUrl } from '../support/database.ts'
import { withClient } from '../support/tenant-database.ts'

afterAll(dropAll)

test('pending work in a catalog of the previous release continues as jobs', async () => {
  const url = superuserUrl(await createDatabase())
  const migrations = await readMigrations(migrationsFolder('catalog'), 'catalog')
  const before = migrations.filter(({ id }) => id < '0011')
  await withClient(url, (client) => applyMigrations(client, before, { lockTimeoutMs: 5_000 }))
  await query(
    url,
    `INSERT INTO tenants (id, code, name, auth_config)
     SELECT gen_random_uuid(), 't-' || n, 'T', '{}' FROM generate_series(1, 2) n;
     INSERT INTO tenant_databases (id, tenant_id, slot, host, port, database_name, user_name, ssl_mode,
       sealed_connection_string, pool_size, idle_timeout_seconds, connection_timeout_seconds, apply_migrations,
       status, validation_requested, next_attempt_at)
     SELECT gen_random_uuid(), id, 'current', 'h', 1, code, 'u', 'disable', '\\x00', 1, 1, 1, true,
       CASE code WHEN 't-1' THEN 'failed' ELSE 'active' END, code = 't-1', now() + interval '5 minutes' FROM tenants;
     INSERT INTO encryption_rotations (id, key_id, total) VALUES (gen_random_uuid(), 'abcd', 3)`,
  )
  await withClient(url, (client) => applyMigrations(client, migrations, { lockTimeoutMs: 5_000 }))
  const jobs = await query(
    url,
    `SELECT kind, status, needs, attempts, due_at > now() + interval '4 minutes' AS waits,
            (tenant_id, subject) IN (SELECT tenant_id, id::text FROM tenant_databases WHERE status = 'failed') AS "isEntry",
            subject = (SELECT id::text FROM encryption_rotations) AS "isRotation", substr(id::text, 15, 1) AS version
       FROM jobs ORDER BY kind DESC`,
  )
  expect(jobs).toEqual([
    {
      ...{ kind: 'validation', status: 'queued', needs: [], attempts: 0, waits: true },
      ...{ isEntry: true, isRotation: false, version: '7' },
    },
    expect.objectContaining({
      ...{ kind: 'key-rotation', status: 'queued', needs: ['primary-key:abcd'], waits: false },
      ...{ isRotation: true },
    }),
  ])
})
