import { randomBytes } from 'node:crypto'
import { statfs } from 'node:fs/promises'
import { property } from '../../src/applications/property/application.ts'
import { applyMigrations } from '../../src/migrations/apply.ts'
import { readTenantMigrations } from '../../src/migrations/files.ts'
import { type OwnServer, startOwnServer } from '../../test/support/second-server.ts'
import { CATALOG_TABLE } from '../baselines/own-catalog.ts'
import { Baselines, type Environments, type Service, stopAll } from '../measure/services.ts'
import { Operator, type TenantAccess } from '../operator.ts'
import { startGatewayProcess } from '../processes.ts'
import {
  asSuperuser,
  copyDatabase,
  environmentOf,
  fillPlaces,
  makeDatabase,
  postmasterOf,
  withClient,
} from '../stage.ts'

/** A tenant with a database of its own. */
export interface DedicatedTenant extends TenantAccess {
  /** One of its places. */
  readonly placeId: string
}

/** `migrated`: with all tables. `empty`: as CREATE DATABASE makes it. */
export type DatabaseKind = 'migrated' | 'empty'

const ROWS_PER_TENANT = 20
const AT_ONCE = 4
const LOCK_TIMEOUT_MS = 5_000
/** Of PostgreSQL: three services with 500 connections each, and what the bench itself needs. */
const MAX_CONNECTIONS = '1700'
const BYTES_PER_DATABASE = 11 * 1024 ** 2
const GIGABYTE = 1024 ** 3
/** For the write-ahead log, and for the databases that are registered while it is measured. */
const MORE_BYTES = 2.5 * GIGABYTE
const PREFIX = 'own_'

/**
 * A round of health checks asks each database. It would fall into the time of one service and not of the other, so the gateways
 * here have their rounds once a year.
 */
const RARE_HEALTH_ROUNDS = { HEALTH_CHECK_CRON: '0 0 0 1 1 *' }

/** Says why there is no room in memory for so many databases; null: there is, or the data goes to a disk. */
export async function whyNoRoom(databases: number): Promise<string | null> {
  const { bavail, bsize } = await statfs('/dev/shm').catch(() => ({ bavail: 0, bsize: 0 }))
  const [free, needed] = [bavail * bsize, databases * BYTES_PER_DATABASE + MORE_BYTES]
  if (free < GIGABYTE || free >= needed) return null
  const [has, needs] = [free, needed].map((bytes) => (bytes / GIGABYTE).toFixed(1))
  return `${databases} databases need ${needs} GB in /dev/shm, which has ${has} GB`
}

/** A PostgreSQL with a catalog, and with many databases that are registered with the gateway and with the hand-written service. */
export class DedicatedStage {
  readonly server: OwnServer
  readonly postmasters: readonly number[]
  readonly environments: Environments
  readonly baselines: Baselines
  readonly tenants: readonly DedicatedTenant[]
  readonly #world: World
  #created = 0

  private constructor(
    world: World,
    more: Pick<DedicatedStage, 'postmasters' | 'environments' | 'baselines' | 'tenants'>,
  ) {
    this.#world = world
    this.server = world.server
    this.postmasters = more.postmasters
    this.environments = more.environments
    this.baselines = more.baselines
    this.tenants = more.tenants
  }

  static async create(count: number): Promise<DedicatedStage> {
    const server = await startOwnServer({ settings: { max_connections: MAX_CONNECTIONS } })
    try {
      const world = await createWorld(server)
      const tenants = await createTenants(world, count)
      const catalogUrl = await copyDatabase(server, world.gateway.CATALOG_DATABASE_URL ?? '', 'catalog_copy')
      const environments = {
        first: world.gateway,
        second: { ...world.gateway, CATALOG_DATABASE_URL: catalogUrl },
      }
      const postmasters = [await postmasterOf(server)]
      return new DedicatedStage(world, { postmasters, environments, tenants, baselines: world.baselines })
    } catch (error) {
      await server.dispose()
      throw error
    }
  }

  /** The hand-written service with the same budget as the gateway. */
  startBaseline(name: string, budget: Readonly<Record<string, string>>): Promise<Service> {
    return startBaseline(this.#world, name, budget)
  }

  /** Creates one more database, and returns its URL. */
  createDatabase(kind: DatabaseKind): Promise<string> {
    this.#created += 1
    return copyDatabase(this.server, this.#world.templates[kind], `${PREFIX}new_${this.#created}`)
  }

  /** How many connections to tenant databases have ever been opened. */
  async countSessions(): Promise<number> {
    return asSuperuser(this.server, 'postgres', async (client) => {
      const text = 'SELECT sum(sessions)::int AS n FROM pg_stat_database WHERE starts_with(datname, $1)'
      const { rows } = await client.query(text, [PREFIX])
      return rows[0].n as number
    })
  }

  dispose(): Promise<void> {
    return this.server.dispose()
  }
}

/** What both services need before there are tenants. */
interface World {
  readonly server: OwnServer
  readonly baselines: Baselines
  readonly gateway: Record<string, string>
  readonly handWritten: Record<string, string>
  readonly templates: Readonly<Record<DatabaseKind, string>>
}

async function createWorld(server: OwnServer): Promise<World> {
  const catalogUrl = await makeDatabase(server, 'catalog')
  const gateway = environmentOf(catalogUrl, await makeDatabase(server, 'shared'))
  const ownCatalogUrl = await makeDatabase(server, 'catalog_by_hand')
  await withClient(ownCatalogUrl, (client) => client.query(CATALOG_TABLE))
  const empty = await makeDatabase(server, 'template_empty')
  return {
    ...{ server, baselines: new Baselines(), gateway: { ...gateway, ...RARE_HEALTH_ROUNDS } },
    handWritten: { CATALOG_URL: ownCatalogUrl, SEAL_KEY: randomBytes(32).toString('base64url') },
    templates: { empty, migrated: await createMigratedTemplate(server, empty) },
  }
}

/** The tables as the gateway makes them, and beside them a plain one with the same columns and indexes for the other service. */
async function createMigratedTemplate(server: OwnServer, empty: string): Promise<string> {
  const url = await copyDatabase(server, empty, 'template_migrated')
  const migrations = await readTenantMigrations(property)
  await withClient(url, (client) => applyMigrations(client, migrations, { lockTimeoutMs: LOCK_TIMEOUT_MS }))
  await withClient(url, (client) =>
    client.query(`
      CREATE SCHEMA app;
      CREATE TABLE app.places (LIKE public.places INCLUDING ALL)`),
  )
  return url
}

async function createTenants(world: World, count: number): Promise<DedicatedTenant[]> {
  const gateway = await startGatewayProcess(world.gateway)
  const started: Pick<Service, 'server'>[] = [{ server: gateway }]
  try {
    const operator = new Operator(gateway, world.gateway.OPERATOR_TOKEN ?? '')
    const budget = { MAX_CONNECTIONS: '1', MAX_CONNECTIONS_PER_SERVER: '1', MAX_POOLS: '1' }
    const byHand = await startBaseline(world, 'hand-written', budget)
    started.push(byHand)
    return await concurrently(count, (i) => createTenant(world, { operator, byHand }, i))
  } finally {
    await stopAll(started)
  }
}

async function createTenant(
  { server, baselines, templates }: World,
  { operator, byHand }: { operator: Operator; byHand: Service },
  index: number,
): Promise<DedicatedTenant> {
  const name = `${PREFIX}${index}`
  const url = await copyDatabase(server, templates.migrated, name)
  const tenant = await operator.createSigningTenant(`tenant-${index}`)
  await baselines.sign([tenant])
  await operator.giveDatabase(tenant.id, { connectionString: url })
  await registerByHand(byHand, baselines.tokenOf(tenant.id), url)
  const [placeId = ''] = await fillPlaces(server, name, {
    ...{ tenantId: tenant.id, rows: ROWS_PER_TENANT },
    after: 'INSERT INTO app.places SELECT * FROM public.places; ANALYZE app.places',
  })
  return { ...tenant, placeId }
}

/** Registers a database with the hand-written service. */
export async function registerByHand(
  { server }: Service,
  token: string,
  connectionString: string,
): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${server.port}/api/v1/database`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ connectionString }),
  })
  if (!response.ok) throw new Error(`by hand: ${response.status} ${await response.text()}`)
}

function startBaseline(
  { baselines, handWritten }: World,
  name: string,
  budget: Readonly<Record<string, string>>,
): Promise<Service> {
  return baselines.start(name, 'hand-written-dedicated.ts', { ...handWritten, ...budget })
}

/** Gives the results in the order of the indexes. */
async function concurrently<T>(count: number, work: (index: number) => Promise<T>): Promise<T[]> {
  const results: T[] = []
  let next = 0
  const worker = async () => {
    for (let i = next++; i < count; i = next++) results[i] = await work(i)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  return results
}
