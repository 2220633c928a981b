import { DrizzleQueryError } from 'drizzle-orm'
import pg from 'pg'
import { afterAll, expect, it } from 'vitest'
import type { DatabaseEntry } from '../../src/catalog/database-entry.ts'
import { migrationsFolder, readMigrations } from '../../src/migrations/files.ts'
import { type ValidationDeps, validateDatabase } from '../../src/operations/validate-database.ts'
import { ConnectionBudget } from '../../src/pools/budget.ts'
import { dropAll } from '../support/database.ts'
import { addressOf, createTenantDatabase, moveIn } from '../support/tenant-database.ts'

afterAll(dropAll)

it.each([
  ['is read-only after a failover', '25006'],
  ['ends a deadlock', '40P01'],
])('a catalog that %s is not taken for a fault of the database that is validated', async (_how, code) => {
  const home = await createTenantDatabase()
  const tenantId = await moveIn(home.url)
  const said = Object.assign(new pg.DatabaseError('no', 2, 'error'), { code, severity: 'ERROR' })
  const refused = new DrizzleQueryError('select', [], said)
  const written: unknown[] = []
  const address = addressOf(home.url)
  const deps = {
    store: { db: { select: () => ({ from: () => ({ where: () => Promise.reject(refused) }) }) } },
    registry: { finishValidation: async (_claim: unknown, outcome: unknown) => written.push(outcome) },
    addresses: { addressOf: () => address, homeOf: () => address },
    budget: new ConnectionBudget({ max: 4, maxPerServer: 4, victims: () => [] }),
    ...{ shared: address, migrations: await readMigrations(migrationsFolder('tenant')), forbidden: [] },
    ...{ timeoutMs: 8_000, log: { info: () => undefined, warn: () => undefined } },
    onOutcome: (outcome: string) => written.push(outcome),
  } as unknown as ValidationDeps
  const entry = { id: 'd', tenantId, connectionTimeoutSeconds: 5, applyMigrations: false } as DatabaseEntry
  await expect(validateDatabase(deps, entry)).rejects.toMatchObject({ code: 'CATALOG_UNAVAILABLE' })
  expect(written).toEqual([])
})
