import { setTimeout as delay } from 'node:timers/promises'
import type { Application } from '../application.ts'
import { AuditTrail } from '../catalog/audit/trail.ts'
import { ClockSkew } from '../catalog/changes/clock-skew.ts'
import { type CatalogChange, ChangeFollower } from '../catalog/changes/follower.ts'
import { type Connections, ReplicaList, type ShareWait } from '../catalog/changes/replicas.ts'
import { DatabaseRegistry } from '../catalog/databases/registry.ts'
import { loadRoute, RouteDirectory } from '../catalog/directory.ts'
import { sealsOf } from '../catalog/seals.ts'
import { CatalogStore } from '../catalog/store.ts'
import { Vault } from '../catalog/vault.ts'
import type { Settings } from '../config/settings.ts'
import type { MasterKey } from '../crypto/key-source.ts'
import { Keyring } from '../crypto/keyring.ts'
import { readSchemaVersion } from '../databases/checks.ts'
import { Schemas } from '../databases/schemas.ts'
import { withTenantDatabase } from '../databases/tenant-connection.ts'
import { repairResidence } from '../databases/validate-database.ts'
import { createLifecycle } from '../health/states.ts'
import { RoleCache } from '../identity/access/role-cache.ts'
import { RoleService } from '../identity/access/role-service.ts'
import { ClientKeys } from '../identity/callers/client-keys.ts'
import { Operators } from '../identity/callers/operators.ts'
import { Revocations } from '../identity/callers/revocations.ts'
import { TenantResolver } from '../identity/callers/tenant-resolver.ts'
import { type HashCost, PasswordHasher } from '../identity/login/passwords.ts'
import { Accounts } from '../identity/people/accounts.ts'
import { Announcements } from '../identity/people/announcements.ts'
import { People } from '../identity/people/people.ts'
import { AccessTokens } from '../identity/tokens/access-tokens.ts'
import { ExternalIssuers } from '../identity/tokens/external-issuers.ts'
import { SigningKeys } from '../identity/tokens/signing.ts'
import { newId } from '../lib/ids.ts'
import { settleSession } from '../lib/postgres/database-identity.ts'
import { EgressPolicy, type HostRules } from '../lib/postgres/egress.ts'
import { guardedLookup } from '../lib/postgres/guarded-lookup.ts'
import { connectClient, createPool, type ServerAddress } from '../lib/postgres/pg.ts'
import { newServerTraits } from '../lib/postgres/server-traits.ts'
import { Refresher } from '../lib/refresher.ts'
import type { Secret } from '../lib/secret.ts'
import { SingleFlight } from '../lib/single-flight.ts'
import type { Logger } from '../logger.ts'
import { Metrics } from '../metrics.ts'
import { Release } from '../migrations/release.ts'
import { MasterKeys } from '../operations/master-keys.ts'
import { AddressBook } from '../pools/addresses.ts'
import { mismatchAlarm, violationAlarm } from '../pools/alarms.ts'
import type { ConnectionBudget } from '../pools/budget.ts'
import { KnownDatabase } from '../pools/known-database.ts'
import { PoolManager, type Violation } from '../pools/pool-manager.ts'
import { RouteInvalidator } from '../pools/route-invalidator.ts'
import { TenantSessions } from '../sql/tenant-sessions.ts'

/** Where the gateway's own databases are. The owners are null where the serving roles own their schemas. */
export interface GatewayDatabases {
  readonly catalog: ServerAddress
  readonly catalogOwner: ServerAddress | null
  readonly shared: ServerAddress
  readonly sharedOwner: ServerAddress | null
}

/** With what is found out of their servers, and what is asked of them. */
export function knownDatabases(databases: GatewayDatabases): GatewayDatabases {
  const { catalog, catalogOwner, shared, sharedOwner } = databases
  const known = (address: ServerAddress) => ({ ...address, traits: address.traits ?? newServerTraits() })
  const whole = (address: ServerAddress) => ({ ...known(address), needsSession: true })
  return {
    ...{ catalog: whole(catalog), catalogOwner: catalogOwner && whole(catalogOwner) },
    ...{ shared: known(shared), sharedOwner: sharedOwner && known(sharedOwner) },
  }
}

export interface GatewayOptions {
  /** The product that is served. */
  readonly application: Application
  readonly settings: Settings
  readonly databases: GatewayDatabases
  readonly encryptionKey: MasterKey
  readonly operatorToken: Secret | null
  readonly hostRules: HostRules | null
  /** What a hash of a password costs; what it should unless given. Not a setting: only tests have a reason to change it. */
  readonly passwordCost?: HashCost
  readonly log: Logger
}

const CATALOG_POOL_SIZE = 10
const CATALOG_IDLE_TIMEOUT_MS = 30_000
const CATALOG_LIMITS = {
  connectTimeoutMs: 3_000,
  statementTimeoutMs: 5_000,
  // All changes take the locks of the two logs: who freezes with them is gone before those who wait give up.
  idleInTransactionMs: 4_000,
}
const NEGATIVE_ROUTE_TTL_MS = 5_000
const LOOKUP_TIMEOUT_MS = 3_000
const REOPENING_PAUSE_MS = 1_000
/** Shorter than an operator waits for confirmations. */
const DRAIN_TIMEOUT_MS = 2_000

/** The parts of a gateway, built in the order in which they need each other. Nothing here touches the network yet. */
export type Parts = ReturnType<typeof createParts>

export function createParts(options: GatewayOptions) {
  const { settings, databases } = options
  const replicaId = newId()
  const metrics = new Metrics()
  const keyring = new Keyring(options.encryptionKey, settings.retiredKeys)
  const policy = new EgressPolicy(options.hostRules)
  const catalog = createCatalog(options, keyring)
  const addresses = new AddressBook({
    registry: catalog.registry,
    lookupFor: (port) => guardedLookup(policy, port, LOOKUP_TIMEOUT_MS),
    applicationName: 'freehold',
  })
  const shared = new KnownDatabase(databases.shared, databases.sharedOwner)
  const onViolation = violationAlarm(catalog.registry, options.log)
  const pools = createPools(options, { addresses, shared, metrics, onViolation })
  const { directory } = catalog
  const { store, registry } = catalog
  const homes = {
    store,
    registry,
    addresses,
    budget: pools.budget,
    shared: shared.ownerAddress,
    sealOf: catalog.sealOf,
    log: options.log,
  }
  const { release } = catalog
  const readShared = () =>
    withTenantDatabase(homes, null, (client) => readSchemaVersion(client, release.migrations))
  const schemas = new Schemas({ store, release, readShared })
  const reopening = new SingleFlight<void>()
  const { follower, replicas } = createFollower(options, {
    store,
    replicaId,
    keyring,
    metrics,
    budget: pools.budget,
  })
  const routeKeeper = new RouteInvalidator({ directory, pools, drainTimeoutMs: DRAIN_TIMEOUT_MS })
  const sessions = new TenantSessions({
    directory,
    freshness: follower.freshness,
    forget: (tenantId) => void routeKeeper.forget(tenantId),
    pools,
    fenceTimeoutMs: settings.acquireTimeoutMs,
    isBehind: ({ placement, database }) => schemas.isBehind(placement, database?.schemaVersion ?? null),
    onStuck: (tenantId) =>
      void reopening.run(tenantId, async () => {
        await repairResidence(homes, tenantId)
        // Whoever asks meanwhile shares this look: each costs a connection.
        await delay(REOPENING_PAUSE_MS, undefined, { ref: false })
      }),
  })
  const identity = createIdentity(options, catalog)
  const roleCache = new RoleCache({ open: (route) => sessions.open(route) })
  const members = { roleCache, tenantResolver: new TenantResolver({ directory, roleCache }) }
  const { freshness } = follower
  const houses = {
    ...catalog,
    follower,
    replicas,
    freshness,
    addresses,
    shared,
    pools,
    sessions,
    routeKeeper,
    schemas,
  }
  const keepers = createKeepers({ ...catalog, ...identity, roleCache })
  const masterKeys = new MasterKeys({ ...catalog, follower, keyring, metrics, log: options.log })
  const own = { replicaId, metrics, keyring, masterKeys, policy }
  const parts = { ...own, ...houses, ...identity, ...members, ...keepers }
  watchGauges(parts)
  return parts
}

function createCatalog({ settings, databases, log }: GatewayOptions, keyring: Keyring) {
  const max = CATALOG_POOL_SIZE
  const limits = { ...CATALOG_LIMITS, max, idleTimeoutMs: CATALOG_IDLE_TIMEOUT_MS }
  const catalogPool = createPool(databases.catalog, limits, { verify: settleSession })
  const store = new CatalogStore(catalogPool)
  const vault = new Vault(store, keyring, { max: settings.routeCacheMax })
  const sealOf = sealsOf(vault)
  const lifecycle = createLifecycle({ failuresToInactive: settings.healthFailuresToInactive })
  const release = new Release()
  const registry = new DatabaseRegistry({ store, vault, lifecycle, release })
  const directory = new RouteDirectory({
    load: loadRoute(store, sealOf),
    max: settings.routeCacheMax,
    ttlMs: settings.routeCacheTtlMs,
    negativeTtlMs: NEGATIVE_ROUTE_TTL_MS,
    maxStalenessMs: settings.catalogMaxStalenessMs,
  })
  const auditTrail = new AuditTrail({ store, vault, log })
  return { catalogPool, store, vault, sealOf, registry, directory, auditTrail, release }
}

interface FollowerParts {
  readonly store: CatalogStore
  readonly replicaId: string
  readonly keyring: Keyring
  readonly budget: ConnectionBudget
  readonly metrics: Metrics
}

/** Follows the catalog's changes, and agrees with the other replicas on how many connections each may hold. */
function createFollower(
  { settings, databases, log }: GatewayOptions,
  { store, replicaId, keyring, budget, metrics }: FollowerParts,
): { follower: ChangeFollower; replicas: ReplicaList } {
  const total = { max: settings.maxConnections, maxPerServer: settings.maxConnectionsPerServer }
  let agreed: Connections = total
  const grant = ({ max, maxPerServer }: Connections) => {
    budget.resize({ max, maxPerServer })
    log.info({ connections: max, maxPerServer, total: agreed.max }, 'share of the connections changed')
  }
  const onTotal = (counts: Connections, differ: boolean) => {
    agreed = counts
    const fields = {
      total: counts.max,
      totalPerServer: counts.maxPerServer,
      own: total.max,
      ownPerServer: total.maxPerServer,
    }
    if (differ) log.warn(fields, 'replicas differ in their limits of connections: the smallest counts')
    else log.info(fields, 'replicas agree on their limits of connections')
  }
  const onWait = (reason: ShareWait) =>
    log.warn({ reason, total: agreed.max }, 'waiting for a share of the connections')
  // Whatever is left of the total may be in use by others; what falls to us we learn when we join them.
  budget.resize({ max: 0, maxPerServer: 0 })
  const share = { total, isWithin: () => budget.isKept, grant, onTotal, onWait }
  const skew = new ClockSkew({ log })
  metrics.watchClockSkew(() => skew.seconds)
  const replicas = new ReplicaList({ store, replicaId, primaryKeyId: keyring.primaryKeyId, share, skew })
  const listenTarget = async () => {
    const client = await connectClient(databases.catalog, CATALOG_LIMITS)
    try {
      await settleSession(client)
      await replicas.showLife(client)
      return client
    } catch (error) {
      void client.end(() => undefined)
      throw error
    }
  }
  return { follower: new ChangeFollower({ store, replicas, listenTarget, log }), replicas }
}

interface PoolParts {
  readonly addresses: AddressBook
  readonly shared: KnownDatabase
  readonly metrics: Metrics
  readonly onViolation: (violation: Violation) => void
}

function createPools(
  { settings, log }: GatewayOptions,
  { addresses, shared, metrics, onViolation }: PoolParts,
): PoolManager {
  return new PoolManager({
    maxPools: settings.maxPools,
    maxConnections: settings.maxConnections,
    maxConnectionsPerServer: settings.maxConnectionsPerServer,
    acquireTimeoutMs: settings.acquireTimeoutMs,
    statementTimeoutMs: settings.statementTimeoutMs,
    shared: shared.address,
    ...(shared.owner !== null && { sharedOwner: shared.owner }),
    sharedPoolSize: settings.maxConnectionsPerServer,
    addressOf: (database, tenantId) =>
      addresses.validatedAddressOf({ ...database, tenantId, rowVersion: database.version }),
    onMismatch: mismatchAlarm(metrics, log),
    onViolation,
    log,
  })
}

function createIdentity(options: GatewayOptions, catalog: ReturnType<typeof createCatalog>) {
  const { store, vault, directory } = catalog
  const known = { store, vault, maxStalenessMs: options.settings.catalogMaxStalenessMs }
  const clientKeys = new ClientKeys(known)
  const operators = new Operators({ ...known, bootstrapToken: options.operatorToken })
  const revocations = new Revocations({ store })
  const onWithdrawn = (tenantId: string) => tokens.forgetTenant(tenantId)
  const signingKeys = new SigningKeys({ ...known, onWithdrawn })
  const tokens = new AccessTokens({
    keys: signingKeys,
    issuers: new ExternalIssuers({
      issuers: options.settings.trustedIssuers,
      isListed: async (issuer, id) => (await directory.byExternalId({ issuer, id })) !== null,
      log: options.log,
    }),
    isVoid: (identity) => revocations.isVoid(identity),
  })
  const { passwordCost: cost } = options
  const hasher = new PasswordHasher(cost === undefined ? {} : { cost })
  const accounts = new Accounts({ store, hasher, revocations, vault })
  return { clientKeys, operators, signingKeys, revocations, tokens, hasher, accounts }
}

/** Those who change what stands in tenants' own databases and tell the catalog: people and their roles. */
function createKeepers({
  store,
  vault,
  auditTrail,
  hasher,
  revocations,
  roleCache,
}: {
  store: CatalogStore
  vault: Vault
  auditTrail: AuditTrail
  hasher: PasswordHasher
  revocations: Revocations
  roleCache: RoleCache
}) {
  const announcements = new Announcements({
    ...{ store, vault, auditTrail, announced: revocations },
    apply: (change) => {
      revocations.apply(change)
      if (change.kind === 'role' && change.tenantId !== null) roleCache.invalidate(change.tenantId)
    },
  })
  const people = new People({ hasher, announcements })
  return { announcements, people, roles: new RoleService(announcements) }
}

function watchGauges({
  metrics,
  pools,
  directory,
  schemas,
}: Pick<Parts, 'metrics' | 'pools' | 'directory' | 'schemas'>): void {
  metrics.watchSchemas(() => ({ ...schemas.counts }))
  metrics.watchPools(() => ({
    activePools: pools.size,
    openConnections: pools.budget.open,
    maxConnections: pools.budget.max,
    waiting: pools.waiting,
    cachedRoutes: directory.size,
    openBreakers: pools.broken,
  }))
}

/** Has the caches follow the catalog's log of changes; `onWork` is called when there may be something to validate. */
export function followChanges(parts: Parts, log: Logger, onWork: () => void): void {
  const { follower, directory, routeKeeper, clientKeys, operators, vault } = parts
  const { signingKeys, revocations, tokens, roleCache } = parts
  const serviceKeys = new Refresher(
    () => signingKeys.reload().then(() => tokens.clear()),
    (err) => log.error({ err }, 'signing keys not reloaded'),
  )
  const calledBack = new Refresher(
    () => revocations.init(),
    (err) => log.error({ err }, 'revocations not reloaded'),
  )
  follower.onChange((change: CatalogChange) => {
    const { kind, tenantId, subjectId } = change
    if (kind === 'database') onWork()
    if (kind === 'client-key' && subjectId !== null) clientKeys.invalidate(subjectId)
    if (kind === 'operator' && subjectId !== null) operators.invalidate(subjectId)
    if (kind === 'signing-key' && tenantId === null) return serviceKeys.request()
    if (kind === 'signing-key' && tenantId !== null) signingKeys.tenants.invalidate(tenantId)
    if (kind === 'tokens') revocations.apply(change)
    if (kind === 'role' && tenantId !== null) roleCache.invalidate(tenantId)
    const concernsRoutes = tenantId !== null && (kind === 'tenant' || kind === 'database')
    return concernsRoutes ? routeKeeper.forget(tenantId) : null
  })
  follower.onReached(() => {
    directory.confirm()
    for (const unread of [serviceKeys, calledBack]) unread.retry()
  })
  follower.onGap(() => {
    const caches = [vault, parts.registry, clientKeys, operators, tokens, roleCache, signingKeys.tenants]
    for (const cache of caches) cache.clear()
    revocations.forgetAccounts()
    onWork()
    return Promise.all([routeKeeper.forgetAll(), serviceKeys.request(), calledBack.request()])
  })
}
