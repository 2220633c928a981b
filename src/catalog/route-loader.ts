import { and, eq } from 'drizzle-orm'
import type { Route, RouteDatabase, RouteKey, RouteLoader } from './directory.ts'
import { type ExternalId, externalIdsColumn, hasExternalId } from './external-ids.ts'
import { tenantDatabases, tenants } from './schema.ts'
import type { SealOf } from './seals.ts'
import { type CatalogStore, catalogErrors } from './store.ts'

/** Reads routes for a directory: one query over the tenant and its current database. */
export function loadRoute(store: CatalogStore, sealOf: SealOf): RouteLoader {
  return async (by) => {
    const query = store.db
      .select({ tenant: tenants, database: routeColumns, externalIds: externalIdsColumn })
      .from(tenants)
      .leftJoin(
        tenantDatabases,
        and(eq(tenantDatabases.tenantId, tenants.id), eq(tenantDatabases.slot, 'current')),
      )
      .where(conditionOf(by))
    const [row] = await catalogErrors(query)
    return row === undefined ? null : freezeRoute(row, sealOf)
  }
}

function conditionOf(by: RouteKey) {
  if ('id' in by) return eq(tenants.id, by.id)
  return 'code' in by ? eq(tenants.code, by.code) : hasExternalId(by.externalId)
}

const routeColumns = {
  id: tenantDatabases.id,
  version: tenantDatabases.rowVersion,
  status: tenantDatabases.status,
  moveRequired: tenantDatabases.moveRequired,
  host: tenantDatabases.host,
  port: tenantDatabases.port,
  databaseName: tenantDatabases.databaseName,
  userName: tenantDatabases.userName,
  applicationName: tenantDatabases.applicationName,
  sslMode: tenantDatabases.sslMode,
  caCertificate: tenantDatabases.caCertificate,
  handshake: tenantDatabases.handshake,
  poolSize: tenantDatabases.poolSize,
  idleTimeoutSeconds: tenantDatabases.idleTimeoutSeconds,
  connectionTimeoutSeconds: tenantDatabases.connectionTimeoutSeconds,
  systemIdentifier: tenantDatabases.systemIdentifier,
  databaseOid: tenantDatabases.databaseOid,
  schemaVersion: tenantDatabases.schemaVersion,
}

type DatabaseColumns = Omit<RouteDatabase, 'idleTimeoutMs' | 'connectTimeoutMs'> & {
  idleTimeoutSeconds: number
  connectionTimeoutSeconds: number
}

interface RouteRow {
  readonly tenant: typeof tenants.$inferSelect
  readonly database: DatabaseColumns | null
  readonly externalIds: readonly ExternalId[]
}

function freezeRoute({ tenant, database, externalIds }: RouteRow, sealOf: SealOf): Route {
  const { id, authConfig, ...rest } = tenant
  Object.freeze(authConfig.passwordPolicy)
  Object.freeze(authConfig.lockout)
  for (const one of externalIds) Object.freeze(one)
  return Object.freeze({
    ...{ tenantId: id, ...rest, authConfig: Object.freeze(authConfig) },
    externalIds: Object.freeze(externalIds),
    seal: sealOf({ ...tenant, tenantId: id }),
    database: database && freezeDatabase(database),
  })
}

function freezeDatabase({
  idleTimeoutSeconds,
  connectionTimeoutSeconds,
  ...rest
}: DatabaseColumns): RouteDatabase {
  const timeouts = {
    idleTimeoutMs: idleTimeoutSeconds * 1000,
    connectTimeoutMs: connectionTimeoutSeconds * 1000,
  }
  return Object.freeze({ ...rest, handshake: Object.freeze(rest.handshake), ...timeouts })
}
