import { afterAll, expect, it } from 'vitest'
import type { DatabaseEntry } from '../../src/catalog/database-entry.ts'
import type { DatabaseRegistry } from '../../src/catalog/databases.ts'
import { fail } from '../../src/errors.ts'
import { HealthMonitor } from '../../src/health/monitor.ts'
import { readIdentity } from '../../src/lib/database-identity.ts'
import type { AddressBook } from '../../src/pools/addresses.ts'
import { ConnectionBudget } from '../../src/pools/budget.ts'
import { dropAll } from '../support/database.ts'
import { addressOf, createTenantDatabase, moveIn, withClient } from '../support/tenant-database.ts'

afterAll(dropAll)

it('a catalog that takes no note of a round is not taken for a database that does not answer', async () => {
  const home = await createTenantDatabase()
  const tenantId = await moveIn(home.url)
  const { systemIdentifier, databaseOid } = await withClient(home.url, readIdentity)
  const entry = {
    ...{ id: 'd', tenantId, status: 'active', connectionTimeoutSeconds: 5, moveRequired: false },
    ...{ systemIdentifier, databaseOid },
  }
  const results: unknown[] = []
  const lines: string[] = []
  const transitions: string[] = []
  const registry = {
    claimDueHealthChecks: async () => [entry],
    recordHealth: async (_claimed: DatabaseEntry, result: unknown) => {
      results.push(result)
      throw fail('OUTCOME_UNKNOWN')
    },
  }
  const monitor = new HealthMonitor({
    registry: registry as unknown as DatabaseRegistry,
    addresses: { addressOf: () => addressOf(home.url) } as unknown as AddressBook,
    budget: new ConnectionBudget({ max: 2, maxPerServer: 2, victims: () => [] }),
    replicaId: 'r',
    migrations: [],
    forbidden: [],
    log: { warn: (_fields, message) => lines.push(message) },
    onTransition: (from, to) => transitions.push(`${from} ${to}`),
    onAnswer: () => undefined,
    onMismatch: () => undefined,
  })
  await monitor.sweep()
  expect({ results, lines, transitions }).toEqual({
    results: ['ok'],
    lines: ['health not recorded'],
    transitions: [],
  })
})
