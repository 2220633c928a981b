import { and, eq } from 'drizzle-orm'
import { SharedValues } from '../lib/cache/shared-values.ts'
import type { Route, RouteDatabase, RouteKey, RouteLoader } from './directory.ts'
import { type ExternalId, externalIdsColumn, hasExternalId } from './external-ids.ts'
import { tenantDatabases, tenants } from './schema.ts'
import type { SealOf } from './seals.ts'
import { type CatalogStore, catalogErrors } from './store.ts'

/** Enough for the servers, certificates and settings of a catalog; most tenants have those of others. */
const SHARED_VALUES = 1_000
const NO_IDS: readonly ExternalId[] = Object.freeze([])

/** Reads routes for a directory: one query over the tenant and its current database. */
export function loadRoute(store: CatalogStore, sealOf: SealOf): RouteLoader {
  const shared = new SharedValues(SHARED_VALUES)
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
    return row === undefined ? null : freezeRoute(row, sealOf, shared)
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

function freezeRoute(
  { tenant, database, externalIds }: RouteRow,
  sealOf: SealOf,
  shared: SharedValues,
): Route {
  const { id, authConfig, status, placement, ...rest } = tenant
  return Object.freeze({
    ...{ tenantId: id, ...rest, status: shared.text(status), placement: shared.text(placement) },
    authConfig: shared.json(authConfig),
    externalIds:
      externalIds.length === 0 ? NO_IDS : Object.freeze(externalIds.map((one) => freezeId(one, shared))),
    seal: sealOf({ ...tenant, tenantId: id }),
    database: database && freezeDatabase(database, shared),
  })
}

function freezeId({ issuer, id }: ExternalId, shared: SharedValues): ExternalId {
  return Object.freeze({ issuer: shared.text(issuer), id })
}

function freezeDatabase(
  { idleTimeoutSeconds, connectionTimeoutSeconds, ...rest }: DatabaseColumns,
  shared: SharedValues,
): RouteDatabase {
  return Object.freeze({
    ...rest,
    status: shared.text(rest.status),
    host: shared.text(rest.host),
    applicationName: shared.text(rest.applicationName),
    sslMode: shared.text(rest.sslMode),
    caCertificate: shared.text(rest.caCertificate),
    systemIdentifier: shared.text(rest.systemIdentifier),
    handshake: shared.json(rest.handshake),
    schemaVersion: shared.json(rest.schemaVersion),
    idleTimeoutMs: idleTimeoutSeconds * 1000,
    connectTimeoutMs: connectionTimeoutSeconds * 1000,
  })
}
