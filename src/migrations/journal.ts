import type { Lineage } from './files.ts'
import { isPermissionError, MigrationError, sqlState } from './migration-error.ts'
import { BEGIN, type MigrationClient, withRollback } from './transaction.ts'

/** One row of the journal: a migration that was applied. */
export interface JournalRow {
  readonly lineage: Lineage
  readonly id: string
  readonly hash: string
}

/** A row as it is read. A former journal, from a release before lineages, has rows without one. */
export type ReadRow = Omit<JournalRow, 'lineage'> & { readonly lineage: Lineage | null }

/** SQL: true if there is a journal. */
export const HAS_JOURNAL = "pg_catalog.to_regclass('public.freehold_migrations') IS NOT NULL"

/** The journal's rows. Null if there is no journal yet. */
export async function readJournal(client: MigrationClient): Promise<ReadRow[] | null> {
  const { rows } = await client.query<{ present: boolean }>(`SELECT ${HAS_JOURNAL} AS present`)
  return rows[0]?.present === true ? readPresentJournal(client) : null
}

/** The rows of a journal that is known to exist. @throws MigrationError PERMISSION_MISSING, SCHEMA_DRIFTED */
export async function readPresentJournal(client: MigrationClient): Promise<ReadRow[]> {
  try {
    // One text for both forms of the journal: without a column `lineage` the JSON has no such field.
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
/** The length of a file name. */
const ID = /^\P{Cc}{1,255}$/u

/** The owner of a database can write anything here. It goes into the catalog and to operators, so it must have our form. */
function isWritten({ lineage, id, hash }: { [name in keyof ReadRow]: unknown }): boolean {
  const isText = (value: unknown) => typeof value === 'string' && ID.test(value)
  return isText(id) && isText(hash) && (lineage === null || isText(lineage))
}

export async function createJournal(client: MigrationClient, before: string): Promise<void> {
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

/** Adds the column `lineage` to a former journal, and replaces its rows. */
export async function convertJournal(client: MigrationClient, rows: readonly JournalRow[]): Promise<void> {
  const statements = [
    'ALTER TABLE public.freehold_migrations ADD COLUMN lineage text',
    'DELETE FROM public.freehold_migrations',
    ...rows.map(insertOf),
    'ALTER TABLE public.freehold_migrations DROP CONSTRAINT IF EXISTS freehold_migrations_pkey',
    'ALTER TABLE public.freehold_migrations ADD PRIMARY KEY (lineage, id)',
  ]
  await withRollback(client, async () => {
    try {
      await client.query(`${BEGIN}${statements.join(';\n')};\nCOMMIT`)
    } catch (cause) {
      throw isPermissionError(cause)
        ? new MigrationError('PERMISSION_MISSING', 'The role may not change the journal of migrations', {
            cause,
          })
        : new MigrationError('MIGRATION_FAILED', 'The journal of migrations could not be converted', {
            cause,
          })
    }
  })
}

/** The statement that records a migration as applied. */
export function insertOf({ lineage, id, hash }: JournalRow): string {
  const values = [lineage, id, hash].map((text) => `'${text.replaceAll("'", "''")}'`)
  return `INSERT INTO public.freehold_migrations (lineage, id, hash) VALUES (${values.join(', ')})`
}
