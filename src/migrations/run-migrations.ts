import { type Migration, nameOf } from './files.ts'
import { createJournal, insertOf } from './journal.ts'
import { isPermissionError, MigrationError } from './migration-error.ts'
import { BEGIN, type MigrationClient, withRollback } from './transaction.ts'

export interface RunOptions {
  readonly log?: { info(fields: object, message: string): void }
  /** Called after each migration. */
  readonly step: () => Promise<void>
}

/** Applies each lineage until its first error. Throws the first error of all at the end. */
export async function applyLineages(
  client: MigrationClient,
  todo: readonly Migration[],
  options: RunOptions & { isFirst: boolean },
): Promise<void> {
  if (options.isFirst) await createJournal(client, '')
  const failures: MigrationError[] = []
  for (const lineage of new Set(todo.map((migration) => migration.lineage))) {
    const own = todo.filter((migration) => migration.lineage === lineage)
    await applyEach(client, own, options).catch((error: unknown) => {
      if (!(error instanceof MigrationError)) throw error
      failures.push(error)
    })
  }
  if (failures[0] !== undefined) throw failures[0]
}

/** Each migration commits by itself, so that a later failure does not undo it. */
async function applyEach(
  client: MigrationClient,
  migrations: readonly Migration[],
  options: RunOptions,
): Promise<void> {
  for (const migration of migrations) {
    const work = () =>
      migration.transactional
        ? withRollback(client, () => run(client, migration, { before: BEGIN, after: ';\nCOMMIT' }))
        : runAlone(client, migration)
    await applyOne(migration, { ...options, work })
  }
}

/** Commits all migrations together, or none. */
export async function applyTogether(
  client: MigrationClient,
  migrations: readonly Migration[],
  options: RunOptions & { prove: () => Promise<void> },
): Promise<void> {
  await withRollback(client, async () => {
    await createJournal(client, BEGIN)
    for (const migration of migrations) {
      await applyOne(migration, { ...options, work: () => run(client, migration) })
    }
    await options.prove()
    await client.query('COMMIT')
  })
}

async function applyOne(
  migration: Migration,
  { log, work, step }: RunOptions & { work: () => Promise<void> },
): Promise<void> {
  const startedAt = performance.now()
  try {
    await work()
  } catch (cause) {
    throw failure(migration, cause)
  }
  const durationMs = Math.round(performance.now() - startedAt)
  log?.info({ migration: nameOf(migration), durationMs }, 'migration applied')
  await step()
}

/**
 * Sends all statements of a migration in one message, which saves a round trip for each. PostgreSQL runs such a message as one
 * transaction, so this is only for migrations that may run in one.
 */
async function run(
  client: MigrationClient,
  migration: Migration,
  { before, after } = { before: '', after: '' },
): Promise<void> {
  // A statement may end with a comment, or with its semicolon.
  await client.query(`${before}${[...migration.statements, insertOf(migration)].join('\n;\n')}${after}`)
}

async function runAlone(client: MigrationClient, migration: Migration): Promise<void> {
  for (const statement of [...migration.statements, insertOf(migration)]) await client.query(statement)
}

function failure(migration: Migration, cause: unknown): MigrationError {
  const name = nameOf(migration)
  const about = { migrationId: name, cause }
  return isPermissionError(cause)
    ? new MigrationError('PERMISSION_MISSING', `The role lacks a right that migration ${name} needs`, about)
    : new MigrationError('MIGRATION_FAILED', `Migration ${name} failed`, about)
}
