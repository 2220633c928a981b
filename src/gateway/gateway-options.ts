import type { Application } from '../application.ts'
import type { Settings } from '../config/settings.ts'
import type { MasterKey } from '../crypto/key-source.ts'
import type { Embedded } from '../embedded/start.ts'
import type { HashCost } from '../identity/login/passwords.ts'
import type { ConnectionTarget } from '../lib/postgres/connection-string.ts'
import { type HostRules, parseHostRules } from '../lib/postgres/egress.ts'
import { addressOfTarget, type ServerAddress } from '../lib/postgres/pg.ts'
import { newServerTraits } from '../lib/postgres/server-traits.ts'
import type { Secret } from '../lib/secret.ts'
import type { Logger } from '../logger.ts'

/** The gateway's own databases. An owner is null if the serving role owns the schema. */
export interface GatewayDatabases {
  readonly catalog: ServerAddress
  readonly catalogOwner: ServerAddress | null
  readonly shared: ServerAddress
  readonly sharedOwner: ServerAddress | null
}

export interface GatewayOptions {
  readonly application: Application
  readonly settings: Settings
  readonly databases: GatewayDatabases
  readonly encryptionKey: MasterKey
  readonly operatorToken: Secret | null
  readonly hostRules: HostRules | null
  /** The cost of a password hash. Not a setting: only tests have a reason to lower it. */
  readonly passwordCost?: HashCost
  readonly log: Logger
}

interface OptionSources {
  readonly application: Application
  /** The embedded PostgreSQL; null if the settings name the databases. */
  readonly embedded: Embedded | null
  readonly log: Logger
}

/** Makes the options of a gateway from the settings. If they name no databases, it uses those of the embedded server. */
export function gatewayOptions(
  settings: Settings,
  { application, embedded, log }: OptionSources,
): GatewayOptions {
  if (embedded === null) {
    const { encryptionKey, operatorToken, hostRules } = settings
    if (encryptionKey === null) throw new Error('settings without a key')
    const databases = databasesOf(settings)
    return { settings, application, databases, encryptionKey, operatorToken, hostRules, log }
  }
  const { server, databases, encryptionKey, operatorToken } = embedded
  return {
    settings,
    application,
    databases: {
      catalog: databases.catalog,
      catalogOwner: null,
      shared: databases.shared,
      sharedOwner: databases.sharedOwner,
    },
    encryptionKey: settings.encryptionKey ?? encryptionKey,
    operatorToken: settings.operatorToken ?? operatorToken,
    hostRules: settings.hostRules ?? parseHostRules(`${server.host}:${server.port}`),
    log,
  }
}

/** The catalog and the shared database that the settings name, with the roles that own them. */
export function databasesOf(settings: Settings): GatewayDatabases {
  const { databases } = settings
  if (databases === null) throw new Error('settings without databases')
  const owner = (target: ConnectionTarget | null) => target && addressOf(target, settings)
  return {
    catalog: addressOf(databases.catalog, settings),
    catalogOwner: owner(databases.catalogMigration),
    shared: addressOf(databases.shared, settings),
    sharedOwner: owner(databases.sharedMigration),
  }
}

function addressOf(target: ConnectionTarget, { sslModeDefault }: Settings): ServerAddress {
  const applicationName = target.applicationName ?? 'freehold'
  return addressOfTarget(target, { sslMode: sslModeDefault, applicationName })
}

/**
 * Adds a record for the traits of its server to each database; connections fill it. The catalog needs connections that keep their
 * session, because the change follower uses LISTEN and replicas hold locks.
 */
export function withServerTraits(databases: GatewayDatabases): GatewayDatabases {
  const { catalog, catalogOwner, shared, sharedOwner } = databases
  const known = (address: ServerAddress) => ({ ...address, traits: address.traits ?? newServerTraits() })
  const whole = (address: ServerAddress) => ({ ...known(address), needsSession: true })
  return {
    catalog: whole(catalog),
    catalogOwner: catalogOwner && whole(catalogOwner),
    shared: known(shared),
    sharedOwner: sharedOwner && known(sharedOwner),
  }
}
