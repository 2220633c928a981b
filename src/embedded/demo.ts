import type { Application, Tenant, Tenants } from '../application.ts'
import type { Actor } from '../catalog/audit/entries.ts'
import { systemActor } from '../catalog/audit/entries.ts'
import type { DatabaseEntry } from '../catalog/databases/entry.ts'
import type { Route } from '../catalog/directory.ts'
import { PublicError } from '../errors.ts'
import type { ServerAddress } from '../lib/postgres/pg.ts'
import type { DatabaseState, Operations, TenantRecord } from '../operations/operations.ts'

/** The parts of a gateway that the demo needs. */
export interface DemoGateway {
  readonly operations: Operations
  routeOf(code: string): Promise<Route | null>
  readonly tenants: Tenants
}

interface DemoTenant {
  readonly code: string
  readonly name: string
  readonly parent: string | null
  /** Name of the embedded database that becomes its dedicated one; null: the tenant stays in the shared one. */
  readonly database: string | null
}

/** The password of all demo administrators. The demo listens on the loopback address. */
export const DEMO_PASSWORD = 'demo-password-please-change'

export const DEMO_TENANTS: readonly DemoTenant[] = [
  {
    code: 'acme-corp',
    name: 'Acme Corporation',
    parent: null,
    database: null,
  },
  {
    code: 'globex',
    name: 'Globex Trading',
    parent: null,
    database: null,
  },
  {
    code: 'initech',
    name: 'Initech Systems',
    parent: null,
    database: 'demo_initech',
  },
  { code: 'umbrella', name: 'Umbrella Holding', parent: null, database: null },
  { code: 'umbrella-north', name: 'Umbrella North', parent: 'umbrella', database: 'demo_umbrella_north' },
]

export const DEMO_DATABASES: readonly string[] = DEMO_TENANTS.flatMap(({ database }) => database ?? [])

const VALIDATION_POLL_MS = 50
const VALIDATION_TIMEOUT_MS = 30_000

/**
 * Adds the missing parts of the demo: tenants, their administrators, dedicated databases and the rows of `seed`. It can be interrupted
 * and repeated at any point. `isRepeated`: an earlier seeding has completed. Then it does not add again what users have deleted.
 */
export async function seedDemo(
  gateway: DemoGateway,
  {
    seed,
    databases,
    migrated,
    isRepeated,
  }: {
    seed: Application['seed']
    databases: ReadonlyMap<string, ServerAddress>
    /** Names of the databases that were migrated after their validation. */
    migrated: ReadonlySet<string>
    isRepeated: boolean
  },
): Promise<void> {
  const actor = systemActor('demo')
  for (const tenant of DEMO_TENANTS) {
    const { id, isNew } = await ensureTenant(gateway, tenant, actor)
    const isUnfinished = isNew || !isRepeated
    const address = tenant.database === null ? undefined : databases.get(tenant.database)
    if (address !== undefined)
      await ensureDatabase(gateway.operations, {
        ...{ id, address, actor, isUnfinished },
        isMigrated: migrated.has(address.database),
      })
    if (isUnfinished) await addRows(gateway, tenant, seed)
  }
}

async function ensureTenant(
  gateway: DemoGateway,
  tenant: DemoTenant,
  actor: Actor,
): Promise<{ id: string; isNew: boolean }> {
  const known = await gateway.routeOf(tenant.code)
  if (known !== null) return { id: known.tenantId, isNew: false }
  const parent = tenant.parent === null ? null : await gateway.routeOf(tenant.parent)
  const { code, name } = tenant
  const record: TenantRecord = await gateway.operations.createTenant(
    {
      code,
      name,
      ...(parent !== null && { parentId: parent.tenantId }),
      admin: { email: `admin@${code}.example`, password: DEMO_PASSWORD, name: `Administrator of ${name}` },
    },
    actor,
  )
  return { id: record.tenant.id, isNew: true }
}

/**
 * Registers the database and waits until it is active. Registers it again if the server's port has changed or an earlier start ended
 * before the database was valid. A migrated database is validated again. A database that an operator registered instead stays.
 */
async function ensureDatabase(
  operations: Operations,
  {
    id,
    address,
    actor,
    isUnfinished,
    isMigrated,
  }: { id: string; address: ServerAddress; actor: Actor; isUnfinished: boolean; isMigrated: boolean },
): Promise<void> {
  const { current: present, candidate } = await describe(operations, id)
  const { host, user, database } = address
  const isOther = (entry: DatabaseEntry) =>
    entry.host !== host || entry.userName !== user || entry.databaseName !== database
  const isTheirs = present === null ? !isUnfinished : isOther(present) || (candidate && isOther(candidate))
  const isReady = present?.status === 'active' && present.port === address.port
  if (isTheirs) return
  if (isReady) {
    if (!isMigrated) return
    await operations.requestValidation(id, { adopt: false }, actor)
    return untilActive(operations, id, { port: address.port, after: present.validatedAt })
  }
  const password = encodeURIComponent(await address.password())
  const connectionString = `postgresql://${user}:${password}@${host}:${address.port}/${database}`
  const limits = { poolSize: 10, idleTimeoutSeconds: 30, connectionTimeoutSeconds: 5 }
  await operations.registerDatabase(id, { connectionString, ...limits, applyMigrations: true }, actor)
  await untilActive(operations, id, { port: address.port, after: null })
}

/** `after`: the time of the last validation, if the database must be validated again. */
async function untilActive(
  operations: Operations,
  id: string,
  { port, after }: { port: number; after: DatabaseEntry['validatedAt'] },
): Promise<void> {
  const deadline = performance.now() + VALIDATION_TIMEOUT_MS
  for (;;) {
    const { current: state } = await describe(operations, id)
    const isValidated = after === null || state?.validatedAt?.getTime() !== after.getTime()
    if (state?.status === 'active' && state.port === port && isValidated) return
    if (performance.now() > deadline)
      throw new Error(`the demo database did not become active: ${state?.lastErrorCode}`)
    await new Promise((resolve) => setTimeout(resolve, VALIDATION_POLL_MS))
  }
}

async function describe(
  operations: Operations,
  tenantId: string,
): Promise<Pick<DatabaseState, 'current' | 'candidate'>> {
  try {
    return await operations.describeDatabase(tenantId)
  } catch (error) {
    if (error instanceof PublicError && error.code === 'NOT_FOUND') return { current: null, candidate: null }
    throw error
  }
}

/** Adds the rows of a tenant in one transaction. */
async function addRows(gateway: DemoGateway, { code }: DemoTenant, seed: Application['seed']): Promise<void> {
  if (seed === null) return
  const work = (tenant: Tenant) => tenant.transaction((_db, inside) => seed(inside))
  await gateway.tenants.run(code, work, { actor: 'demo' })
}
