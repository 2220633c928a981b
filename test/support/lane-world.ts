import { places } from '../../src/applications/property/properties/places.ts'
import type { Route } from '../../src/catalog/directory.ts'
import { newId } from '../../src/lib/ids.ts'
import { PoolManager, type PoolManagerOptions } from '../../src/pools/pool-manager.ts'
import { Lanes } from '../../src/sql/lanes/lanes.ts'
import { RoutedSession, type SessionOptions } from '../../src/sql/tenant-session.ts'
import type { Unanswered } from '../../src/sql/wire/wire-unit.ts'
import { makeCursors } from './cursors.ts'
import { query, superuserUrl } from './database.ts'
import { routeSource } from './route-source.ts'
import { addressOf, createTenantDatabase, moveIn, routeOf } from './tenant-database.ts'

/** Rows of each tenant. */
const ROWS = 10

const cursors = makeCursors()

interface LaneWorldOptions extends Partial<PoolManagerOptions> {
  readonly tenants?: number
  /** Where the pools find the database; by default where it is. */
  readonly through?: (url: string) => string
  readonly maxAnswerBytes?: number
}

interface PlaceRow {
  readonly id: string
  readonly tenantId: string
}

/** A database with the places of tenants. */
interface Furnished {
  readonly url: string
  readonly database: string
  readonly changes: Partial<PoolManagerOptions>
  readonly maxAnswerBytes: number | undefined
  readonly rows: readonly PlaceRow[]
}

/** A tenant with its places, all named after it. */
export interface LaneTenant {
  readonly id: string
  readonly route: Route
  readonly session: RoutedSession
  readonly places: readonly string[]
}

/** Tenants of one database, whose reads go over lanes. Nothing above the sessions. */
export class LaneWorld {
  readonly database: string
  readonly pools: PoolManager
  readonly lanes: Lanes
  readonly tenants: readonly LaneTenant[]
  readonly reruns = new Map<Unanswered, number>()

  static async open({
    tenants = 2,
    through = (url) => url,
    maxAnswerBytes,
    ...changes
  }: LaneWorldOptions = {}) {
    const { url, database } = await createTenantDatabase()
    const ids: string[] = []
    for (let n = 0; n < tenants; n += 1) ids.push(await moveIn(url))
    const rows = await query<PlaceRow>(
      superuserUrl(database),
      `INSERT INTO places (tenant_id, id, name)
         SELECT t, gen_random_uuid(), t || ' ' || n FROM unnest($1::uuid[]) AS t, generate_series(1, ${ROWS}) AS n
         RETURNING id, tenant_id AS "tenantId"`,
      [ids],
    )
    return new LaneWorld({ url: through(url), database, changes, maxAnswerBytes, rows })
  }

  private constructor({ url, database, changes, maxAnswerBytes, rows }: Furnished) {
    this.database = database
    this.pools = new PoolManager({
      ...{ maxPools: 10, maxConnections: 10, maxConnectionsPerServer: 10 },
      ...{ acquireTimeoutMs: 20_000, statementTimeoutMs: 5_000, sharedPoolSize: 10 },
      shared: addressOf(url),
      addressOf: () => addressOf(url),
      ...changes,
    })
    const onRerun = (why: Unanswered) => this.reruns.set(why, this.rerunsFor(why) + 1)
    this.lanes = new Lanes(this.pools, onRerun, maxAnswerBytes)
    this.tenants = Array.from(
      Map.groupBy(rows, ({ tenantId }) => tenantId),
      ([id, own]) => {
        const route = routeOf(id)
        return { id, route, session: this.sessionFor(route), places: own.map((place) => place.id) }
      },
    )
  }

  sessionFor(route: Route, changes: Partial<SessionOptions> = {}): RoutedSession {
    return new RoutedSession(route, { ...this.#plainOptions(route), lanes: this.lanes, ...changes })
  }

  /** The same tenant without lanes. */
  plain(tenant: LaneTenant): LaneTenant {
    return { ...tenant, session: new RoutedSession(tenant.route, this.#plainOptions(tenant.route)) }
  }

  /** The tenant on a route to a database of its own, which is the same one. */
  dedicated(tenant: LaneTenant, changes: object = {}): LaneTenant {
    const database = {
      id: `d-${tenant.id}`,
      version: 1,
      status: 'active',
      host: 'db',
      port: 1,
      poolSize: 5,
      idleTimeoutMs: 30_000,
      connectTimeoutMs: 5_000,
      databaseOid: 1,
      systemIdentifier: '1',
      ...changes,
    }
    const route = { ...tenant.route, placement: 'dedicated', database } as unknown as Route
    return { ...tenant, route, session: this.sessionFor(route) }
  }

  /** Reads until a lane has answered. */
  async openLane(tenant = this.tenants[0]): Promise<void> {
    const { answered } = this.lanes.stats
    const deadline = performance.now() + 60_000
    while (this.lanes.stats.answered === answered && tenant !== undefined) {
      if (performance.now() > deadline) throw new Error('no lane has answered')
      await findPlace(tenant, 0)
    }
  }

  rerunsFor(why: Unanswered): number {
    return this.reruns.get(why) ?? 0
  }

  /** Of a session without lanes. */
  #plainOptions(route: Route): SessionOptions {
    const routes = routeSource(route)
    return { pools: this.pools, routes, fenceTimeoutMs: 300, onStuck: () => undefined }
  }
}

/** The name of the tenant's place number `n`. */
export async function findPlace({ id, session, places: ids }: LaneTenant, n: number): Promise<unknown> {
  return (await places.find({ id, db: session.db }, ids[n % ids.length] ?? newId())).row.name
}

/** The names of all of the tenant's places. */
export async function listPlaces({ id, session }: LaneTenant): Promise<unknown[]> {
  const { data } = await places.list({ id, db: session.db }, { limit: 100 }, cursors)
  return data.map(({ name }) => name)
}
