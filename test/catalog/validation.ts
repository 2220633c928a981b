import type { Validation } from '../../src/catalog/databases/validations.ts'
import type { ValidationDeps } from '../../src/databases/validate-database.ts'
import { ConnectionBudget } from '../../src/pools/budget.ts'
import { property, tenantMigrations } from '../support/application.ts'
import { sealOf } from '../support/seals.ts'
import { addressOf, createTenantDatabase, moveIn } from '../support/tenant-database.ts'

/** A validation of a tenant database with enough connections. The test provides `store` and `registry`. */
export async function validationOf(
  parts: { store: unknown; registry: unknown },
  onOutcome: (outcome: string) => void,
): Promise<{ url: string; deps: ValidationDeps; entry: Validation }> {
  const { url } = await createTenantDatabase()
  const address = addressOf(url)
  const migrations = await tenantMigrations()
  const deps = {
    ...parts,
    addresses: { addressOf: () => address, validatedAddressOf: () => address },
    budget: new ConnectionBudget({ max: 4, maxPerServer: 4, victims: () => [] }),
    ...{ sealOf, shared: address, migrations: () => migrations, tables: property, forbidden: [] },
    ...{ timeoutMs: 8_000, log: { info: () => undefined, warn: () => undefined } },
    announcements: { lowestOfTenant: () => new Map() },
    onOutcome,
  } as unknown as ValidationDeps
  const tenantId = await moveIn(url)
  const entry = { id: 'd', tenantId, connectionTimeoutSeconds: 5, applyMigrations: false } as Validation
  return { url, deps, entry }
}
