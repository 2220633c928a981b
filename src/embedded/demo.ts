import type { Actor } from '../catalog/audit.ts'
import { systemActor } from '../catalog/audit.ts'
import type { DatabaseEntry } from '../catalog/database-entry.ts'
import type { Route } from '../catalog/directory.ts'
import { within } from '../data/within.ts'
import { PublicError } from '../errors.ts'
import type { ServerAddress } from '../lib/pg.ts'
import type { DatabaseState, Operations, TenantRecord } from '../operations/operations.ts'
import { places } from '../tenant/schema.ts'
import type { TenantSession } from '../tenant/session.ts'
import { addDemoRows, type DemoPlace } from './demo-rows.ts'

/** What a demo needs of a gateway. */
export interface DemoGateway {
  readonly operations: Operations
  routeOf(code: string): Promise<Route | null>
  sessionOf(route: Route): TenantSession
}

interface DemoTenant {
  readonly code: string
  readonly name: string
  readonly parent: string | null
  /** Name of the embedded database that becomes its own; null stays in the shared one. */
  readonly database: string | null
  readonly places: readonly DemoPlace[]
}

/** The one password of all demo administrators; the demo listens on the loopback address. */
export const DEMO_PASSWORD = 'demo-password-please-change'

export const DEMO_TENANTS: readonly DemoTenant[] = [
  {
    code: 'acme-corp',
    name: 'Acme Corporation',
    parent: null,
    database: null,
    places: [
      {
        name: 'Harbour House',
        kind: 'building',
        address: { line1: 'Wijnhaven 21', postalCode: '3011 WH', city: 'Rotterdam', country: 'NL' },
        ...{ latitude: 51.9189, longitude: 4.4889, rentCents: 124500, currency: 'EUR' },
        estates: [
          'Apartment 1A',
          'Apartment 1B',
          'Apartment 2A',
          'Apartment 2B',
          'Apartment 3A',
          'Apartment 3B',
          'Apartment 4A',
          'Penthouse',
        ],
      },
      {
        name: 'Mill Lane Parking',
        kind: 'parking',
        address: { line1: 'Molenstraat 8', postalCode: '3512 AB', city: 'Utrecht', country: 'NL' },
        ...{ latitude: 52.0907, longitude: 5.1214, rentCents: 9500, currency: 'EUR' },
        estates: ['Bay 1', 'Bay 2', 'Bay 3', 'Bay 4', 'Bay 5', 'Bay 6'],
      },
    ],
  },
  {
    code: 'globex',
    name: 'Globex Property',
    parent: null,
    database: null,
    places: [
      {
        name: 'Station Square 4',
        kind: 'building',
        address: { line1: 'Koningin Astridplein 4', postalCode: '2018', city: 'Antwerp', country: 'BE' },
        ...{ latitude: 51.2172, longitude: 4.4211, rentCents: 210000, currency: 'EUR' },
        estates: [
          'Office 1',
          'Office 2',
          'Office 3',
          'Office 4',
          'Office 5',
          'Office 6',
          'Office 7',
          'Office 8',
        ],
      },
    ],
  },
  {
    code: 'initech',
    name: 'Initech Estates',
    parent: null,
    database: 'demo_initech',
    places: [
      {
        name: 'Old Brewery',
        kind: 'building',
        address: { line1: 'Kraanlei 55', postalCode: '9000', city: 'Ghent', country: 'BE' },
        ...{ latitude: 51.0573, longitude: 3.724, rentCents: 138000, currency: 'EUR' },
        estates: ['Loft 11', 'Loft 12', 'Loft 13', 'Loft 14', 'Studio 1', 'Studio 2', 'Studio 3'],
      },
    ],
  },
  { code: 'umbrella', name: 'Umbrella Holding', parent: null, database: null, places: [] },
  {
    code: 'umbrella-north',
    name: 'Umbrella North',
    parent: 'umbrella',
    database: 'demo_umbrella_north',
    places: [
      {
        name: 'Lighthouse Row',
        kind: 'building',
        address: { line1: 'Fjellveien 12', postalCode: '5019', city: 'Bergen', country: 'NO' },
        ...{ latitude: 60.3975, longitude: 5.3297, rentCents: 1450000, currency: 'NOK' },
        estates: ['Cottage 5', 'Cottage 6', 'Cottage 7'],
      },
    ],
  },
]

export const DEMO_DATABASES: readonly string[] = DEMO_TENANTS.flatMap(({ database }) => database ?? [])

const VALIDATION_POLL_MS = 50
const VALIDATION_TIMEOUT_MS = 30_000

/**
 * Seeds what is missing of the demo: tenants, their administrators, own databases and some hundred rows. Can be interrupted and
 * repeated at any point. `isRepeated` says that it once came to its end: then what people have taken away since stays away.
 */
export async function seedDemo(
  gateway: DemoGateway,
  { databases, isRepeated }: { databases: ReadonlyMap<string, ServerAddress>; isRepeated: boolean },
): Promise<void> {
  const actor = systemActor('demo')
  for (const tenant of DEMO_TENANTS) {
    const { id, isNew } = await ensureTenant(gateway, tenant, actor)
    const isUnfinished = isNew || !isRepeated
    const address = tenant.database === null ? undefined : databases.get(tenant.database)
    if (address !== undefined) await ensureDatabase(gateway.operations, { id, address, actor, isUnfinished })
    if (isUnfinished) await addPlaces(gateway, tenant)
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
 * Registers the database if it is not yet, if the server listens elsewhere than it did, or if an earlier start was ended before
 * it was valid, and waits until it is. What somebody has registered in its place stays.
 */
async function ensureDatabase(
  operations: Operations,
  {
    id,
    address,
    actor,
    isUnfinished,
  }: { id: string; address: ServerAddress; actor: Actor; isUnfinished: boolean },
): Promise<void> {
  const { current: present, candidate } = await describe(operations, id)
  const { host, user, database } = address
  const isOther = (entry: DatabaseEntry) =>
    entry.host !== host || entry.userName !== user || entry.databaseName !== database
  const isTheirs = present === null ? !isUnfinished : isOther(present) || (candidate && isOther(candidate))
  const isReady = present?.status === 'active' && present.port === address.port
  if (isTheirs || isReady) return
  const password = encodeURIComponent(await address.password())
  const connectionString = `postgresql://${user}:${password}@${host}:${address.port}/${database}`
  const limits = { poolSize: 10, idleTimeoutSeconds: 30, connectionTimeoutSeconds: 5 }
  await operations.registerDatabase(id, { connectionString, ...limits, applyMigrations: true }, actor)
  await untilActive(operations, id, address.port)
}

async function untilActive(operations: Operations, id: string, port: number): Promise<void> {
  const deadline = performance.now() + VALIDATION_TIMEOUT_MS
  for (;;) {
    const { current: state } = await describe(operations, id)
    if (state?.status === 'active' && state.port === port) return
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

/** All rows of a tenant or none. */
async function addPlaces(gateway: DemoGateway, tenant: DemoTenant): Promise<void> {
  const route = await gateway.routeOf(tenant.code)
  if (route === null || tenant.places.length === 0) return
  const { tenantId } = route
  await gateway.sessionOf(route).transaction(async (db) => {
    if ((await db.select({ id: places.id }).from(places).limit(1)).length > 0) return
    await addDemoRows(within(tenantId, db), tenant.code, tenant.places)
  })
}
