import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { applyMigrations } from '../../src/migrations/apply.ts'
import { migrationsFolder, parseMigration, readMigrations } from '../../src/migrations/files.ts'
import { checkout } from '../support/checkout.ts'
import { createDatabase, createRole, dropAll, query, superuserUrl, urlFor } from '../support/database.ts'
import { withClient } from '../support/tenant-database.ts'

afterAll(dropAll)

test('a migration changes rows of every tenant as the guide shows it, and no row without that step', async () => {
  const guide = await readFile(join(checkout, 'docs/how-to/change-your-tables.md'), 'utf8')
  const [, printed = ''] = /```sql\n(ALTER TABLE[^`]*)```/.exec(guide) ?? []
  const update = printed.split('\n').find((line) => line.startsWith('UPDATE')) ?? ''
  const owner = await createRole()
  const database = await createDatabase({ owner: owner.name })
  const bookings = parseMigration(
    'application',
    '0000_bookings.sql',
    `CREATE TABLE bookings (tenant_id uuid, id uuid, reason text, PRIMARY KEY (tenant_id, id));
     SELECT public.freehold_protect('public.bookings')`,
  )
  const core = await readMigrations(migrationsFolder('core'), 'core')
  const apply = (...own: ReturnType<typeof parseMigration>[]) =>
    withClient(urlFor({ role: owner, database }), (client) =>
      applyMigrations(client, [...core, bookings, ...own], { lockTimeoutMs: 10_000 }),
    )
  const reasons = () => query(superuserUrl(database), 'SELECT DISTINCT reason FROM bookings')
  await apply()
  await query(
    superuserUrl(database),
    "INSERT INTO bookings SELECT gen_random_uuid(), gen_random_uuid(), '' FROM generate_series(1, 3)",
  )
  const bare = parseMigration('application', '0001_bare.sql', update)
  await apply(bare)
  expect(await reasons()).toEqual([{ reason: '' }])
  await apply(bare, parseMigration('application', '0002_printed.sql', printed))
  expect(await reasons()).toEqual([{ reason: 'unknown' }])
  const [forced] = await query(
    superuserUrl(database),
    "SELECT relforcerowsecurity AS forced FROM pg_class WHERE relname = 'bookings'",
  )
  expect(forced).toEqual({ forced: true })
})
