import { randomBytes } from 'node:crypto'
import { contacts } from '../../src/applications/property/people/contacts.ts'
import { places } from '../../src/applications/property/properties/places.ts'
import { newId } from '../../src/lib/ids.ts'
import { manyRows } from '../../test/support/many-rows.ts'
import { type OwnServer, startOwnServer } from '../../test/support/second-server.ts'
import type { Environments } from '../measure/services.ts'
import { Operator, type TenantAccess } from '../operator.ts'
import { startGatewayProcess } from '../processes.ts'
import { asSuperuser, copyDatabase, environmentOf, fillPlaces, makeDatabase, postmasterOf } from '../stage.ts'

/** A PostgreSQL with the rows of one tenant among others: in the shared database, and in a plain one. */
export interface SharedStage {
  readonly server: OwnServer
  readonly postmasters: readonly number[]
  readonly environments: Environments
  readonly tenant: TenantAccess
  readonly placeIds: readonly string[]
  /** Each of these takes a quarter of a second to read through the gateway. */
  readonly slowIds: readonly string[]
  /** The URL of the role that owns the plain tables, and so is not subject to row-level security. */
  readonly ownerUrl: string
  /** The URL of a role that is subject to row-level security. */
  readonly subjectUrl: string
  dispose(): Promise<void>
}

const NEIGHBOURS = 20
const ROWS_PER_TENANT = 1_000
const SLOW_ROWS = 8
const MICROSECONDS = 1_000

export const SHARED_DATABASE = 'shared'
export const PLAIN_DATABASE = 'plain'

export async function createSharedStage(flushMs: number): Promise<SharedStage> {
  const server = await startOwnServer({ settings: { max_connections: '500', ...flushSettings(flushMs) } })
  try {
    const catalogUrl = await makeDatabase(server, 'catalog')
    const first = environmentOf(catalogUrl, await makeDatabase(server, SHARED_DATABASE))
    const tenant = await createTenant(first)
    const placeIds = await fillPlaces(server, SHARED_DATABASE, { tenantId: tenant.id, rows: ROWS_PER_TENANT })
    for (let i = 0; i < NEIGHBOURS; i += 1) {
      await fillPlaces(server, SHARED_DATABASE, { tenantId: newId(), rows: ROWS_PER_TENANT })
    }
    const plain = await createPlainDatabase(server)
    const slowIds = await createSlowRows(server, tenant.id)
    const second = { ...first, CATALOG_DATABASE_URL: await copyDatabase(server, catalogUrl, 'catalog_copy') }
    return {
      ...{ server, postmasters: [await postmasterOf(server)], environments: { first, second } },
      ...{ tenant, placeIds, slowIds, ...plain, dispose: () => server.dispose() },
    }
  } catch (error) {
    await server.dispose()
    throw error
  }
}

/** The data is in memory, where a flush takes no time. PostgreSQL waits before each one instead, for all that commit then. */
function flushSettings(flushMs: number): Record<string, string> {
  if (flushMs === 0) return {}
  const commit_delay = String(Math.round(flushMs * MICROSECONDS))
  return { fsync: 'on', synchronous_commit: 'on', commit_siblings: '0', commit_delay }
}

async function createTenant(environment: Record<string, string>): Promise<TenantAccess> {
  const gateway = await startGatewayProcess(environment)
  const operator = new Operator(gateway, environment.OPERATOR_TOKEN ?? '')
  return operator.createSigningTenant('bench').finally(() => gateway.stop())
}

/**
 * The tables as they would be without Freehold: the same columns, indexes and rows, in a database of their own, without its
 * triggers. Row-level security is there for the baselines that use it; the owner of the tables is not subject to it.
 */
async function createPlainDatabase(server: OwnServer): Promise<Pick<SharedStage, 'ownerUrl' | 'subjectUrl'>> {
  const password = randomBytes(12).toString('hex')
  await asSuperuser(server, 'postgres', async (client) => {
    await client.query(`CREATE DATABASE ${PLAIN_DATABASE} TEMPLATE ${SHARED_DATABASE}`)
  })
  await asSuperuser(server, PLAIN_DATABASE, async (client) => {
    await client.query(`
      CREATE ROLE plain LOGIN PASSWORD '${password}';
      CREATE ROLE subject LOGIN PASSWORD '${password}';
      CREATE SCHEMA app AUTHORIZATION plain;
      CREATE TABLE app.places (LIKE public.places INCLUDING ALL);
      INSERT INTO app.places SELECT * FROM public.places;
      ALTER TABLE app.places OWNER TO plain;
      ALTER TABLE app.places ENABLE ROW LEVEL SECURITY;
      CREATE POLICY tenant ON app.places
        USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
      GRANT USAGE ON SCHEMA app TO subject;
      GRANT SELECT, INSERT, UPDATE, DELETE ON app.places TO subject;
      ALTER ROLE ALL IN DATABASE ${PLAIN_DATABASE} SET search_path = app`)
    await client.query('VACUUM ANALYZE app.places')
  })
  const urlOf = (role: string) =>
    `postgresql://${role}:${password}@${server.host}:${server.port}/${PLAIN_DATABASE}`
  return { ownerUrl: urlOf('plain'), subjectUrl: urlOf('subject') }
}

/** Rows of another collection whose reading takes a quarter of a second: a second policy of that table sleeps. */
async function createSlowRows(server: OwnServer, tenantId: string): Promise<string[]> {
  return asSuperuser(server, SHARED_DATABASE, async (client) => {
    await client.query('SET session_replication_role = replica')
    await client.query(manyRows(contacts), [[tenantId], SLOW_ROWS])
    await client.query(`
      CREATE SCHEMA bench;
      GRANT USAGE ON SCHEMA bench TO PUBLIC;
      CREATE FUNCTION bench.slow() RETURNS boolean LANGUAGE plpgsql COST 100000
        AS 'BEGIN PERFORM pg_catalog.pg_sleep(0.25); RETURN true; END';
      CREATE POLICY bench_slow ON public.contacts AS RESTRICTIVE FOR SELECT USING (bench.slow())`)
    const { rows } = await client.query('SELECT id FROM public.contacts WHERE tenant_id = $1', [tenantId])
    return rows.map(({ id }) => id as string)
  })
}

export const COLLECTIONS = { fast: `/api/v1/${places.name}`, slow: `/api/v1/${contacts.name}` }
