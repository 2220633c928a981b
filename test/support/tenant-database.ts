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

/** A database of an ordinary role with the tenant schema, as after one validation. */
export async function createTenantDatabase(
  application: Application = property,
): Promise<{ url: string; database: string; role: string }> {
  const role = await createRole()
  const database = await createMigrated(role.name, application)
  const url = urlFor({ role, database })
  return { url, database, role: role.name }
}

/** Creates a stamp for a new tenant in the database, and returns its id. */
export async function moveIn(url: string, epoch = 1): Promise<string> {
  const tenantId = newId()
  await withClient(url, (client) => stamp(client, routeOf(tenantId, epoch)))
  return tenantId
}

/** The route to a tenant that lives there. */
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
