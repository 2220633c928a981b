import { setTimeout as sleep } from 'node:timers/promises'
import { scopeOf } from '../lib/postgres/session-scope.ts'
import { findClash } from './clash.ts'
import {
  firstDrift,
  HAS_JOURNAL,
  isPermissionError,
  type JournalRow,
  type MigrationClient,
  MigrationError,
  readPresentJournal,
  type SchemaState,
  sqlState,
  stateOf,
  type Versions,
} from './drift.ts'
import { type Migration, nameOf } from './files.ts'

export interface ApplyOptions {
  /** How long to wait for another runner, and for each lock that a statement needs. Milliseconds. */
  readonly lockTimeoutMs: number
  readonly log?: { info(fields: object, message: string): void }
  /**
   * Asked in a database without any migration before the first ones are committed: where it throws, they are not, and
   * nothing of ours is left there. Not asked where a migration commits by itself.
   */
  readonly prove?: () => Promise<void>
  /** Told at the beginning, and after each migration. */
  readonly onProgress?: (progress: { done: number; total: number }) => Promise<void>
}

export interface ApplyResult {
  /** Applied by this call: `core/0001_isolation`, or without a lineage in the catalog. */
  readonly applied: string[]
  /** The last migration of each lineage in the database, ours or a newer release's. */
  readonly versions: Versions
  /** Of a newer release, left alone. */
  readonly ahead: string[]
}

type Applying = ApplyOptions & { readonly step: () => Promise<void> }

const LOCK = 'freehold:migrations'
const POLL_MS = 50
/** The level is said, for a database may default to another. Whether it defaults to read only is left to its owner. */
const BEGIN = 'BEGIN ISOLATION LEVEL READ COMMITTED;\n'

/**
 * Brings the schema up to date, on a connection of its own: it keeps a session-level lock, and leaves a safe
 * `search_path` and a `lock_timeout` behind. With nothing to do it takes no lock, writes nothing and needs no right but
 * to read the journal. Each migration commits together with its row in the journal, so an interrupted run is continued
 * by the next. Lineages apply one after the other; what is wrong with one does not hold up the other.
 *
 * Throws MigrationError: SCHEMA_DRIFTED (a file changed after it was applied, or one that was not applied sorts before
 * one that was), PERMISSION_MISSING, MIGRATION_FAILED (with the migration and the cause, or without one when another
 * runner held the lock for too long). Faults of the connection outside a migration are thrown as they are.
 */
export async function applyMigrations(
  client: MigrationClient,
  migrations: readonly Migration[],
  given: ApplyOptions,
): Promise<ApplyResult> {
  const options = { ...given, step: () => Promise.resolve() }
  const hadJournal = await pinSession(client, options.lockTimeoutMs)
  const before = await readState(client, migrations, hadJournal)
  if (isSettled(before)) return result(before, [])
  const hasJournal = await lock(client, options.lockTimeoutMs)
  try {
    // Read again: whoever held the lock has probably done the work.
    const state = await readState(client, migrations, hasJournal)
    if (state.isFormer) await convertJournal(client, state)
    const todo = state.pending.filter(({ lineage }) => !state.drifts.has(lineage))
    options.step = counter(todo.length, given)
    await options.step()
    if (isTogether(state, todo) && options.prove !== undefined)
      await applyTogether(client, todo, { ...options, prove: options.prove })
    else if (todo.length > 0) await applyLineages(client, todo, { ...options, isFirst: !hasJournal })
    assertSound(state)
    return result(state, todo)
  } catch (error) {
    throw await withClash(client, migrations, error)
  } finally {
    await unlock(client)
  }
}

/** Told of each migration that is applied, and once before the first. */
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

/** Nothing can be done: all is applied, or what is not stands behind a drift. @throws MigrationError SCHEMA_DRIFTED */
function isSettled(state: SchemaState): boolean {
  const isIdle = state.pending.every(({ lineage }) => state.drifts.has(lineage))
  if (isIdle) assertSound(state)
  return isIdle && !state.isFormer
}

function assertSound(state: SchemaState): void {
  const drift = firstDrift(state)
  if (drift !== null)
    throw new MigrationError('SCHEMA_DRIFTED', drift.reason, { migrationId: drift.migrationId })
}

/** The first migrations of a database, all of which can commit as one. */
function isTogether(state: SchemaState, todo: readonly Migration[]): boolean {
  const isFirst = Object.values(state.versions).every((version) => version === null)
  return isFirst && todo.length > 0 && todo.every(({ transactional }) => transactional)
}

/** Gives the journal of a release before lineages the column, and the rows that its migrations are now. */
async function convertJournal(client: MigrationClient, state: SchemaState): Promise<void> {
  assertSound(state)
  const statements = [
    'ALTER TABLE public.freehold_migrations ADD COLUMN lineage text',
    'DELETE FROM public.freehold_migrations',
    ...state.rows.map(noteOf),
    'ALTER TABLE public.freehold_migrations DROP CONSTRAINT IF EXISTS freehold_migrations_pkey',
    'ALTER TABLE public.freehold_migrations ADD PRIMARY KEY (lineage, id)',
  ]
  await undoing(client, () =>
    client.query(`${BEGIN}${statements.join(';\n')};\nCOMMIT`).then(
      () => undefined,
      (cause: unknown) => {
        throw isPermissionError(cause)
          ? new MigrationError('PERMISSION_MISSING', 'The role may not change the journal of migrations', {
              cause,
            })
          : new MigrationError('MIGRATION_FAILED', 'The journal of migrations could not be converted', {
              cause,
            })
      },
    ),
  )
}

/** Each lineage as far as it goes; the first error is thrown at the end. */
async function applyLineages(
  client: MigrationClient,
  todo: readonly Migration[],
  options: Applying & { isFirst: boolean },
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

/** Names what was in the way, now that the transaction is over in which it was. */
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
 * Unqualified names that drizzle-kit writes must land in `public`, whatever the database's own settings: `public` is
 * the first schema named, so it is where things are created, while pg_catalog, not named, is searched before it.
 * Answers whether there is a journal.
 */
async function pinSession(client: MigrationClient, lockTimeoutMs: number): Promise<boolean> {
  const pinned = scopeOf(client).pin([
    { name: 'search_path', value: 'public, pg_temp' },
    { name: 'lock_timeout', value: String(Math.max(1, Math.trunc(lockTimeoutMs))) },
  ])
  const results: unknown = await client.query(`${pinned};\nSELECT ${HAS_JOURNAL} AS "hasJournal"`)
  // Of several statements in one text pg gives a result each; its typings do not know that.
  const [, last] = results as { rows: { hasJournal: boolean }[] }[]
  return last?.rows[0]?.hasJournal === true
}

function result(state: SchemaState, done: readonly Migration[]): ApplyResult {
  // Nothing that was applied sorts behind what is pending, or it would have been drift.
  const latest = Object.fromEntries(done.map(({ lineage, id }) => [lineage, id]))
  return { applied: done.map(nameOf), versions: { ...state.versions, ...latest }, ahead: [...state.ahead] }
}

/**
 * Polls instead of waiting inside PostgreSQL: a statement that waits holds a snapshot, and CREATE INDEX CONCURRENTLY in
 * the runner that holds the lock would wait for that snapshot, a deadlock. Answers whether there is a journal then.
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

/** On a connection that broke there is nothing to unlock, and its error must not hide the one that matters. */
async function unlock(client: MigrationClient): Promise<void> {
  await scopeOf(client)
    .unlock(LOCK)
    .catch(() => undefined)
}

/** Each commits by itself, so that what was done is not lost to one behind it. */
async function applyEach(
  client: MigrationClient,
  migrations: readonly Migration[],
  options: Applying,
): Promise<void> {
  for (const migration of migrations) {
    const work = () =>
      migration.transactional
        ? undoing(client, () => run(client, migration, { before: BEGIN, after: ';\nCOMMIT' }))
        : runAlone(client, migration)
    await applyOne(migration, { ...options, work })
  }
}

/** All commit together, or none. */
async function applyTogether(
  client: MigrationClient,
  migrations: readonly Migration[],
  options: Applying & { prove: () => Promise<void> },
): Promise<void> {
  await undoing(client, async () => {
    await createJournal(client, BEGIN)
    for (const migration of migrations) {
      await applyOne(migration, { ...options, work: () => run(client, migration) })
    }
    await options.prove()
    await client.query('COMMIT')
  })
}

async function createJournal(client: MigrationClient, before: string): Promise<void> {
  const text = `CREATE TABLE IF NOT EXISTS public.freehold_migrations (
    lineage text, id text, hash text NOT NULL,
    applied_at timestamp with time zone NOT NULL DEFAULT pg_catalog.now(), PRIMARY KEY (lineage, id)
  )`
  await client.query(`${before}${text}`).catch((cause: unknown) => {
    throw isPermissionError(cause)
      ? new MigrationError('PERMISSION_MISSING', 'The role may not create tables', { cause })
      : new MigrationError('MIGRATION_FAILED', 'The journal of migrations could not be made', { cause })
  })
}

async function applyOne(
  migration: Migration,
  { log, work, step }: Applying & { work: () => Promise<void> },
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

/** Rolls back what `work` has begun and not committed. */
async function undoing(client: MigrationClient, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined)
    throw error
  }
}

/**
 * All statements of a migration in one message: a server that is far away would else take a round trip for each. Only inside a
 * transaction, for PostgreSQL runs such a message as one.
 */
async function run(
  client: MigrationClient,
  migration: Migration,
  { before, after } = { before: '', after: '' },
): Promise<void> {
  // A statement may end with a comment, or with its semicolon.
  await client.query(`${before}${[...migration.statements, noteOf(migration)].join('\n;\n')}${after}`)
}

async function runAlone(client: MigrationClient, migration: Migration): Promise<void> {
  for (const statement of [...migration.statements, noteOf(migration)]) await client.query(statement)
}

function noteOf({ lineage, id, hash }: JournalRow): string {
  const values = [lineage, id, hash].map((text) => `'${text.replaceAll("'", "''")}'`)
  return `INSERT INTO public.freehold_migrations (lineage, id, hash) VALUES (${values.join(', ')})`
}

function failure(migration: Migration, cause: unknown): MigrationError {
  const name = nameOf(migration)
  const about = { migrationId: name, cause }
  return isPermissionError(cause)
    ? new MigrationError('PERMISSION_MISSING', `The role lacks a right that migration ${name} needs`, about)
    : new MigrationError('MIGRATION_FAILED', `Migration ${name} failed`, about)
}
