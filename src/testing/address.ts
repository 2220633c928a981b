import { parseConnectionString } from '../lib/postgres/connection-string.ts'
import { addressOfTarget, type ServerAddress } from '../lib/postgres/pg.ts'

/** The address in a connection string. */
export function addressOf(url: string): ServerAddress {
  const target = parseConnectionString(url)
  return addressOfTarget(target, { sslMode: 'verify-full', applicationName: 'freehold-testing' })
}
