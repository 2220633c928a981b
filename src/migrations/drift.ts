import { type Lineage, type Migration, nameOf } from './files.ts'
import { type JournalRow, type ReadRow, readJournal } from './journal.ts'
import type { MigrationClient } from './transaction.ts'

/** The last applied migration of each lineage, of this release or a newer one. Null if none is applied. */
export type Versions = Readonly<Partial<Record<Lineage, string | null>>>

/** A database's journal compared with our files, for all lineages. */
export interface SchemaState {
  readonly versions: Versions
  /** Our migrations that are not applied yet, in their order. */
  readonly pending: readonly Migration[]
  /** Migrations that a newer release applied, after all of ours: `core/0009_name`. */
  readonly ahead: readonly string[]
  /** Faults that a person must repair, by lineage. Nothing can be applied to such a lineage. The other one continues. */
  readonly drifts: ReadonlyMap<Lineage, Drift>
  /** True if a release before lineages wrote the journal. */
  readonly isFormer: boolean
  /** The journal's rows. A former journal's rows are shown as the conversion will write them. */
  readonly rows: readonly JournalRow[]
}

export interface Drift {
  readonly reason: string
  /** `core/0001_name`. */
  readonly migrationId: string
}

/** The journal compared with the files of one lineage. */
export interface LineageState {
  readonly version: string | null
  /** Our migrations that are not applied yet. */
  readonly pending: string[]
  /** Applied migrations with another hash than our file, or without a file although they sort before our last one. */
  readonly edited: string[]
  /** Migrations that a newer release applied, after all of ours. */
  readonly ahead: string[]
}

/**
 * Compares the journal with our files. Takes no lock and writes nothing.
 * @throws MigrationError PERMISSION_MISSING if the role may not read the journal; the connection's errors
 */
export async function schemaState(
  client: MigrationClient,
  migrations: readonly Migration[],
): Promise<SchemaState> {
  return stateOf(migrations, (await readJournal(client)) ?? [])
}

/** The pure part of `schemaState`. */
export function stateOf(migrations: readonly Migration[], read: readonly ReadRow[]): SchemaState {
  const isFormer = read.some(({ lineage }) => lineage === null)
  const rows = isFormer ? withLineages(migrations, read) : (read as readonly JournalRow[])
  const lineages = [...new Set(migrations.map(({ lineage }) => lineage))]
  const foreign = findForeignRow(rows, lineages, isFormer ? migrations : [])
  const states = lineages.map((lineage) => {
    const ours = migrations.filter((migration) => migration.lineage === lineage)
    const own = rows.filter((row) => row.lineage === lineage)
    const state = compareJournal(ours, own)
    return { lineage, ours, state, drift: foreign ?? driftOf(lineage, state) }
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
 * Adds the lineage to the rows of a former journal. A migration that replaces former ones counts as applied if all of these are
 * applied. Another migration counts as applied if it has a row. Rows that no migration replaces get the first lineage.
 */
function withLineages(migrations: readonly Migration[], read: readonly ReadRow[]): JournalRow[] {
  const present = new Set(read.map(({ id, hash }) => `${id} ${hash}`))
  const applied = migrations.filter(({ id, hash, former }) =>
    (former.length > 0 ? former : [{ id, hash }]).every((row) => present.has(`${row.id} ${row.hash}`)),
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
 * Finds a row that no release of Freehold can have written: its lineage does not belong into this kind of database, or no migration
 * of ours replaces it. The second applies only to a former journal: then `split` has our files, and otherwise nothing.
 */
function findForeignRow(
  rows: readonly JournalRow[],
  lineages: readonly Lineage[],
  split: readonly Migration[],
): Drift | null {
  const hasSplit = split.some(({ former }) => former.length > 0)
  const isOurs = ({ lineage, id }: JournalRow) =>
    lineages.includes(lineage) &&
    (!hasSplit || split.some((each) => each.lineage === lineage && each.id === id))
  const foreign = rows.find((row) => !isOurs(row))
  if (foreign === undefined) return null
  const migrationId = nameOf(foreign)
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

/** An edited file or a gap, which a person must repair before anything can be applied. Null if there is none. */
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

function ids(rows: readonly { id: string }[]): string[] {
  return rows.map((row) => row.id).sort()
}
