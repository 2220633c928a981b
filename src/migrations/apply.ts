import { setTimeout as sleep } from 'node:timers/promises'
import { scopeOf } from '../lib/postgres/session-scope.ts'
import { findClash } from './clash.ts'
import { firstDrift, type SchemaState, stateOf, type Versions } from './drift.ts'
import { type Migration, nameOf } from './files.ts'
import { convertJournal, HAS_JOURNAL, readPresentJournal } from './journal.ts'
import { MigrationError, sqlState } from './migration-error.ts'
import { applyLineages, applyTogether } from './run-migrations.ts'
import type { MigrationClient } from './transaction.ts'

export interface ApplyOptions {
  /** How long to wait for another runner, and for each lock that a statement needs. */
  readonly lockTimeoutMs: number
  readonly log?: { info(fields: object, message: string): void }
  /**
   * Called in a database without any migration, before the first ones are committed. If it throws, they are rolled back. Not called
   * if one of them commits by itself.
   */
  readonly prove?: () => Promise<void>
  /** Called at the beginning, and after each migration. */
  readonly onProgress?: (progress: { done: number; total: number }) => Promise<void>
}

export interface ApplyResult {
  /** The migrations that this call applied: `core/0001_isolation`, or without a lineage in the catalog. */
  readonly applied: string[]
  /** The last migration of each lineage in the database, of this release or a newer one. */
  readonly versions: Versions
  /** Migrations of a newer release. They are not changed. */
  readonly ahead: string[]
}

const LOCK = 'freehold:migrations'
const POLL_MS = 50
/**
 * Brings the schema up to date. The connection must belong to this call: it holds a session-level lock, and it keeps a safe
 * `search_path` and a `lock_timeout` afterwards. With nothing to do, this takes no lock, writes nothing and needs only the right to
 * read the journal. Each migration commits together with its row in the journal, so the next run continues an interrupted one.
 * Lineages are applied one after the other. An error of one does not stop the other.
 *
 * @throws MigrationError SCHEMA_DRIFTED: a file changed after it was applied, or one that is not applied sorts before one that is.
 * PERMISSION_MISSING. MIGRATION_FAILED with the migration and the cause, or without them if another runner held the lock for too
 * long. Errors of the connection outside of a migration are thrown as they are.
 */
export async function applyMigrations(
  client: MigrationClient,
  migrations: readonly Migration[],
  options: ApplyOptions,
): Promise<ApplyResult> {
  const hadJournal = await pinSession(client, options.lockTimeoutMs)
  const before = await readState(client, migrations, hadJournal)
  if (isDone(before)) return result(before, [])
  const hasJournal = await lock(client, options.lockTimeoutMs)
  try {
    // Read again: the runner that held the lock has probably applied them.
    const state = await readState(client, migrations, hasJournal)
    if (state.isFormer) {
      assertSound(state)
      await convertJournal(client, state.rows)
    }
    const todo = state.pending.filter(({ lineage }) => !state.drifts.has(lineage))
    const { log, prove } = options
    const step = counter(todo.length, options)
    await step()
    const run = { ...(log && { log }), step }
    if (isTogether(state, todo) && prove !== undefined) await applyTogether(client, todo, { ...run, prove })
    else if (todo.length > 0) await applyLineages(client, todo, { ...run, isFirst: !hasJournal })
    assertSound(state)
    return result(state, todo)
  } catch (error) {
    throw await withClash(client, migrations, error)
  } finally {
    await unlock(client)
  }
}

/** Reports the progress once before the first migration, and after each. */
function counter(total: number, { onProgress }: ApplyOptions): () => Promise<void> {
  let done = -1
  return async () => {
    done += 1
    await onProgress?.({ done, total })
  }
}

async function readState(
  client: MigrationClient,
  migrations: readonly Migration[],
  hasJournal: boolean,
): Promise<SchemaState> {
  return stateOf(migrations, hasJournal ? await readPresentJournal(client) : [])
}

/** True if nothing can be applied: all is applied, or the rest comes after a drift. @throws MigrationError SCHEMA_DRIFTED */
function isDone(state: SchemaState): boolean {
  const isIdle = state.pending.every(({ lineage }) => state.drifts.has(lineage))
  if (isIdle) assertSound(state)
  return isIdle && !state.isFormer
}

function assertSound(state: SchemaState): void {
  const drift = firstDrift(state)
  if (drift !== null)
    throw new MigrationError('SCHEMA_DRIFTED', drift.reason, { migrationId: drift.migrationId })
}

/** True if these are the first migrations of a database, and all can commit together. */
function isTogether(state: SchemaState, todo: readonly Migration[]): boolean {
  const isFirst = Object.values(state.versions).every((version) => version === null)
  return isFirst && todo.length > 0 && todo.every(({ transactional }) => transactional)
}

/** Adds the existing object that has the name of a new one. Runs after the transaction, because a failed one cannot read. */
async function withClash(
  client: MigrationClient,
  migrations: readonly Migration[],
  error: unknown,
): Promise<unknown> {
  if (!(error instanceof MigrationError)) return error
  const { code, message, migrationId, cause } = error
  const failed = migrations.find((migration) => nameOf(migration) === migrationId)
  if (failed === undefined) return error
  const clash = await findClash(client, failed, sqlState(cause)).catch(() => null)
  return clash === null
    ? error
    : new MigrationError(code, message, { migrationId: nameOf(failed), clash, cause })
}

/**
 * Unqualified names, as drizzle-kit writes them, must mean `public`, with any settings of the database. New objects go to the
 * first schema of the path, so that is `public`. pg_catalog is not in the path, so PostgreSQL searches it first.
 * Returns whether there is a journal.
 */
async function pinSession(client: MigrationClient, lockTimeoutMs: number): Promise<boolean> {
  const pinned = scopeOf(client).pin([
    { name: 'search_path', value: 'public, pg_temp' },
    { name: 'lock_timeout', value: String(Math.max(1, Math.trunc(lockTimeoutMs))) },
  ])
  const results: unknown = await client.query(`${pinned};\nSELECT ${HAS_JOURNAL} AS "hasJournal"`)
  // For several statements in one text pg returns an array of results. Its types do not show that.
  const [, last] = results as { rows: { hasJournal: boolean }[] }[]
  return last?.rows[0]?.hasJournal === true
}

function result(state: SchemaState, done: readonly Migration[]): ApplyResult {
  // No applied migration sorts after a pending one: that would have been drift.
  const latest = Object.fromEntries(done.map(({ lineage, id }) => [lineage, id]))
  return { applied: done.map(nameOf), versions: { ...state.versions, ...latest }, ahead: [...state.ahead] }
}

/**
 * Polls instead of waiting inside PostgreSQL. A waiting statement holds a snapshot, and CREATE INDEX CONCURRENTLY of the runner
 * that holds the lock would wait for that snapshot: a deadlock. Returns whether there is a journal once the lock is held.
 */
async function lock(client: MigrationClient, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    if (await scopeOf(client).tryLock(LOCK)) {
      const { rows } = await client.query<{ hasJournal: boolean }>(`SELECT ${HAS_JOURNAL} AS "hasJournal"`)
      return rows[0]?.hasJournal === true
    }
    if (performance.now() + POLL_MS > deadline) {
      throw new MigrationError('MIGRATION_FAILED', 'Another runner is still applying migrations')
    }
    await sleep(POLL_MS)
  }
}

/** A broken connection holds no lock any more, and its error must not hide the first one. */
async function unlock(client: MigrationClient): Promise<void> {
  await scopeOf(client)
    .unlock(LOCK)
    .catch(() => undefined)
}
