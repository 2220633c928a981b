import { withTenantDatabase } from '../../databases/tenant-connection.ts'
import type { PhysicalIdentity } from '../../lib/postgres/pg.ts'
import { migrationsFolder, readMigrations, readTenantMigrations } from '../../migrations/files.ts'
import { sealResidents } from '../../residence/seal-residents.ts'
import type { GatewayOptions } from '../gateway-options.ts'
import type { Parts } from '../parts/parts.ts'
import { sealFormerAuditLog } from '../seal-audit.ts'
import { prepareCatalog } from './prepare-catalog.ts'
import { withClient } from './prepare-schema.ts'
import { prepareShared } from './prepare-shared.ts'

interface PreparedDatabases {
  readonly catalog: PhysicalIdentity
  readonly shared: PhysicalIdentity
  /** The shared database lacks migrations of this release. */
  readonly isBehind: boolean
}

/**
 * Prepares the databases, and reads everything from the catalog that this process needs before it serves. After a failure it may be
 * called again.
 * @throws StartRefusedError if a retry cannot help
 */
export async function openParts(options: GatewayOptions, parts: Parts): Promise<void> {
  const { databases, log } = options
  const { store, vault } = parts.catalog
  const { signingKeys, revocations } = parts.identity
  const prepared = await prepareDatabases(options, parts)
  parts.ownDatabases.splice(0, Number.POSITIVE_INFINITY, ...ownDatabasesOf(prepared, databases, parts))
  parts.pools.shared.learn(prepared.shared)
  await vault.init()
  // A shared database that lacks migrations may lack the column for seals. The run that migrates it also seals its residences.
  if (!prepared.isBehind) await sealSharedResidents(options, parts)
  await signingKeys.init()
  await sealFormerAuditLog({ store, vault, log })
  await parts.changes.follower.start()
  // The follower reports only later changes, so read again what may have changed since the reads above.
  await Promise.all([signingKeys.reload(), revocations.init(), parts.masterKeys.check()])
  parts.sessions.schemas.setShared({ isBehind: prepared.isBehind })
}

async function prepareDatabases(
  { application, databases, settings, log }: GatewayOptions,
  parts: Parts,
): Promise<PreparedDatabases> {
  const { migrateOnStart } = settings
  const catalogMigrations = await readMigrations(migrationsFolder('catalog'), 'catalog')
  const tenantMigrations = await readTenantMigrations(application)
  parts.catalog.release.setMigrations(tenantMigrations)
  const catalog = await prepareCatalog({
    migrate: migrateOnStart !== 'false',
    serving: databases.catalog,
    owner: databases.catalogOwner,
    migrations: catalogMigrations,
    log,
  })
  const { identity: shared, isBehind } = await prepareShared({
    migrate: migrateOnStart === 'true',
    serving: databases.shared,
    owner: databases.sharedOwner,
    migrations: tenantMigrations,
    tables: application,
    log,
  })
  return { catalog, shared, isBehind }
}

function ownDatabasesOf(
  { catalog, shared }: PreparedDatabases,
  databases: GatewayOptions['databases'],
  { pools, catalog: { sealOf } }: Parts,
): Parts['ownDatabases'] {
  const connection = {
    addresses: pools.addresses,
    budget: pools.budget,
    shared: pools.shared.ownerAddress,
    sealOf,
  }
  return [
    { ...catalog, lend: (fn) => withClient(databases.catalog, fn) },
    { ...shared, lend: (fn) => withTenantDatabase(connection, null, fn) },
  ]
}

/** Seals the residences of an older release. The migration that added seals could not do so, because it has no keys. */
async function sealSharedResidents({ databases, log }: GatewayOptions, { catalog }: Parts): Promise<void> {
  const owner = databases.sharedOwner ?? databases.shared
  const sealed = await withClient(owner, (client) => sealResidents(client, catalog.sealOf))
  if (sealed > 0) log.info({ tenants: sealed }, 'residences of the shared database sealed')
}
