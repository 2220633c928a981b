import type { ClientBase } from 'pg'
import { type Lineage, type Migration, nameOf } from './files.ts'

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

/** SQLSTATE of a lock that was not given in time. */
const LOCK_NOT_AVAILABLE = '55P03'

/** Whether a migration waited in vain for a lock, or for another runner: trying again may help. */
export function isLockWait(error: unknown): boolean {
  if (!(error instanceof MigrationError) || error.code !== 'MIGRATION_FAILED') return false
  const isOtherRunner = error.migrationId === null && error.cause === undefined
  return isOtherRunner || sqlState(error.cause) === LOCK_NOT_AVAILABLE
}

/** The last migration applied of each lineage, ours or a newer release's; null where none is. */
export type Versions = Readonly<Partial<Record<Lineage, string | null>>>

/** What a database's journal says, beside our files of all lineages. */
export interface SchemaState {
  readonly versions: Versions
  /** Ours, not applied yet, in the order in which they apply. */
  readonly pending: readonly Migration[]
  /** Applied by a newer release, behind all of ours: `core/0009_name`. */
  readonly ahead: readonly string[]
  /** What has to be put right by hand, by lineage: there nothing can be applied. The other one is not held up by it. */
  readonly drifts: ReadonlyMap<Lineage, Drift>
  /** The journal was written by a release before lineages. */
  readonly isFormer: boolean
  /** The journal's rows, as they are once a journal of before lineages has been converted. */
  readonly rows: readonly JournalRow[]
}

export interface Drift {
  readonly reason: string
  /** `core/0001_name`. */
  readonly migrationId: string
}

/** What the journal says of one lineage. */
export interface LineageState {
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
  readonly lineage: Lineage
  readonly id: string
  readonly hash: string
}

/** A row as it is read: without a lineage where a release before lineages has written it. */
export type ReadRow = Omit<JournalRow, 'lineage'> & { readonly lineage: Lineage | null }

/**
 * Compares the journal with our files; no locks, no writes. Throws MigrationError PERMISSION_MISSING when the role may
 * not read the journal, and whatever the connection throws.
 */
export async function schemaState(
  client: MigrationClient,
  migrations: readonly Migration[],
): Promise<SchemaState> {
  return stateOf(migrations, (await readJournal(client)) ?? [])
}

/** True where there is a journal. */
export const HAS_JOURNAL = "pg_catalog.to_regclass('public.freehold_migrations') IS NOT NULL"

/** The journal's rows, or null when there is no journal yet. */
export async function readJournal(client: MigrationClient): Promise<ReadRow[] | null> {
  const { rows } = await client.query<{ present: boolean }>(`SELECT ${HAS_JOURNAL} AS present`)
  return rows[0]?.present === true ? readPresentJournal(client) : null
}

/** The same, where it is known that there is one. @throws MigrationError PERMISSION_MISSING, SCHEMA_DRIFTED */
export async function readPresentJournal(client: MigrationClient): Promise<ReadRow[]> {
  try {
    // One text for both forms of the journal: where there is no column `lineage`, the JSON has none.
    const text = `SELECT m.id, m.hash, pg_catalog.to_jsonb(m) OPERATOR(pg_catalog.->>) 'lineage' AS lineage
      FROM public.freehold_migrations AS m`
    const { rows } = await client.query<ReadRow>(text)
    if (rows.every(isWritten)) return rows
    throw new MigrationError('SCHEMA_DRIFTED', NOT_OURS)
  } catch (cause) {
    if (sqlState(cause) === '42703') throw new MigrationError('SCHEMA_DRIFTED', NOT_OURS, { cause })
    if (!isPermissionError(cause)) throw cause
    throw new MigrationError('PERMISSION_MISSING', 'The role may not read the journal of migrations', {
      cause,
    })
  }
}

const NOT_OURS = 'The journal of migrations is not ours'
/** As long as a file's name can be. */
const ID = /^\P{Cc}{1,255}$/u

/** What a database's owner has written there is kept in the catalog and told to operators, so it must look like ours. */
function isWritten({ lineage, id, hash }: { [name in keyof ReadRow]: unknown }): boolean {
  const isText = (value: unknown) => typeof value === 'string' && ID.test(value)
  return isText(id) && isText(hash) && (lineage === null || isText(lineage))
}

/** The pure part of `schemaState`. */
export function stateOf(migrations: readonly Migration[], read: readonly ReadRow[]): SchemaState {
  const isFormer = read.some(({ lineage }) => lineage === null)
  const rows = isFormer ? withLineages(migrations, read) : (read as readonly JournalRow[])
  const lineages = [...new Set(migrations.map(({ lineage }) => lineage))]
  const stranger = strangerAmong(rows, lineages, isFormer ? migrations : [])
  const states = lineages.map((lineage) => {
    const ours = migrations.filter((migration) => migration.lineage === lineage)
    const own = rows.filter((row) => row.lineage === lineage)
    const state = compareJournal(ours, own)
    return { lineage, ours, state, drift: stranger ?? driftOf(lineage, state) }
  })
  return {
    versions: Object.fromEntries(states.map(({ lineage, state }) => [lineage, state.version])),
    pending: states.flatMap(({ ours, state }) => ours.filter(({ id }) => state.pending.includes(id))),
    ahead: states.flatMap(({ lineage, state }) => state.ahead.map((id) => nameOf({ lineage, id }))),
    drifts: new Map(
      states.flatMap(({ lineage, drift }) => (drift === null ? [] : [[lineage, drift] as const])),
    ),
    isFormer,
    rows,
  }
}

/**
 * Reads a journal of before lineages into them. A migration counts as applied where all that it stands for are (or it was
 * there under its own id); what nothing stands for goes to the first lineage.
 */
function withLineages(migrations: readonly Migration[], read: readonly ReadRow[]): JournalRow[] {
  const there = new Set(read.map(({ id, hash }) => `${id} ${hash}`))
  const applied = migrations.filter(({ id, hash, former }) =>
    (former.length > 0 ? former : [{ id, hash }]).every((row) => there.has(`${row.id} ${row.hash}`)),
  )
  const used = new Set(applied.flatMap(({ id, former }) => [id, ...former.map((row) => row.id)]))
  const first = migrations[0]?.lineage ?? 'core'
  const others = read.filter(({ id }) => !used.has(id))
  return [
    ...applied.map(({ lineage, id, hash }) => ({ lineage, id, hash })),
    ...others.map(({ id, hash }) => ({ lineage: first, id, hash })),
  ]
}

/**
 * A row that no later release of ours can have written: of a lineage that a database of this kind has not; or, where
 * migrations were split into lineages since, one that none of them stands for. `split`: our files, for a journal of before.
 */
function strangerAmong(
  rows: readonly JournalRow[],
  lineages: readonly Lineage[],
  split: readonly Migration[],
): Drift | null {
  const hasSplit = split.some(({ former }) => former.length > 0)
  const isOurs = ({ lineage, id }: JournalRow) =>
    lineages.includes(lineage) &&
    (!hasSplit || split.some((each) => each.lineage === lineage && each.id === id))
  const stranger = rows.find((row) => !isOurs(row))
  if (stranger === undefined) return null
  const migrationId = nameOf(stranger)
  return {
    reason: `Migration ${migrationId}, which is applied, is of another release or product`,
    migrationId,
  }
}

/** Compares one lineage's files with its rows. */
export function compareJournal(
  migrations: readonly Pick<Migration, 'id' | 'hash'>[],
  applied: readonly Pick<JournalRow, 'id' | 'hash'>[],
): LineageState {
  const ours = new Map(migrations.map((migration) => [migration.id, migration.hash]))
  const done = new Set(applied.map((row) => row.id))
  const last = migrations.at(-1)?.id ?? ''
  const isAhead = (row: { id: string }) => !ours.has(row.id) && row.id > last
  return {
    version: [...done].sort().at(-1) ?? null,
    pending: migrations.map((migration) => migration.id).filter((id) => !done.has(id)),
    edited: ids(applied.filter((row) => !isAhead(row) && ours.get(row.id) !== row.hash)),
    ahead: ids(applied.filter(isAhead)),
  }
}

/** What has to be put right by hand before anything can be applied, in words, or null: an edited file or a gap. */
export function driftOf(lineage: Lineage, state: LineageState): Drift | null {
  const name = (id: string) => nameOf({ lineage, id })
  const [edited] = state.edited
  if (edited !== undefined) {
    return {
      reason: `Migration ${name(edited)} differs from the one that was applied`,
      migrationId: name(edited),
    }
  }
  const [pending] = state.pending
  if (pending !== undefined && state.version !== null && pending < state.version) {
    return {
      reason: `Migration ${name(pending)} comes before ${name(state.version)}, which is applied`,
      migrationId: name(pending),
    }
  }
  return null
}

/** The first drift of any lineage. */
export function firstDrift({ drifts }: SchemaState): Drift | null {
  return drifts.values().next().value ?? null
}

/** SQLSTATE 42501, insufficient_privilege. */
export function isPermissionError(error: unknown): boolean {
  return sqlState(error) === '42501'
}

export function sqlState(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
}

function ids(rows: readonly { id: string }[]): string[] {
  return rows.map((row) => row.id).sort()
}
