import type pg from 'pg'
import { type Actor, systemActor } from '../../src/catalog/audit/entries.ts'
import { ReplicaList } from '../../src/catalog/changes/replicas.ts'
import type { Registration } from '../../src/catalog/databases/registration.ts'
import { DatabaseRegistry } from '../../src/catalog/databases/registry.ts'
import type { Validation } from '../../src/catalog/databases/validations.ts'
import { VALIDATION } from '../../src/catalog/jobs/kinds.ts'
import { claimJobs } from '../../src/catalog/jobs/queue.ts'
import { CatalogStore } from '../../src/catalog/store.ts'
import { insertTenant, type Tenant } from '../../src/catalog/tenants.ts'
import { Vault } from '../../src/catalog/vault.ts'
import { generateMasterKey, type MasterKey, parseMasterKey } from '../../src/crypto/key-source.ts'
import { Keyring } from '../../src/crypto/keyring.ts'
import { createLifecycle } from '../../src/health/states.ts'
import { newId } from '../../src/lib/ids.ts'
import { connectClient, createPool, type ServerAddress } from '../../src/lib/postgres/pg.ts'
import { Secret } from '../../src/lib/secret.ts'
import { applyMigrations } from '../../src/migrations/apply.ts'
import { migrationsFolder, readMigrations } from '../../src/migrations/files.ts'
import { createDatabase, createTemplate, superuserUrl } from '../support/database.ts'

/** A busy machine may take seconds to lend a connection to each of many writers. */
const LIMITS = { connectTimeoutMs: 30_000, statementTimeoutMs: 30_000 }

export const operator: Actor = { type: 'operator', id: 'op-1', requestId: 'req-1', address: '192.0.2.1' }
export const health = systemActor('health')

export interface TestCatalog {
  readonly database: string
  readonly store: CatalogStore
  readonly masterKey: MasterKey
  readonly keyring: Keyring
  readonly vault: Vault
  readonly registry: DatabaseRegistry
  connect(): Promise<pg.Client>
  addTenant(code: string, more?: { name?: string; parentId?: string }): Promise<Tenant>
  register(tenantId: string, more?: Partial<Registration>): ReturnType<DatabaseRegistry['put']>
  /** Claims due validations, as a replica does. */
  claimValidations(limit: number): Promise<Validation[]>
  close(): Promise<void>
}

/** A new migrated catalog with a vault and a registry. Three failures make a database inactive. */
export async function openCatalog(): Promise<TestCatalog> {
  const database = await createDatabase({ template: await createTemplate('catalog', migrate) })
  return openParts(database, addressOf(superuserUrl(database)))
}

/** The same parts for any address, even if it leads to no migrated catalog. */
export async function openParts(database: string, address: ServerAddress): Promise<TestCatalog> {
  const pool = createPool(address, { ...LIMITS, max: 8, idleTimeoutMs: 10_000 })
  const store = new CatalogStore(pool)
  const masterKey = parseMasterKey(generateMasterKey())
  const keyring = new Keyring(masterKey)
  const vault = new Vault(store, keyring, { max: 100 })
  const registry = new DatabaseRegistry({
    store,
    vault,
    lifecycle: createLifecycle({ failuresToInactive: 3 }),
  })
  return {
    ...{ database, store, masterKey, keyring, vault, registry },
    connect: () => connectClient(address, LIMITS),
    addTenant: (code, more) =>
      store.transaction((tx) => insertTenant(tx, { code, name: code, ...more }, operator)),
    register: (tenantId, more) =>
      store.transaction((tx) =>
        registry.put(tx, { tenantId, registration: registration(more), actor: operator }),
      ),
    claimValidations: (limit) => claimValidations({ store, registry }, limit),
    close: () => pool.end(),
  }
}

async function claimValidations(
  { store, registry }: Pick<TestCatalog, 'store' | 'registry'>,
  limit: number,
): Promise<Validation[]> {
  const claimed = await claimJobs(store.db, {
    ...{ kind: VALIDATION, knows: [], replicaId: newId() },
    ...{ limit, leaseMs: 60_000 },
  })
  const found = await Promise.all(claimed.map((job) => registry.validationOf(job)))
  return found.filter((each) => each !== null)
}

/** A replica that needs no connections. */
export function replicaWithoutPools(store: CatalogStore, replicaId: string): ReplicaList {
  const share = { total: { max: 0, maxPerServer: 0 }, isWithin: () => true, grant: () => undefined }
  return new ReplicaList({ store, replicaId, share })
}

export function registration(more: Partial<Registration> = {}): Registration {
  return {
    connectionString: new Secret('postgresql://owner:s3cret-pw@db.example.com:6543/acme_db'),
    sslMode: 'verify-full',
    caCertificate: null,
    poolSize: 10,
    idleTimeoutSeconds: 30,
    connectionTimeoutSeconds: 5,
    applyMigrations: true,
    ...more,
  }
}

export function addressOf(text: string): ServerAddress {
  const url = new URL(text)
  return {
    host: url.hostname,
    port: Number(url.port || 5432),
    database: url.pathname.slice(1),
    user: decodeURIComponent(url.username),
    password: async () => decodeURIComponent(url.password),
    sslMode: 'disable',
    caCertificate: null,
    applicationName: 'freehold-test',
    lookup: null,
  }
}

async function migrate(url: string): Promise<void> {
  const client = await connectClient(addressOf(url), LIMITS)
  try {
    const migrations = await readMigrations(migrationsFolder('catalog'), 'catalog')
    await applyMigrations(client, migrations, { lockTimeoutMs: 5000 })
  } finally {
    await client.end()
  }
}
