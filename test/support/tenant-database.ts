import type { Application } from '../../src/application.ts'
import type { Route } from '../../src/catalog/directory.ts'
import { stamp } from '../../src/databases/residence.ts'
import { newId } from '../../src/lib/ids.ts'
import { parseConnectionString } from '../../src/lib/postgres/connection-string.ts'
import type { ServerAddress } from '../../src/lib/postgres/pg.ts'
import { property } from './application.ts'
import { createRole, urlFor } from './database.ts'
import { createMigrated, withClient } from './migrated.ts'
import { sealOf } from './seals.ts'

export { withClient }

/** An ordinary role's own database with the tenant schema, as an operator would hand it over after one validation. */
export async function createTenantDatabase(
  application: Application = property,
): Promise<{ url: string; database: string; role: string }> {
  const role = await createRole()
  const database = await createMigrated(role.name, application)
  const url = urlFor({ role, database })
  return { url, database, role: role.name }
}

/** Stamps a new tenant into the database and gives its id. */
export async function moveIn(url: string, epoch = 1): Promise<string> {
  const tenantId = newId()
  await withClient(url, (client) => stamp(client, routeOf(tenantId, epoch)))
  return tenantId
}

/** The way to a tenant that was moved in. */
export function routeOf(tenantId: string, epoch = 1): Route {
  const home = { tenantId, epoch, placement: 'shared' } as const
  return { ...home, seal: sealOf(home), status: 'ACTIVE', database: null } as unknown as Route
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
