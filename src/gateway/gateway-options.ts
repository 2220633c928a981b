import type { Application } from '../application.ts'
import type { Settings } from '../config/settings.ts'
import type { Embedded } from '../embedded/start.ts'
import { type ConnectionTarget, effectiveSslMode } from '../lib/postgres/connection-string.ts'
import { parseHostRules } from '../lib/postgres/egress.ts'
import type { ServerAddress } from '../lib/postgres/pg.ts'
import type { Logger } from '../logger.ts'
import type { GatewayOptions } from './parts.ts'

export interface Given {
  readonly application: Application
  /** The PostgreSQL that was started because settings name none. */
  readonly embedded: Embedded | null
  readonly log: Logger
}

/** What a gateway is built from: the settings, and where they name no databases the embedded server's. */
export function gatewayOptions(settings: Settings, { application, embedded, log }: Given): GatewayOptions {
  if (embedded === null) {
    const { encryptionKey, operatorToken, hostRules } = settings
    if (encryptionKey === null) throw new Error('settings without a key')
    const databases = givenDatabases(settings)
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

/** The catalog and the shared database that settings name, with the roles that own them. */
export function givenDatabases(settings: Settings): GatewayOptions['databases'] {
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

function addressOf(target: ConnectionTarget, settings: Settings): ServerAddress {
  return {
    host: target.host,
    port: target.port,
    database: target.database,
    user: target.user,
    password: async () => target.password.reveal(),
    sslMode: effectiveSslMode(target, settings.sslModeDefault),
    caCertificate: null,
    handshake: target.handshake,
    applicationName: target.applicationName ?? 'freehold',
    lookup: null,
  }
}
