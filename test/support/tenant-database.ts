import { Client } from 'pg'
import type { Route } from '../../src/catalog/directory.ts'
import { parseConnectionString } from '../../src/lib/connection-string.ts'
import { newId } from '../../src/lib/ids.ts'
import type { ServerAddress } from '../../src/lib/pg.ts'
import { applyMigrations } from '../../src/migrations/apply.ts'
import { stamp } from '../../src/operations/residence.ts'
import { tenantMigrations } from './application.ts'
import { createDatabase, createRole, urlFor } from './database.ts'

/** An ordinary role's own database with the tenant schema, as an operator would hand it over after one validation. */
export async function createTenantDatabase(): Promise<{ url: string; database: string; role: string }> {
  const role = await createRole()
  const database = await createDatabase({ owner: role.name })
  const url = urlFor({ role, database })
  await withClient(url, async (client) => {
    await applyMigrations(client, await tenantMigrations(), { lockTimeoutMs: 10_000 })
  })
  return { url, database, role: role.name }
}

/** Stamps a new tenant into the database and gives its id. */
export async function moveIn(url: string, epoch = 1): Promise<string> {
  const tenantId = newId()
  await withClient(url, (client) => stamp(client, tenantId, epoch))
  return tenantId
}

/** The way to a tenant that was moved in. */
export function routeOf(tenantId: string, epoch = 1): Route {
  return { tenantId, epoch, placement: 'shared', status: 'ACTIVE', database: null } as unknown as Route
}

/** Lends one plain connection, with nothing set on it. That it ends is told to the query under way, if any. */
export async function withClient<T>(url: string, fn: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  try {
    return await fn(client)
  } finally {
    await client.end()
  }
}

export function addressOf(url: string, overrides: Partial<ServerAddress> = {}): ServerAddress {
  const target = parseConnectionString(url)
  return {
    host: target.host,
    port: target.port,
    database: target.database,
    user: target.user,
    password: async () => target.password.reveal(),
    sslMode: 'disable',
    caCertificate: null,
    applicationName: 'freehold-test',
    lookup: null,
    ...overrides,
  }
}
