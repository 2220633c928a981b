import { resolve } from 'node:path'
import type { Application } from '../application.ts'
import { generateMasterKey, type MasterKey, parseMasterKey } from '../crypto/key-source.ts'
import { Secret } from '../lib/secret.ts'
import { bringUpToDate } from './bring-up-to-date.ts'
import { DEMO_DATABASES } from './demo.ts'
import { type EmbeddedDatabases, provision } from './provision.ts'
import { randomToken, readOrCreateSecret } from './secret-file.ts'
import { type EmbeddedServer, startEmbeddedServer } from './server.ts'

/** The embedded server, and values that otherwise come from the settings. They are created once and stored in the directory. */
export interface Embedded {
  readonly server: EmbeddedServer
  readonly databases: EmbeddedDatabases
  /** Names of the tenant databases of an earlier release that this start has migrated. */
  readonly migrated: ReadonlySet<string>
  readonly encryptionKey: MasterKey
  readonly operatorToken: Secret
  /** The path of a file that exists once the demo was completely seeded. */
  readonly seededMark: string
}

/** The same at each start if possible, because the catalog stores it for the dedicated databases of the demo. */
const PREFERRED_PORT = 54_329

/**
 * Starts an embedded PostgreSQL with its data in `.freehold/` of the working directory. Creates missing files and databases, and
 * migrates the databases of an earlier release.
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
