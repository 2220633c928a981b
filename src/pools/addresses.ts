import type { LookupFunction } from 'node:net'
import { LRUCache } from 'lru-cache'
import type { OpenedTarget } from '../catalog/databases/credentials.ts'
import { identityOf } from '../catalog/databases/entry.ts'
import type { DatabaseRegistry } from '../catalog/databases/registry.ts'
import { atMost } from '../lib/cache/at-most.ts'
import type { HandshakeOptions, SslMode } from '../lib/postgres/connection-string.ts'
import { addressOfTarget, type ServerAddress } from '../lib/postgres/pg.ts'
import { newServerTraits, type ServerTraits } from '../lib/postgres/server-traits.ts'

/** A database's location from its entry in the catalog, without the password. */
export interface DatabaseLocation {
  readonly id: string
  readonly tenantId: string
  readonly rowVersion: number
  readonly host: string
  readonly port: number
  readonly databaseName: string
  readonly userName: string
  /** From the connection string. If null, the gateway's own name is used. */
  readonly applicationName: string | null
  readonly sslMode: string
  readonly caCertificate: string | null
  readonly handshake: HandshakeOptions
}

/** A location with the identity that validation found there. `databaseOid` is null if it was never validated. */
export interface ValidatedLocation extends DatabaseLocation {
  readonly systemIdentifier: string | null
  readonly databaseOid: number | null
}

const MAX_SERVERS = 10_000

/** Makes the addresses of dedicated databases. The egress policy checks every connection when it is opened. */
export class AddressBook {
  readonly #registry: Pick<DatabaseRegistry, 'openTarget' | 'forgetTarget'>
  readonly #lookupFor: (port: number) => LookupFunction
  readonly #applicationName: string
  /** By host and port. Dropped traits are learned again by the next connection. */
  readonly #traits = new LRUCache<string, ServerTraits>(atMost(MAX_SERVERS))

  constructor(options: {
    registry: Pick<DatabaseRegistry, 'openTarget' | 'forgetTarget'>
    lookupFor: (port: number) => LookupFunction
    applicationName: string
  }) {
    this.#registry = options.registry
    this.#lookupFor = options.lookupFor
    this.#applicationName = options.applicationName
  }

  addressOf(location: DatabaseLocation): ServerAddress {
    return {
      host: location.host,
      port: location.port,
      database: location.databaseName,
      user: location.userName,
      password: async () => (await this.#registry.openTarget(location)).password.reveal(),
      onDenied: () => this.#registry.forgetTarget(location),
      sslMode: location.sslMode as SslMode,
      caCertificate: location.caCertificate,
      handshake: location.handshake,
      applicationName: location.applicationName ?? this.#applicationName,
      lookup: this.#lookupFor(location.port),
      traits: this.#traitsOf(`${location.host}:${location.port}`),
    }
  }

  /** The address of a server for its administrator, who has no entry. The egress policy checks each connection there too. */
  administratorAddressOf(target: OpenedTarget, caCertificate: string | null): ServerAddress {
    const defaults = {
      sslMode: target.sslMode,
      applicationName: target.applicationName ?? this.#applicationName,
    }
    return { ...addressOfTarget(target, defaults), caCertificate, lookup: this.#lookupFor(target.port) }
  }

  #traitsOf(server: string): ServerTraits {
    const known = this.#traits.get(server) ?? newServerTraits()
    this.#traits.set(server, known)
    return known
  }

  /** Like `addressOf`, but a connection is refused if another database than the validated one is there. */
  validatedAddressOf(location: ValidatedLocation): ServerAddress {
    const identity = identityOf(location)
    return { ...this.addressOf(location), expected: () => identity }
  }
}
