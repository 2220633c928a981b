import { effectiveSslMode, parseConnectionString } from '../lib/postgres/connection-string.ts'
import type { ServerAddress } from '../lib/postgres/pg.ts'

/** Where a connection string leads. */
export function addressOf(url: string): ServerAddress {
  const target = parseConnectionString(url)
  return {
    host: target.host,
    port: target.port,
    database: target.database,
    user: target.user,
    password: async () => target.password.reveal(),
    sslMode: effectiveSslMode(target, 'verify-full'),
    caCertificate: null,
    handshake: target.handshake,
    applicationName: 'freehold-testing',
    lookup: null,
  }
}
