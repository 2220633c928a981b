import type { Application } from '../application.ts'
import { connectClient, type ServerAddress } from '../lib/postgres/pg.ts'
import { applyMigrations } from '../migrations/apply.ts'
import { readTenantMigrations } from '../migrations/files.ts'
import { readJournal } from '../migrations/journal.ts'
import { MigrationError } from '../migrations/migration-error.ts'
import { EmbeddedServerError } from './failure.ts'

const LIMITS = { connectTimeoutMs: 10_000, statementTimeoutMs: 0 }
const LOCK_TIMEOUT_MS = 10_000

/** How an operator starts again with an empty server. */
export const START_OVER =
  'To start over, which deletes the data: npm run demo:reset, or in your own project delete the folder .freehold.'

/**
 * Applies the migrations that are new since the last start to the dedicated databases on the embedded server, and returns the
 * names of the databases that it changed. It skips databases that were never used: registration prepares them.
 * @throws EmbeddedServerError DATA_UNUSABLE
 */
export async function bringUpToDate(
  databases: Iterable<ServerAddress>,
  application: Application,
  log: (line: string) => void,
): Promise<ReadonlySet<string>> {
  const changed = new Set<string>()
  const migrations = await readTenantMigrations(application)
  for (const address of databases) {
    const client = await connectClient(address, LIMITS)
    try {
      if ((await readJournal(client)) === null) continue
      const { applied } = await applyMigrations(client, migrations, { lockTimeoutMs: LOCK_TIMEOUT_MS })
      if (applied.length === 0) continue
      changed.add(address.database)
      log(`${address.database}: applied ${applied.join(', ')}`)
    } catch (error) {
      if (!(error instanceof MigrationError)) throw error
      throw new EmbeddedServerError(
        'DATA_UNUSABLE',
        `The embedded database ${address.database} cannot be brought up to date: ${error.message} (${error.code}). ${START_OVER}`,
        { cause: error },
      )
    } finally {
      await client.end()
    }
  }
  return changed
}
