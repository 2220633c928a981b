import { setTimeout as delay } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { afterAll, describe, expect, it } from 'vitest'
import type { DatabaseEntry } from '../../src/catalog/databases/entry.ts'
import { DatabaseRegistry } from '../../src/catalog/databases/registry.ts'
import type { SchemaVersion } from '../../src/catalog/schema.ts'
import { tenantDatabases } from '../../src/catalog/schema.ts'
import { fail } from '../../src/errors.ts'
import { HealthMonitor } from '../../src/health/monitor.ts'
import { newId } from '../../src/lib/ids.ts'
import { readIdentity } from '../../src/lib/postgres/database-identity.ts'
import { applyMigrations } from '../../src/migrations/apply.ts'
import type { AddressBook } from '../../src/pools/addresses.ts'
import { ConnectionBudget } from '../../src/pools/budget.ts'
import { property, tenantMigrations } from '../support/application.ts'
import { createDatabase, createRole, dropAll, query, urlFor } from '../support/database.ts'
import { startFakeServer } from '../support/fake-server.ts'
import { addressOf, createTenantDatabase, moveIn, withClient } from '../support/tenant-database.ts'

import { openCatalog } from './catalog.ts'

afterAll(dropAll)

it('a catalog that cannot record a round is not mistaken for a database that does not answer', async () => {
  const home = await createTenantDatabase()
  const tenantId = await moveIn(home.url)
  const { systemIdentifier, databaseOid } = await withClient(home.url, readIdentity)
  const entry = {
    ...{ id: 'd', tenantId, status: 'active', connectionTimeoutSeconds: 5, moveRequired: false },
    ...{ systemIdentifier, databaseOid, tenantEpoch: 1 },
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
    migrations: [],
    tables: property,
    forbidden: [],
    log: { warn: (_fields, message) => lines.push(message) },
    onTransition: (from, to) => transitions.push(`${from} ${to}`),
    onAnswer: () => undefined,
    onMismatch: () => undefined,
  })
  await monitor.sweep()
  expect({ results, lines, transitions }).toEqual({
    results: [{}],
    lines: ['health result not recorded'],
    transitions: [],
  })
})

/**
 * Databases that were validated and not checked for a while, on a server that refuses connections, and the health rounds of a
 * gateway.
 */
async function refusedDatabases(count: number) {
  const catalog = await openCatalog()
  await catalog.vault.init()
  for (let n = 0; n < count; n += 1) await catalog.register((await catalog.addTenant(`t-${n}`)).id)
  const found = {
    serverVersion: '18.4',
    schemaVersion: { core: '1', application: '1' },
    systemIdentifier: '7',
    databaseOid: 5,
  }
  for (const entry of await catalog.claimValidations(count)) {
    await catalog.registry.finishValidation(entry, { ok: true, ...found, validatedAs: 'tenant-database' })
  }
  const forgetChecks = async () => {
    const lastCheckedAt = sql`now() - interval '1 minute'`
    await catalog.store.db.update(tenantDatabases).set({ lastCheckedAt })
  }
  await forgetChecks()
  const silent = await startFakeServer('hang')
  await silent.close()
  const url = silent.urlFor('u', 'p', 'd')
  const monitorWith = (registry: Partial<DatabaseRegistry>) =>
    new HealthMonitor({
      registry: registry as DatabaseRegistry,
      addresses: { addressOf: () => addressOf(url) } as unknown as AddressBook,
      budget: new ConnectionBudget({ max: 8, maxPerServer: 8, victims: () => [] }),
      ...{ migrations: [], tables: property, forbidden: [], log: { warn: () => undefined } },
      ...{ onTransition: () => undefined, onAnswer: () => undefined, onMismatch: () => undefined },
    })
  const failures = async () => {
    const { consecutiveFailures } = tenantDatabases
    const rows = await catalog.store.db.select({ failures: consecutiveFailures }).from(tenantDatabases)
    return rows.map((row) => row.failures)
  }
  return { catalog, monitorWith, failures, forgetChecks }
}

it('a round ends, also the first and a long one: no database is checked twice', async () => {
  const DATABASES = 9
  const { catalog, monitorWith, failures, forgetChecks } = await refusedDatabases(DATABASES)
  const { claimDueHealthChecks, recordHealth } = DatabaseRegistry.prototype
  let claims = 0
  let tookMs = 0
  const monitor = monitorWith({
    claimDueHealthChecks: async (...request: Parameters<typeof claimDueHealthChecks>) => {
      claims += 1
      await delay(tookMs)
      return claims > 10 ? [] : claimDueHealthChecks.apply(catalog.registry, request)
    },
    recordHealth: (...told: Parameters<typeof recordHealth>) => recordHealth.apply(catalog.registry, told),
  })
  await monitor.sweep()
  expect(await failures()).toEqual(Array(DATABASES).fill(1))
  expect(claims).toBe(2)
  // Longer than half the pause between two short rounds.
  tookMs = 400
  await forgetChecks()
  await monitor.sweep()
  expect(await failures()).toEqual(Array(DATABASES).fill(2))
  await catalog.close()
})

it('gateways that start together count one failure of a database, however many they are', async () => {
  const { catalog, monitorWith, failures } = await refusedDatabases(1)
  for (let started = 0; started < 3; started += 1) await monitorWith(catalog.registry).sweep()
  expect(await failures()).toEqual([1])
  await catalog.close()
})

it('a round without connections ends, even with more databases than it can skip while a claim lasts', async () => {
  const due = Array.from({ length: 24 }, (_, n) => ({ id: `d-${n}`, status: 'active' }))
  let claims = 0
  const registry = {
    // The round checks no database, so all are due again as soon as their claims lapse.
    claimDueHealthChecks: async (_age: unknown, limit: number) => {
      if (claims > 10) return []
      claims += 1
      return Array.from({ length: limit }, () => due.push(due.shift() as never) && due.at(-1))
    },
  }
  const monitor = new HealthMonitor({
    registry: registry as unknown as DatabaseRegistry,
    addresses: { addressOf: () => addressOf('postgresql://u:p@127.0.0.1:1/none') } as unknown as AddressBook,
    budget: {
      waiting: { add: () => undefined, remove: () => undefined },
    } as unknown as ConnectionBudget,
    ...{ migrations: [], tables: property, forbidden: [], log: { warn: () => undefined } },
    ...{ onTransition: () => undefined, onAnswer: () => undefined, onMismatch: () => undefined },
  })
  await monitor.sweep()
  expect(claims).toBe(4)
})

describe('a database that an older release validated and that answers again', () => {
  /** Migrated by a release with fewer tables, with one tenant in it. */
  async function createOlderHome() {
    const role = await createRole()
    const url = urlFor({ role, database: await createDatabase({ owner: role.name }) })
    const migrations = await tenantMigrations()
    const { versions } = await withClient(url, (client) =>
      applyMigrations(client, migrations.slice(0, 2), { lockTimeoutMs: 10_000 }),
    )
    const { core = null, application = null } = versions
    const tenantId = newId()
    await query(url, `INSERT INTO residence (tenant_id, epoch) VALUES ('${tenantId}', 1)`)
    return { url, migrations, version: { core, application }, tenantId }
  }

  async function roundOver(status: 'active' | 'inactive', known: (version: SchemaVersion) => unknown) {
    const { url, migrations, version, tenantId } = await createOlderHome()
    const identity = await withClient(url, readIdentity)
    const entry = {
      ...{ id: 'd', tenantId, status, connectionTimeoutSeconds: 5, moveRequired: false },
      ...{ ...identity, schemaVersion: known(version), tenantEpoch: 1 },
    }
    const results: unknown[] = []
    const registry = {
      claimDueHealthChecks: async () => [entry],
      recordHealth: async (_claimed: DatabaseEntry, result: unknown) => void results.push(result),
      reactivate: async (_claimed: DatabaseEntry, found: SchemaVersion) => void results.push({ back: found }),
    }
    const monitor = new HealthMonitor({
      registry: registry as unknown as DatabaseRegistry,
      addresses: { addressOf: () => addressOf(url) } as unknown as AddressBook,
      budget: new ConnectionBudget({ max: 2, maxPerServer: 2, victims: () => [] }),
      ...{ migrations, tables: property, forbidden: [], log: { warn: () => undefined } },
      ...{ onTransition: () => undefined, onAnswer: () => undefined, onMismatch: () => undefined },
    })
    await monitor.sweep()
    return { results, version }
  }

  it('serves again as before, without the values that the release did not know', async () => {
    const { results, version } = await roundOver('inactive', (valid) => valid)
    expect(results).toEqual([{ back: version }])
  })

  it('serves again even if its schema has changed, and missing migrations are reported', async () => {
    const { results, version } = await roundOver('inactive', (valid) => ({ ...valid, core: '0000_other' }))
    expect(results).toEqual([{ back: version }])
  })

  it('has its schema read only if that is unknown', async () => {
    const unknown = await roundOver('active', () => null)
    expect(unknown.results).toEqual([{ schemaVersion: unknown.version }])
    expect((await roundOver('active', (valid) => valid)).results).toEqual([{}])
  })
})
