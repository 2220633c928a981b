import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { newId } from '../src/lib/ids.ts'
import type { OwnServer } from '../test/support/second-server.ts'

/** Settings of a gateway for these two databases, without rate limits in the way. */
export function environmentOf(catalogUrl: string, sharedUrl: string): Record<string, string> {
  return {
    CATALOG_DATABASE_URL: catalogUrl,
    SHARED_DATABASE_URL: sharedUrl,
    ENCRYPTION_KEY: randomBytes(32).toString('base64'),
    OPERATOR_TOKEN: randomBytes(32).toString('base64url'),
    DATABASE_HOSTS_ALLOWED: '127.0.0.1',
    SHUTDOWN_GRACE_SECONDS: '2',
    // One token is used for all requests here.
    RATE_LIMIT_PER_MINUTE: '1000000000',
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

/** Copies a database to which nothing is connected, for the same role, and returns the URL of the copy. */
export async function copyDatabase(server: OwnServer, of: string, name: string): Promise<string> {
  const url = new URL(of)
  const original = url.pathname.slice(1)
  await asSuperuser(server, 'postgres', (client) =>
    client.query(`CREATE DATABASE ${name} OWNER ${url.username} TEMPLATE ${original} STRATEGY file_copy`),
  )
  url.pathname = `/${name}`
  return url.href
}

/** Fills a tenant's places, runs the statements `after`, and returns the ids in the order of a list. */
export async function fillPlaces(
  server: OwnServer,
  database: string,
  { tenantId, rows, after = '' }: { tenantId: string; rows: number; after?: string },
): Promise<string[]> {
  return asSuperuser(server, database, async (client) => {
    const ids = Array.from({ length: rows }, () => newId())
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
    if (after !== '') await client.query(after)
    return ids
  })
}

/** The process whose children are the backends, so their CPU time can be measured apart. */
export async function postmasterOf(server: OwnServer): Promise<number> {
  return asSuperuser(server, 'postgres', async (client) => {
    const { rows } = await client.query(
      "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int AS pid",
    )
    return rows[0].pid as number
  })
}

/** Lends a superuser's connection to a database. */
export function asSuperuser<T>(
  server: OwnServer,
  database: string,
  fn: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const url = new URL(server.superuserUrl)
  url.pathname = `/${database}`
  return withClient(url.href, fn)
}

/** Lends a connection. */
export async function withClient<T>(url: string, fn: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await fn(client)
  } finally {
    await client.end()
  }
}
