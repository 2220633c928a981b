import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { newId } from '../src/lib/ids.ts'
import { type OwnServer, startOwnServer } from '../test/support/second-server.ts'
import { type ServerProcess, startGatewayProcess } from './processes.ts'

/** A tenant with rows, and the database in which a hand-written service finds the same rows. */
export interface Home {
  readonly tenantId: string
  readonly token: string
  readonly placeIds: readonly string[]
  /** The URL of a role that is no superuser, but bypasses row-level security. */
  readonly plainUrl: string
}

export type Placement = 'shared' | 'dedicated'

export interface Stage {
  readonly servers: readonly OwnServer[]
  readonly homes: Readonly<Record<Placement, Home>>
  readonly environment: Readonly<Record<string, string>>
  dispose(): Promise<void>
}

/** Connections that each service may hold to its database. */
export const POOL_SIZE = 20
const NEIGHBOURS = 20
const PLACES_PER_TENANT = 1_000
const PLAIN_ROLE = 'plain'

/**
 * Two PostgreSQL servers, as an operator has them: one with the catalog and the shared database, in which the measured
 * tenant lives among others, and one with the database that the other measured tenant has for itself.
 */
export async function createStage(): Promise<Stage> {
  const settings = { max_connections: '300' }
  const servers = [await startOwnServer({ settings }), await startOwnServer({ settings })] as const
  const dispose = async () => {
    for (const server of servers) await server.dispose()
  }
  try {
    const [central, own] = servers
    const catalogUrl = await makeDatabase(central, 'catalog')
    const sharedUrl = await makeDatabase(central, 'shared')
    const ownUrl = await makeDatabase(own, 'tenant')
    const environment = environmentOf(catalogUrl, sharedUrl)
    const gateway = await startGatewayProcess(environment)
    const homes = await settle(gateway, environment, { central, own, ownUrl }).finally(() => gateway.stop())
    return { servers, homes, environment, dispose }
  } catch (error) {
    await dispose()
    throw error
  }
}

interface Ground {
  readonly central: OwnServer
  readonly own: OwnServer
  readonly ownUrl: string
}

async function settle(
  gateway: ServerProcess,
  environment: Record<string, string>,
  { central, own, ownUrl }: Ground,
): Promise<Stage['homes']> {
  const api = new Operator(gateway, environment.OPERATOR_TOKEN ?? '')
  const shared = await api.createTenant('bench-shared')
  const dedicated = await api.createTenant('bench-dedicated')
  await api.giveDatabase(dedicated.id, ownUrl)
  const plainShared = await makePlainRole(central, 'shared')
  const plainOwn = await makePlainRole(own, 'tenant')
  await fillNeighbours(central)
  return {
    shared: {
      tenantId: shared.id,
      token: shared.token,
      plainUrl: plainShared,
      placeIds: await fillPlaces(central, 'shared', shared.id),
    },
    dedicated: {
      tenantId: dedicated.id,
      token: dedicated.token,
      plainUrl: plainOwn,
      placeIds: await fillPlaces(own, 'tenant', dedicated.id),
    },
  }
}

/** Settings of a gateway for these two databases, without rate limits in the way. */
export function environmentOf(catalogUrl: string, sharedUrl: string): Record<string, string> {
  return {
    CATALOG_DATABASE_URL: catalogUrl,
    SHARED_DATABASE_URL: sharedUrl,
    ENCRYPTION_KEY: randomBytes(32).toString('base64'),
    OPERATOR_TOKEN: randomBytes(32).toString('base64url'),
    DATABASE_HOSTS_ALLOWED: '127.0.0.1',
    MAX_CONNECTIONS_PER_SERVER: String(POOL_SIZE),
    SHUTDOWN_GRACE_SECONDS: '2',
    // One token is used for all requests here.
    RATE_LIMIT_PER_MINUTE: '1000000000',
  }
}

/** A program of a tenant. */
export interface Client {
  readonly tenantId: string
  readonly headers: Readonly<Record<string, string>>
}

/** Creates the tenants by the operator's API. */
export class Operator {
  readonly #url: string
  readonly #token: string

  constructor({ port }: ServerProcess, token: string) {
    this.#url = `http://127.0.0.1:${port}/api/v1`
    this.#token = token
  }

  async createTenant(code: string): Promise<{ id: string; token: string }> {
    const admin = { email: `admin@${code}.example`, password: randomBytes(18).toString('base64url') }
    const { id } = await this.#call<{ id: string }>('POST', '/tenants', {
      ...{ code, name: code, admin },
      authConfig: { accessTokenSeconds: 3_600 },
    })
    const { accessToken } = await this.#call<{ accessToken: string }>('POST', '/auth/login', {
      tenantCode: code,
      ...admin,
    })
    return { id, token: accessToken }
  }

  /** A tenant without people, and the headers of one of its clients. */
  async createClient(code: string, permissions: readonly string[]): Promise<Client> {
    const { id } = await this.#call<{ id: string }>('POST', '/tenants', { code, name: code })
    const path = `/tenants/${id}/client-keys`
    const { key } = await this.#call<{ key: string }>('POST', path, { name: 'bench', permissions })
    return { tenantId: id, headers: { 'x-client-key': key, 'x-tenant-code': code } }
  }

  async giveDatabase(tenantId: string, connectionString: string): Promise<void> {
    const path = `/tenants/${tenantId}/database`
    await this.#call('PUT', path, { connectionString, poolSize: POOL_SIZE })
    for (let attempt = 0; attempt < 200; attempt += 1) {
      const { status, lastError } = await this.#call<{ status: string; lastError: unknown }>('GET', path)
      if (status === 'active') return
      if (status !== 'pending_validation') throw new Error(`the database is ${JSON.stringify(lastError)}`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    throw new Error('the database did not become active')
  }

  async #call<Body>(method: string, path: string, body?: unknown): Promise<Body> {
    const response = await fetch(this.#url + path, {
      method,
      headers: {
        ...(path.startsWith('/auth/') ? {} : { authorization: `Bearer ${this.#token}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      body: body === undefined ? null : JSON.stringify(body),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
    return JSON.parse(text) as Body
  }
}

/** Creates a database with its own role, and returns that role's URL. */
export async function makeDatabase(server: OwnServer, name: string): Promise<string> {
  const password = randomBytes(12).toString('hex')
  const role = `serves_${name}`
  await asSuperuser(server, 'postgres', async (client) => {
    await client.query(`CREATE ROLE ${role} LOGIN PASSWORD '${password}'`)
    await client.query(`CREATE DATABASE ${name} OWNER ${role} TEMPLATE template0`)
  })
  return `postgresql://${role}:${password}@${server.host}:${server.port}/${name}`
}

/** The tables have row-level security for all roles; this attribute switches it off for one. */
async function makePlainRole(server: OwnServer, database: string): Promise<string> {
  const password = randomBytes(12).toString('hex')
  await asSuperuser(server, database, async (client) => {
    await client.query(`CREATE ROLE ${PLAIN_ROLE} LOGIN BYPASSRLS PASSWORD '${password}'`)
    await client.query(`GRANT SELECT ON public.places TO ${PLAIN_ROLE}`)
  })
  return `postgresql://${PLAIN_ROLE}:${password}@${server.host}:${server.port}/${database}`
}

async function fillNeighbours(server: OwnServer): Promise<void> {
  for (let i = 0; i < NEIGHBOURS; i += 1) await fillPlaces(server, 'shared', newId())
}

async function fillPlaces(server: OwnServer, database: string, tenantId: string): Promise<string[]> {
  return asSuperuser(server, database, async (client) => {
    const ids = Array.from({ length: PLACES_PER_TENANT }, () => newId())
    await client.query(
      `INSERT INTO public.places (tenant_id, id, name, kind, address, latitude, longitude, created_at, updated_at)
       SELECT $1, id, 'Garden Court ' || n, (ARRAY['building', 'land', 'parking', 'other'])[n % 4 + 1],
              jsonb_build_object('line1', n || ' Long Lane', 'postalCode', (10000 + n)::text, 'city', 'Delft', 'country', 'NL'),
              52 + n / 10000.0, 4 + n / 10000.0,
              '2026-01-01'::timestamptz + n * interval '61.234567 s', '2026-01-01'::timestamptz + n * interval '71.234567 s'
         FROM unnest($2::uuid[]) WITH ORDINALITY AS made (id, n)`,
      [tenantId, ids],
    )
    await client.query('VACUUM ANALYZE public.places')
    return ids
  })
}

/** Lends a superuser's connection to a database. */
export async function asSuperuser<T>(
  server: OwnServer,
  database: string,
  fn: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const url = new URL(server.superuserUrl)
  url.pathname = `/${database}`
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  try {
    return await fn(client)
  } finally {
    await client.end()
  }
}
