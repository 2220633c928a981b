import { resolve } from 'node:path'
import type { Application } from '../application.ts'
import { generateMasterKey, type MasterKey, parseMasterKey } from '../crypto/key-source.ts'
import { Secret } from '../lib/secret.ts'
import { bringUpToDate } from './bring-up-to-date.ts'
import { DEMO_DATABASES } from './demo.ts'
import { type EmbeddedDatabases, provision } from './provision.ts'
import { randomToken, readOrCreateSecret } from './secret-file.ts'
import { type EmbeddedServer, startEmbeddedServer } from './server.ts'

/** Everything that settings would say, made once and kept in the directory. */
export interface Embedded {
  readonly server: EmbeddedServer
  readonly databases: EmbeddedDatabases
  /** Names of tenants' databases that an earlier release had left, and that this start has migrated. */
  readonly migrated: ReadonlySet<string>
  readonly encryptionKey: MasterKey
  readonly operatorToken: Secret
  /** Says by being there that the demo was seeded whole. */
  readonly seededMark: string
}

/** Kept from start to start where possible: the catalog remembers it for the demo's own databases. */
const PREFERRED_PORT = 54_329

/**
 * Starts a PostgreSQL of our own with data below `.freehold/` of the working directory, and makes what is missing there. What
 * an earlier release has left is brought up to date.
 * @throws EmbeddedServerError
 */
export async function startEmbedded(
  application: Application,
  log: (line: string) => void,
): Promise<Embedded> {
  const directory = resolve('.freehold')
  const encryptionKey = parseMasterKey(
    await readOrCreateSecret(`${directory}/encryption-key`, generateMasterKey),
  )
  const operatorToken = new Secret(await readOrCreateSecret(`${directory}/operator-token`, randomToken))
  const server = await startEmbeddedServer({ dataDir: `${directory}/postgres`, port: PREFERRED_PORT, log })
  try {
    const databases = await provision(server, directory, DEMO_DATABASES)
    const migrated = await bringUpToDate(databases.dedicated.values(), application, log)
    const seededMark = `${directory}/demo-seeded`
    return { server, databases, migrated, encryptionKey, operatorToken, seededMark }
  } catch (error) {
    await server.stop()
    throw error
  }
}
