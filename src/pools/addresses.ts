import type { LookupFunction } from 'node:net'
import type { DatabaseRegistry } from '../catalog/databases.ts'
import type { SslMode } from '../lib/connection-string.ts'
import type { ServerAddress } from '../lib/pg.ts'

/** What an entry of the catalog says of where its database is; never the password. */
export interface DatabasePlace {
  readonly id: string
  readonly tenantId: string
  readonly rowVersion: number
  readonly host: string
  readonly port: number
  readonly databaseName: string
  readonly userName: string
  /** As the connection string asks for it; null takes the gateway's own. */
  readonly applicationName: string | null
  readonly sslMode: string
  readonly caCertificate: string | null
}

/** Makes the addresses of tenants' databases. Every connection passes the egress policy, at the moment it is made. */
export class AddressBook {
  readonly #registry: Pick<DatabaseRegistry, 'openTarget'>
  readonly #lookupFor: (port: number) => LookupFunction
  readonly #applicationName: string

  constructor(options: {
    registry: Pick<DatabaseRegistry, 'openTarget'>
    lookupFor: (port: number) => LookupFunction
    applicationName: string
  }) {
    this.#registry = options.registry
    this.#lookupFor = options.lookupFor
    this.#applicationName = options.applicationName
  }

  addressOf(place: DatabasePlace): ServerAddress {
    return {
      host: place.host,
      port: place.port,
      database: place.databaseName,
      user: place.userName,
      password: async () => (await this.#registry.openTarget(place)).password.reveal(),
      sslMode: place.sslMode as SslMode,
      caCertificate: place.caCertificate,
      applicationName: place.applicationName ?? this.#applicationName,
      lookup: this.#lookupFor(place.port),
    }
  }
}
