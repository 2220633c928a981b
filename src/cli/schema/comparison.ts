import type { Application } from '../../application.ts'
import type { Settings } from '../../config/settings.ts'
import { databasesOf, withServerTraits } from '../../gateway/gateway-options.ts'
import { withClient } from '../../gateway/start/prepare-schema.ts'
import { StartRefusedError } from '../../gateway/start/start-refusals.ts'
import { applyMigrations } from '../../migrations/apply.ts'
import { firstDrift, schemaState, type Versions } from '../../migrations/drift.ts'
import {
  type Migration,
  migrationsFolder,
  nameOf,
  readMigrations,
  readTenantMigrations,
} from '../../migrations/files.ts'
import { MigrationError, sqlState } from '../../migrations/migration-error.ts'
import { CommandError, EXIT } from '../exit-codes.ts'

/** A migration has no time limit. */
const LIMITS = { connectTimeoutMs: 5_000, statementTimeoutMs: 0 }
const LOCK_TIMEOUT_MS = 60_000

/** The migrations that were applied to a database; with `check`, the missing ones. */
interface Outcome {
  readonly migrations: readonly string[]
  readonly versions: Versions
}

type Target = Parameters<typeof withClient>[0]

/**
 * Brings the catalog and the shared database up to date and prints what was applied. With `check` nothing is applied.
 * @throws CommandError if it fails, or with `check` if something is missing
 */
export async function migrate(
  settings: Settings,
  application: Application,
  { check, json }: { check: boolean; json: boolean },
): Promise<void> {
  const databases = withServerTraits(databasesOf(settings))
  const outcomeOf = check ? missingIn : applyTo
  const catalogMigrations = await readMigrations(migrationsFolder('catalog'), 'catalog')
  const tenantMigrations = await readTenantMigrations(application)
  const catalog = await namingSetting('CATALOG', () =>
    outcomeOf(databases.catalogOwner ?? databases.catalog, catalogMigrations),
  )
  const shared = await namingSetting('SHARED', () =>
    outcomeOf(databases.sharedOwner ?? databases.shared, tenantMigrations),
  )
  const outcomes = { catalog, shared }
  process.stdout.write(
    json ? `${JSON.stringify(outcomes)}\n` : textOf(outcomes, check ? 'missing' : 'applied'),
  )
  const missing = catalog.migrations.length + shared.migrations.length
  if (check && missing > 0)
    throw new CommandError(`${missing} migrations are not applied. Apply them with: freehold migrate`, {
      code: 'SCHEMA_OUT_OF_DATE',
      exitCode: EXIT.failed,
    })
}

function applyTo(target: Target, migrations: readonly Migration[]): Promise<Outcome> {
  return withClient(
    target,
    async (client) => {
      const { applied, versions } = await applyMigrations(client, migrations, {
        lockTimeoutMs: LOCK_TIMEOUT_MS,
      })
      return { migrations: applied, versions }
    },
    LIMITS,
  )
}

function missingIn(target: Target, migrations: readonly Migration[]): Promise<Outcome> {
  return withClient(target, async (client) => {
    const state = await schemaState(client, migrations)
    const drift = firstDrift(state)
    if (drift !== null)
      throw new MigrationError('SCHEMA_DRIFTED', drift.reason, { migrationId: drift.migrationId })
    return { migrations: state.pending.map(nameOf), versions: state.versions }
  })
}

/** Throws an error that names the setting and does not repeat the server's message. */
async function namingSetting<T>(which: 'CATALOG' | 'SHARED', work: () => Promise<T>): Promise<T> {
  const setting = `${which}_DATABASE_URL or ${which}_MIGRATION_DATABASE_URL`
  try {
    return await work()
  } catch (error) {
    if (error instanceof MigrationError) {
      const reason = sqlState(error.cause)
      const message = `${setting}: ${error.message}${typeof reason !== 'string' ? '' : ` (${reason})`}`
      throw new CommandError(message, { code: error.code, exitCode: EXIT.failed })
    }
    if (error instanceof StartRefusedError || !(error instanceof Error) || !('code' in error)) throw error
    const code = String(error.code)
    throw new CommandError(`${setting}: no connection (${code})`, { code, exitCode: EXIT.failed })
  }
}

function textOf(outcomes: Readonly<Record<string, Outcome>>, verb: string): string {
  return Object.entries(outcomes)
    .map(([name, { migrations, versions }]) => {
      const at = Object.values(versions).join(', ') || 'nothing yet'
      const lines = migrations.map((id) => `  ${verb} ${id}\n`).join('')
      return `${name}: ${migrations.length === 0 ? 'up to date' : `${migrations.length} ${verb}`} (${at})\n${lines}`
    })
    .join('')
}
