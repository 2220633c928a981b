import type pg from 'pg'
import type { SslMode } from '../lib/postgres/connection-string.ts'
import { connectClient, type ServerAddress } from '../lib/postgres/pg.ts'
import { Secret } from '../lib/secret.ts'
import { randomToken, readOrCreateSecret } from './secret-file.ts'
import type { EmbeddedServer } from './server.ts'

/** The databases of an embedded server, with the roles that use them. */
export interface EmbeddedDatabases {
  readonly catalog: ServerAddress
  readonly shared: ServerAddress
  readonly sharedOwner: ServerAddress
  /** Databases for one tenant each, with their own roles, by name. */
  readonly dedicated: ReadonlyMap<string, ServerAddress>
}

const CATALOG = 'freehold_catalog'
const SHARED = 'freehold_shared'
const SHARED_OWNER = 'freehold_shared_owner'

/**
 * Creates the missing roles and databases of an embedded server. As in production, no serving role is a superuser, and the serving role of
 * the shared database does not own its tables.
 */
export async function provision(
  server: EmbeddedServer,
  directory: string,
  dedicated: readonly string[],
): Promise<EmbeddedDatabases> {
  const addressFor = async (role: string, database: string) =>
    addressOf(server, {
      role,
      database,
      password: new Secret(await readOrCreateSecret(`${directory}/role-${role}`, randomToken)),
    })
  const catalog = await addressFor(CATALOG, CATALOG)
  const sharedOwner = await addressFor(SHARED_OWNER, SHARED)
  const shared = await addressFor(SHARED, SHARED)
  const own = new Map<string, ServerAddress>()
  for (const name of dedicated) own.set(name, await addressFor(name, name))
  await asSuperuser(server, 'postgres', async (client) => {
    for (const address of [catalog, sharedOwner, shared, ...own.values()]) await ensureRole(client, address)
    for (const address of [catalog, sharedOwner, ...own.values()]) await ensureDatabase(client, address)
  })
  await asSuperuser(server, SHARED, async (client) => {
    await client.query(
      `GRANT CONNECT ON DATABASE ${SHARED} TO ${SHARED}; GRANT USAGE ON SCHEMA public TO ${SHARED}`,
    )
    await client.query(
      `ALTER DEFAULT PRIVILEGES FOR ROLE ${SHARED_OWNER} IN SCHEMA public
         GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO ${SHARED}`,
    )
  })
  return { catalog, shared, sharedOwner, dedicated: own }
}

interface Login {
  readonly role: string
  readonly database: string
  readonly password: Secret
}

function addressOf(server: EmbeddedServer, { role, database, password }: Login): ServerAddress {
  const sslMode: SslMode = 'disable'
  return {
    host: server.host,
    port: server.port,
    database,
    user: role,
    password: async () => password.reveal(),
    sslMode,
    caCertificate: null,
    applicationName: 'freehold',
    lookup: null,
  }
}

async function asSuperuser(
  server: EmbeddedServer,
  database: string,
  fn: (client: pg.Client) => Promise<void>,
): Promise<void> {
  const { user, password } = server.superuser
  const address = addressOf(server, { role: user, database, password })
  const client = await connectClient(address, { connectTimeoutMs: 10_000, statementTimeoutMs: 60_000 })
  try {
    await fn(client)
  } finally {
    await client.end()
  }
}

/** Sets the password at every start, so that it matches its file. */
async function ensureRole(client: pg.Client, { user, password }: ServerAddress): Promise<void> {
  const { rowCount } = await client.query('SELECT FROM pg_catalog.pg_roles WHERE rolname = $1', [user])
  const verb = rowCount === 0 ? 'CREATE' : 'ALTER'
  const secret = client.escapeLiteral(await password())
  await client.query(
    `${verb} ROLE ${client.escapeIdentifier(user)} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE PASSWORD ${secret}`,
  )
}

async function ensureDatabase(client: pg.Client, { database, user }: ServerAddress): Promise<void> {
  const { rowCount } = await client.query('SELECT FROM pg_catalog.pg_database WHERE datname = $1', [database])
  if (rowCount !== 0) return
  const name = client.escapeIdentifier(database)
  await client.query(`CREATE DATABASE ${name} OWNER ${client.escapeIdentifier(user)} TEMPLATE template0`)
  await client.query(`REVOKE ALL ON DATABASE ${name} FROM PUBLIC`)
}
