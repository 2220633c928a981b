import type { ClientBase } from 'pg'
import type { Migration } from './files.ts'

/** Anything that runs a query on one connection. */
export type MigrationClient = Pick<ClientBase, 'query'>

export type MigrationErrorCode = 'SCHEMA_DRIFTED' | 'MIGRATION_FAILED' | 'PERMISSION_MISSING'

/** Something in `public` that is not ours. The name is one of ours, so it may be shown. */
export interface Clash {
  readonly kind: 'table' | 'view' | 'index' | 'sequence' | 'type' | 'function'
  readonly name: string
}

/** Why a schema was not brought up to date. The message names migrations only; what PostgreSQL said is the `cause`. */
export class MigrationError extends Error {
  readonly code: MigrationErrorCode
  /** The migration at fault, or null when none is. */
  readonly migrationId: string | null
  /** What stands in the way of the migration under a name that it gives to something of ours. */
  readonly clash: Clash | null

  constructor(
    code: MigrationErrorCode,
    message: string,
    about: { migrationId?: string; clash?: Clash | null; cause?: unknown } = {},
  ) {
    super(message, about.cause === undefined ? undefined : { cause: about.cause })
    this.name = 'MigrationError'
    this.code = code
    this.migrationId = about.migrationId ?? null
    this.clash = about.clash ?? null
  }
}

/** What a database's journal says, beside our files. */
export interface SchemaState {
  /** The last migration applied, ours or a newer release's; null when none is. */
  readonly version: string | null
  /** Ours, not applied yet. */
  readonly pending: string[]
  /** Applied, but not what we have under that id: the file was changed, or is unknown amid ours. */
  readonly edited: string[]
  /** Applied by a newer release, behind all of ours. */
  readonly ahead: string[]
}

/** One row of the journal. */
export interface JournalRow {
  readonly id: string
  readonly hash: string
}

/**
 * Compares the journal with our files; no locks, no writes. Throws MigrationError PERMISSION_MISSING when the role may
 * not read the journal, and whatever the connection throws.
 */
export async function schemaState(
  client: MigrationClient,
  migrations: readonly Migration[],
): Promise<SchemaState> {
  return compareJournal(migrations, (await readJournal(client)) ?? [])
}

/** True where there is a journal. */
export const HAS_JOURNAL = "pg_catalog.to_regclass('public.freehold_migrations') IS NOT NULL"

/** The journal's rows, or null when there is no journal yet. */
export async function readJournal(client: MigrationClient): Promise<JournalRow[] | null> {
  const { rows } = await client.query<{ present: boolean }>(`SELECT ${HAS_JOURNAL} AS present`)
  return rows[0]?.present === true ? readPresentJournal(client) : null
}

/** The same, where it is known that there is one. @throws MigrationError PERMISSION_MISSING, SCHEMA_DRIFTED */
export async function readPresentJournal(client: MigrationClient): Promise<JournalRow[]> {
  try {
    return (await client.query<JournalRow>('SELECT id, hash FROM public.freehold_migrations')).rows
  } catch (cause) {
    if (sqlState(cause) === '42703')
      throw new MigrationError('SCHEMA_DRIFTED', 'The journal of migrations is not ours', { cause })
    if (!isPermissionError(cause)) throw cause
    throw new MigrationError('PERMISSION_MISSING', 'The role may not read the journal of migrations', {
      cause,
    })
  }
}

/** The pure part of `schemaState`. */
export function compareJournal(
  migrations: readonly Migration[],
  applied: readonly JournalRow[],
): SchemaState {
  const ours = new Map(migrations.map((migration) => [migration.id, migration.hash]))
  const done = new Set(applied.map((row) => row.id))
  const last = migrations.at(-1)?.id ?? ''
  const isAhead = (row: JournalRow) => !ours.has(row.id) && row.id > last
  return {
    version: [...done].sort().at(-1) ?? null,
    pending: migrations.map((migration) => migration.id).filter((id) => !done.has(id)),
    edited: ids(applied.filter((row) => !isAhead(row) && ours.get(row.id) !== row.hash)),
    ahead: ids(applied.filter(isAhead)),
  }
}

/** What has to be put right by hand before anything can be applied, in words, or null: an edited file or a gap. */
export function driftOf(state: SchemaState): { reason: string; migrationId: string } | null {
  const [edited] = state.edited
  if (edited !== undefined) {
    return { reason: `Migration ${edited} differs from the one that was applied`, migrationId: edited }
  }
  const [pending] = state.pending
  if (pending !== undefined && state.version !== null && pending < state.version) {
    return {
      reason: `Migration ${pending} comes before ${state.version}, which is applied`,
      migrationId: pending,
    }
  }
  return null
}

/** SQLSTATE 42501, insufficient_privilege. */
export function isPermissionError(error: unknown): boolean {
  return sqlState(error) === '42501'
}

export function sqlState(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
}

function ids(rows: readonly JournalRow[]): string[] {
  return rows.map((row) => row.id).sort()
}
