import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { newId } from '../../src/lib/ids.ts'
import { applyMigrations } from '../../src/migrations/apply.ts'
import { findIsolationViolations } from '../../src/residence/isolation.ts'
import { sealResidents } from '../../src/residence/seal-residents.ts'
import { property, tenantMigrations } from '../support/application.ts'
import {
  createDatabase,
  createRole,
  dropAll,
  query,
  superuserUrl,
  type TestRole,
  urlFor,
} from '../support/database.ts'
import { entering, sealOf } from '../support/seals.ts'
import { withClient } from '../support/tenant-database.ts'

// A shared database of the previous release with tenants and rows, whose serving role has all rights by default.

const acme = newId()
let owner: TestRole
let serving: TestRole
let database: string
const url = (role: TestRole) => urlFor({ role, database })
const OPTIONS = { lockTimeoutMs: 10_000 }

beforeAll(async () => {
  owner = await createRole()
  serving = await createRole()
  database = await createDatabase({ owner: owner.name })
  await query(
    superuserUrl(database),
    `ALTER DEFAULT PRIVILEGES FOR ROLE ${owner.name} GRANT ALL ON TABLES TO ${serving.name}`,
  )
  const migrations = await tenantMigrations()
  const isNew = ({ lineage, id }: { lineage: string; id: string }) => lineage === 'core' && id >= '0003'
  await withClient(url(owner), async (client) => {
    await applyMigrations(
      client,
      migrations.filter((each) => !isNew(each)),
      OPTIONS,
    )
    await client.query(
      `INSERT INTO residence (tenant_id, epoch) SELECT gen_random_uuid(), 1 FROM generate_series(1, 2500);
       INSERT INTO residence (tenant_id, epoch) VALUES ('${acme}', 7), (gen_random_uuid(), ${2n ** 62n});
       BEGIN; SELECT set_config('app.tenant_id', '${acme}', true);
       INSERT INTO places (tenant_id, id, name) VALUES ('${acme}', gen_random_uuid(), 'Mill'); COMMIT`,
    )
    await applyMigrations(client, migrations, OPTIONS)
  })
})
afterAll(dropAll)

const placesOf = (role: TestRole) =>
  withClient(url(role), async (client) => {
    await client.query('BEGIN')
    await client.query(`${entering(acme, 7)}, public.freehold_enter(7, true)`)
    return (await client.query<{ name: string }>('SELECT name FROM places')).rows
  })

describe('after the migration', () => {
  test('every table is protected by the seal, also an application’s, and the serving role has no excess right', async () => {
    await withClient(url(serving), async (client) => {
      expect(await findIsolationViolations(client, { everything: true, tables: property })).toEqual([])
    })
  })

  test.each(['SELECT FROM residence', 'DELETE FROM freehold_migrations', 'TRUNCATE users CASCADE'])(
    'the serving role may not: %s',
    async (text) => {
      await expect(query(url(serving), text)).rejects.toMatchObject({ code: '42501' })
    },
  )

  test('no tenant can connect before seals exist; afterwards every tenant can, and has its rows', async () => {
    await expect(placesOf(serving)).rejects.toMatchObject({ code: 'FH001' })
    await withClient(url(owner), async (client) => {
      // The residence without a tenant has the highest possible epoch.
      expect(await sealResidents(client, sealOf)).toBe(2501)
      expect(await sealResidents(client, sealOf)).toBe(0)
    })
    expect(await placesOf(serving)).toEqual([{ name: 'Mill' }])
  })

  test('with one role for everything all tenants are served too', async () => {
    expect(await placesOf(owner)).toEqual([{ name: 'Mill' }])
  })
})
