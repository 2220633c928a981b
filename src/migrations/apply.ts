import { setTimeout as sleep } from 'node:timers/promises'
import {
  driftOf,
  isPermissionError,
  type MigrationClient,
  MigrationError,
  readJournal,
  type SchemaState,
  schemaState,
} from './drift.ts'
import type { Migration } from './files.ts'

export interface ApplyOptions {
  /** How long to wait for another runner, and for each lock that a statement needs. Milliseconds. */
  readonly lockTimeoutMs: number
  readonly log?: { info(fields: object, message: string): void }
}

export interface ApplyResult {
  /** Applied by this call. */
  readonly applied: string[]
  /** The last migration in the database, ours or a newer release's. */
  readonly version: string
  /** Of a newer release, left alone. */
  readonly ahead: string[]
}

const LOCK = "pg_catalog.hashtextextended('freehold:migrations', 0)"
const POLL_MS = 50

/**
 * Brings the schema up to date, on a connection of its own: it keeps a session-level lock, and leaves a safe
 * `search_path` and a `lock_timeout` behind. With nothing to do it takes no lock, writes nothing and needs no right but
 * to read the journal. Each migration commits together with its row in the journal, so an interrupted run is continued
 * by the next.
 *
 * Throws MigrationError: SCHEMA_DRIFTED (a file changed after it was applied, or one that was not applied sorts before
 * one that was), PERMISSION_MISSING, MIGRATION_FAILED (with the migration and the cause, or without one when another
 * runner held the lock for too long). Faults of the connection outside a migration are thrown as they are.
 */
export async function applyMigrations(
  client: MigrationClient,
  migrations: readonly Migration[],
  options: ApplyOptions,
): Promise<ApplyResult> {
  await pinSession(client, options.lockTimeoutMs)
  const before = await soundState(client, migrations)
  if (before.pending.length === 0) return result(before, [])
  await lock(client, options.lockTimeoutMs)
  try {
    // Read again: whoever held the lock has probably done the work.
    const { pending } = await soundState(client, migrations)
    const todo = migrations.filter((migration) => pending.includes(migration.id))
    if (todo.length > 0) await createJournal(client)
    for (const migration of todo) await applyOne(client, migration, options)
    return result(await soundState(client, migrations), pending)
  } finally {
    await unlock(client)
  }
}

/**
 * Unqualified names that drizzle-kit writes must land in `public`, whatever the database's own settings: `public` is
 * the first schema named, so it is where things are created, while pg_catalog, not named, is searched before it.
 */
async function pinSession(client: MigrationClient, lockTimeoutMs: number): Promise<void> {
  await client.query(
    `SET search_path = public, pg_temp; SET lock_timeout = ${Math.max(1, Math.trunc(lockTimeoutMs))}`,
  )
}

async function soundState(client: MigrationClient, migrations: readonly Migration[]): Promise<SchemaState> {
  const state = await schemaState(client, migrations)
  const drift = driftOf(state)
  if (drift !== null)
    throw new MigrationError('SCHEMA_DRIFTED', drift.reason, { migrationId: drift.migrationId })
  return state
}

function result(state: SchemaState, applied: string[]): ApplyResult {
  return { applied, version: state.version ?? '', ahead: state.ahead }
}

/**
 * Polls instead of waiting inside PostgreSQL: a statement that waits holds a snapshot, and CREATE INDEX CONCURRENTLY in
 * the runner that holds the lock would wait for that snapshot, a deadlock.
 */
async function lock(client: MigrationClient, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!(await tryLock(client))) {
    if (performance.now() + POLL_MS > deadline) {
      throw new MigrationError('MIGRATION_FAILED', 'Another runner is still applying migrations')
    }
    await sleep(POLL_MS)
  }
}

async function tryLock(client: MigrationClient): Promise<boolean> {
  const answer = await client.query<{ locked: boolean }>(
    `SELECT pg_catalog.pg_try_advisory_lock(${LOCK}) AS locked`,
  )
  return answer.rows[0]?.locked === true
}

/** On a connection that broke there is nothing to unlock, and its error must not hide the one that matters. */
async function unlock(client: MigrationClient): Promise<void> {
  await client.query(`SELECT pg_catalog.pg_advisory_unlock(${LOCK})`).catch(() => undefined)
}

async function createJournal(client: MigrationClient): Promise<void> {
  if ((await readJournal(client)) !== null) return
  const text = `CREATE TABLE public.freehold_migrations (
    id text PRIMARY KEY, hash text NOT NULL, applied_at timestamp with time zone NOT NULL DEFAULT pg_catalog.now()
  )`
  await client.query(text).catch((cause: unknown) => {
    throw isPermissionError(cause)
      ? new MigrationError('PERMISSION_MISSING', 'The role may not create tables', { cause })
      : new MigrationError('MIGRATION_FAILED', 'The journal of migrations could not be made', { cause })
  })
}

async function applyOne(client: MigrationClient, migration: Migration, options: ApplyOptions): Promise<void> {
  const startedAt = performance.now()
  try {
    await (migration.transactional ? runInTransaction : run)(client, migration)
  } catch (cause) {
    throw failure(migration, cause)
  }
  const durationMs = Math.round(performance.now() - startedAt)
  options.log?.info({ migration: migration.id, durationMs }, 'migration applied')
}

async function runInTransaction(client: MigrationClient, migration: Migration): Promise<void> {
  // The level is said, for a database may default to another. Whether it defaults to read only is left to its owner.
  await client.query('BEGIN ISOLATION LEVEL READ COMMITTED')
  try {
    await run(client, migration)
    await client.query('COMMIT')
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined)
    throw error
  }
}

async function run(client: MigrationClient, migration: Migration): Promise<void> {
  for (const statement of migration.statements) await client.query(statement)
  await client.query('INSERT INTO public.freehold_migrations (id, hash) VALUES ($1, $2)', [
    migration.id,
    migration.hash,
  ])
}

function failure({ id }: Migration, cause: unknown): MigrationError {
  const about = { migrationId: id, cause }
  return isPermissionError(cause)
    ? new MigrationError('PERMISSION_MISSING', `The role lacks a right that migration ${id} needs`, about)
    : new MigrationError('MIGRATION_FAILED', `Migration ${id} failed`, about)
}
