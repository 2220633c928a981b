import type { PgTable } from 'drizzle-orm/pg-core'
import { tablesIn } from '../../application/table-faults.ts'
import type { Application } from '../../application.ts'
import { databaseError } from '../../lib/postgres/database-error.ts'
import type { ServerAddress } from '../../lib/postgres/pg.ts'
import { applyMigrations } from '../../migrations/apply.ts'
import { type Migration, MigrationFileError, readTenantMigrations } from '../../migrations/files.ts'
import { MigrationError } from '../../migrations/migration-error.ts'
import type { MigrationClient } from '../../migrations/transaction.ts'
import { findIsolationViolations } from '../../residence/isolation.ts'
import {
  type DatabaseObjects,
  faultOfUndeclared,
  faultsOfCore,
  readObjects,
  undeclaredTables,
} from './core-objects.ts'
import { faultsOfDeclared } from './declared-tables.ts'
import { pendingStatements } from './generate.ts'
import { faultsOfHazards } from './hazards.ts'
import { faultsOfIsolation } from './isolation-faults.ts'
import { SchemaError } from './schema-error.ts'
import { createThrowawayDatabase, lend, type ThrowawayDatabase } from './throwaway-database.ts'

/** The result of a check. */
export interface SchemaReport {
  /** One sentence for each fault, which names the object and the remedy. */
  readonly faults: readonly string[]
  /** Checks that could not run. */
  readonly notes: readonly string[]
}

const LOCK_TIMEOUT_MS = 10_000

/**
 * Applies the migrations of Freehold and of the application to an empty database on the server of `superuser`. Compares the result with
 * the declared tables and with the rules of isolation. Drops the database again.
 */
export async function checkSchema(application: Application, superuser: ServerAddress): Promise<SchemaReport> {
  const pending = await faultsOfFolder(application)
  const migrations = await readTenantMigrations(application).catch((error: unknown) => {
    if (error instanceof MigrationFileError) return error.message
    throw error
  })
  if (typeof migrations === 'string') return { faults: [migrations], notes: [] }
  const database = await createThrowawayDatabase(superuser)
  try {
    const found = await faultsOfDatabase(application, migrations, database)
    return { faults: [...found, ...pending.faults], notes: pending.notes }
  } finally {
    await database.drop()
  }
}

/** Changes of the declared tables that no migration makes, found by drizzle-kit. */
async function faultsOfFolder(application: Application): Promise<SchemaReport> {
  try {
    const statements = await pendingStatements(application)
    if (statements === null)
      return {
        faults: [
          'A table or column may have been renamed without a migration. Run in a terminal: freehold schema generate --name NAME',
        ],
        notes: [],
      }
    const [first] = statements
    if (first === undefined) return { faults: [], notes: [] }
    const line = (first.split('\n')[0] ?? '').slice(0, 200)
    return {
      faults: [
        `The migrations lack ${statements.length} statements for the declared tables. The first is: ${line} Run: freehold schema generate --name NAME`,
      ],
      notes: [],
    }
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error
    if (error.code === 'MIGRATIONS_FOLDER_UNUSABLE') return { faults: [error.message], notes: [] }
    return { faults: [], notes: [`Not compared with drizzle-kit's snapshots. ${error.message}`] }
  }
}

async function faultsOfDatabase(
  application: Application,
  migrations: readonly Migration[],
  { owner, serving }: ThrowawayDatabase,
): Promise<string[]> {
  const own = await lend(owner, async (client) => {
    const core = await applyCore(client, migrations)
    const failure = await applyMigrations(client, migrations, { lockTimeoutMs: LOCK_TIMEOUT_MS }).then(
      () => null,
      failureOf,
    )
    return failure === null
      ? faultsOfTables(client, application, core)
      : { faults: [failure], undeclared: [], failed: true }
  })
  if ('failed' in own) return own.faults
  const violations = await lend(serving, (client) =>
    findIsolationViolations(client, { everything: true, tables: application }),
  )
  return [...own.faults, ...faultsOfIsolation(violations, own.undeclared)]
}

async function applyCore(
  client: MigrationClient,
  migrations: readonly Migration[],
): Promise<DatabaseObjects> {
  const core = migrations.filter(({ lineage }) => lineage === 'core')
  await applyMigrations(client, core, { lockTimeoutMs: LOCK_TIMEOUT_MS })
  return readObjects(client)
}

async function faultsOfTables(
  client: MigrationClient,
  application: Application,
  core: DatabaseObjects,
): Promise<{ faults: string[]; undeclared: string[] }> {
  const whole = await readObjects(client)
  const declared = [...application.tenantTables, ...application.referenceTables]
  const undeclared = undeclaredTables(core, whole, declared)
  const tables: PgTable[] = tablesIn(application.schema)
  return {
    faults: [
      ...faultsOfCore(core, whole),
      ...undeclared.map(faultOfUndeclared),
      ...(await faultsOfDeclared(client, tables)),
      ...(await faultsOfHazards(client, declared)),
    ],
    undeclared: undeclared.map(({ name }) => name),
  }
}

/** Repeats PostgreSQL's message: this database holds only what the developer wrote. */
function failureOf(error: unknown): string {
  if (!(error instanceof MigrationError)) throw error
  const reason = databaseError(error.cause)?.message
  const clash = error.clash === null ? '' : ` There is a ${error.clash.kind} "${error.clash.name}" already.`
  return `${error.message}${reason === undefined ? '' : `: ${reason}`}.${clash} Correct the migration's file, or generate it again.`
}
