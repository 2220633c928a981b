import type { LookupFunction } from 'node:net'
import { LRUCache } from 'lru-cache'
import { identityOf } from '../catalog/databases/entry.ts'
import type { DatabaseRegistry } from '../catalog/databases/registry.ts'
import type { HandshakeOptions, SslMode } from '../lib/postgres/connection-string.ts'
import type { ServerAddress } from '../lib/postgres/pg.ts'
import { newServerTraits, type ServerTraits } from '../lib/postgres/server-traits.ts'

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
  readonly handshake: HandshakeOptions
}

/** A place with what validation found there; an oid of null was never looked at. */
export interface ValidatedPlace extends DatabasePlace {
  readonly systemIdentifier: string | null
  readonly databaseOid: number | null
}

const MAX_SERVERS = 10_000

/** Makes the addresses of tenants' databases. Every connection passes the egress policy, at the moment it is made. */
export class AddressBook {
  readonly #registry: Pick<DatabaseRegistry, 'openTarget' | 'forgetTarget'>
  readonly #lookupFor: (port: number) => LookupFunction
  readonly #applicationName: string
  /** By host and port. What is forgotten is found out again by the next connection. */
  readonly #traits = new LRUCache<string, ServerTraits>({ max: MAX_SERVERS })

  constructor(options: {
    registry: Pick<DatabaseRegistry, 'openTarget' | 'forgetTarget'>
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
      onDenied: () => this.#registry.forgetTarget(place),
      sslMode: place.sslMode as SslMode,
      caCertificate: place.caCertificate,
      handshake: place.handshake,
      applicationName: place.applicationName ?? this.#applicationName,
      lookup: this.#lookupFor(place.port),
      traits: this.#mannersOf(`${place.host}:${place.port}`),
    }
  }

  #mannersOf(server: string): ServerTraits {
    const known = this.#traits.get(server) ?? newServerTraits()
    this.#traits.set(server, known)
    return known
  }

  /** As `addressOf`, for those who mean the database that was validated, and no other that may have taken its place. */
  validatedAddressOf(place: ValidatedPlace): ServerAddress {
    const identity = identityOf(place)
    return { ...this.addressOf(place), expected: () => identity }
  }
}
