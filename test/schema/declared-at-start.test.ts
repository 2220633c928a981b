import { afterAll, beforeAll, expect, test } from 'vitest'
import { prepareShared } from '../../src/gateway/start/prepare-shared.ts'
import { type Migration, readTenantMigrations } from '../../src/migrations/files.ts'
import { property, tenantMigrations } from '../support/application.ts'
import { createDatabase, createRole, dropAll, query, urlFor } from '../support/database.ts'
import { createMigrated } from '../support/migrated.ts'
import { addressOf } from '../support/tenant-database.ts'

afterAll(dropAll)

interface Declared {
  readonly tenantTables: readonly string[]
  readonly referenceTables: readonly string[]
}

let url: string
beforeAll(async () => {
  const role = await createRole()
  url = urlFor({ role, database: await createMigrated(role.name, property) })
})

const start = async (tables: Declared, drop: (migration: Migration) => boolean = () => false) =>
  prepareShared({
    serving: addressOf(url),
    owner: null,
    migrations: (await tenantMigrations()).filter((migration) => !drop(migration)),
    migrate: true,
    log: { info: () => undefined, warn: () => undefined },
    tables,
  })
const refusal = (message: RegExp) => ({
  name: 'StartRefusedError',
  code: 'SCHEMA_DRIFTED',
  message: expect.stringMatching(message),
})

test('a start is refused if a declared table is missing, and continues if all exist', async () => {
  await start(property)
  const more = { tenantTables: [...property.tenantTables, 'bookings'], referenceTables: ["country's"] }
  const words =
    /^SHARED_DATABASE_URL: no migration has created "bookings", "country's", .* Run: freehold schema check$/
  await expect(start(more)).rejects.toMatchObject(refusal(words))
  await query(url, 'CREATE SCHEMA other; CREATE TABLE other.bookings (n int)')
  await expect(start(more)).rejects.toMatchObject(refusal(words))
})

test('a start is refused if a table is not declared, unless a newer release created it', async () => {
  const fewer = { ...property, tenantTables: property.tenantTables.filter((name) => name !== 'places') }
  await expect(start(fewer)).rejects.toMatchObject(
    refusal(/^SHARED_DATABASE_URL: it has "places", which the application does not declare\./),
  )
  const [last] = (await tenantMigrations()).filter(({ lineage }) => lineage === 'application').slice(-1)
  await start(fewer, ({ id }) => id === last?.id)
  await query(url, 'CREATE TABLE freehold_later (n int)')
  // A table of a later release of the core. This release does not know its name; the audit of isolation still checks it.
  await expect(start(property)).rejects.toMatchObject(
    refusal(/a rule of isolation is broken: .* at freehold_later$/),
  )
})

test('only an application without tables starts without a folder of migrations', async () => {
  const nowhere = { migrations: '/nowhere/at/all', tenantTables: [], referenceTables: [] }
  const migrations = await readTenantMigrations(nowhere)
  expect(new Set(migrations.map(({ lineage }) => lineage))).toEqual(new Set(['core']))
  await expect(readTenantMigrations({ ...nowhere, referenceTables: ['countries'] })).rejects.toMatchObject({
    code: 'MIGRATIONS_MISSING',
    message: 'no migrations in /nowhere/at/all. Run: freehold schema generate --name first',
  })
  const role = await createRole()
  const empty = urlFor({ role, database: await createDatabase({ owner: role.name }) })
  await prepareShared({
    ...{ serving: addressOf(empty), owner: null, migrations, migrate: true, tables: nowhere },
    log: { info: () => undefined, warn: () => undefined },
  })
})

test('a start that fails because of a grant on all tables prints the statement that repairs it', async () => {
  const [owner, serving] = [await createRole(), await createRole()]
  const database = await createMigrated(owner.name, property)
  const ownUrl = urlFor({ role: owner, database })
  await query(
    ownUrl,
    `CREATE TABLE countries (code text PRIMARY KEY); SELECT public.freehold_share('public.countries');
     GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ${serving.name};
     REVOKE ALL ON public.residence FROM ${serving.name};
     REVOKE INSERT, UPDATE, DELETE ON public.freehold_migrations, public.freehold_here FROM ${serving.name}`,
  )
  const prepare = async () =>
    prepareShared({
      ...{ serving: addressOf(urlFor({ role: serving, database })), owner: addressOf(ownUrl), migrate: true },
      migrations: await tenantMigrations(),
      log: { info: () => undefined, warn: () => undefined },
      tables: { ...property, referenceTables: ['countries'] },
    })
  const mend = "SELECT public.freehold_share('public.countries')"
  await expect(prepare()).rejects.toThrow(`reference-writable at countries. As its owner: ${mend}`)
  await query(ownUrl, mend)
  await prepare()
})
