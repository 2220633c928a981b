import { afterAll, expect, test } from 'vitest'
import { prepareShared } from '../../src/startup.ts'
import { tenantMigrations } from '../support/application.ts'
import { createDatabase, createRole, dropAll, query, urlFor } from '../support/database.ts'
import { addressOf } from '../support/tenant-database.ts'

afterAll(dropAll)

test('a start is refused where a declared table is not there, and goes on where all are', async () => {
  const role = await createRole()
  const database = await createDatabase({ owner: role.name })
  const url = urlFor({ role, database })
  const migrations = await tenantMigrations()
  const start = (tenantTables: string[], referenceTables: string[] = []) =>
    prepareShared({
      serving: addressOf(url),
      owner: null,
      migrations,
      migrate: true,
      log: { info: () => undefined, warn: () => undefined },
      tables: { tenantTables, referenceTables },
    })
  await start(['places'])
  await expect(start(['places', 'bookings'], ["country's"])).rejects.toMatchObject({
    name: 'StartRefusedError',
    code: 'SCHEMA_DRIFTED',
    message: expect.stringMatching(
      /^SHARED_DATABASE_URL: no migration has created "bookings", "country's", .* Run: freehold schema check$/,
    ),
  })
  await query(url, 'CREATE SCHEMA other; CREATE TABLE other.bookings (n int)')
  await expect(start(['bookings'])).rejects.toMatchObject({ code: 'SCHEMA_DRIFTED' })
})
