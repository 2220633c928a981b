import type { Application } from '../../application.ts'
import {
  type DrizzleKit,
  declaredFor,
  loadDrizzleKit,
  questionsBetween,
  type Snapshot,
} from './drizzle-kit.ts'
import { addMigration, type MigrationsFolder, readMigrationsFolder } from './migrations-folder.ts'
import { SchemaError } from './schema-error.ts'

export interface GenerateOptions {
  readonly application: Application
  /** The end of the file name. */
  readonly name: string
  /** True if drizzle-kit may ask the person at the terminal whether something was renamed. */
  readonly interactive: boolean
}

/** A migration that was written. */
export interface Generated {
  /** The SQL file. */
  readonly path: string
  /** The tables that it creates, and protects or shares, by their names in SQL. */
  readonly tables: readonly string[]
}

/** The functions of Freehold that a migration calls for its new tables. */
const CALLS = { tenant: 'public.freehold_protect', reference: 'public.freehold_share' }
const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/
const CREATED = /^CREATE TABLE "((?:[^"]|"")+)" \(/

/**
 * Writes the migration from the folder's last snapshot to the declared tables, with the row-level security of each new tenant table.
 * Null if nothing has changed.
 * @throws SchemaError
 */
export async function generateMigration(options: GenerateOptions): Promise<Generated | null> {
  const { application, name } = options
  if (!NAME.test(name))
    throw new SchemaError(
      'NAME_INVALID',
      `A migration cannot be named "${name}": use letters, digits, hyphens and underscores, for example add-bookings.`,
    )
  const folder = await readMigrationsFolder(application.migrations)
  const kit = await loadDrizzleKit(application.migrations)
  const { before, after } = snapshotsOf(kit, application, folder)
  if (!options.interactive) assertNoQuestions(before, after)
  const statements = await kit.generateMigration(before, after)
  if (statements.length === 0) return null
  const tables = statements.flatMap((statement) => CREATED.exec(statement)?.[1] ?? [])
  const path = await addMigration(folder, {
    name,
    statements: [...statements, ...tables.flatMap((table) => protectionOf(application, table))].map(
      withNewline,
    ),
    snapshot: after,
  })
  return { path, tables }
}

/**
 * The SQL that leads from the folder's last migration to the declared tables. Null if drizzle-kit would ask about a rename, which only a
 * person can answer.
 * @throws SchemaError
 */
export async function pendingStatements(application: Application): Promise<string[] | null> {
  const folder = await readMigrationsFolder(application.migrations)
  const kit = await loadDrizzleKit(application.migrations)
  const { before, after } = snapshotsOf(kit, application, folder)
  return questionsBetween(before, after).length > 0 ? null : kit.generateMigration(before, after)
}

function snapshotsOf(
  kit: DrizzleKit,
  application: Application,
  { latest }: MigrationsFolder,
): { before: Snapshot; after: Snapshot } {
  const before = latest ?? kit.generateDrizzleJson({})
  return { before, after: kit.generateDrizzleJson(declaredFor(application.schema), latest?.id) }
}

/** drizzle-kit asks on the terminal. Without a terminal it waits, or fails without naming its question. */
function assertNoQuestions(before: Snapshot, after: Snapshot): void {
  const questions = questionsBetween(before, after)
  if (questions.length === 0) return
  throw new SchemaError(
    'RENAME_UNCLEAR',
    'Something may have been renamed, and there is no terminal for the question. Run the command in a terminal, or make two ' +
      'migrations: first declare the new object and generate, then remove the old one and generate again. Is it true that',
    questions.map((question) => `${question}?`),
  )
}

function protectionOf({ tenantTables, referenceTables }: Application, table: string): string[] {
  const call = [
    ...(tenantTables.includes(table) ? [CALLS.tenant] : []),
    ...(referenceTables.includes(table) ? [CALLS.reference] : []),
  ]
  return call.map((name) => `SELECT ${name}('public.${quoted(table)}');`)
}

/** The name of a table as text of a regclass inside an SQL literal. */
function quoted(table: string): string {
  const name = /^[a-z_][a-z0-9_$]*$/.test(table) ? table : `"${table.replaceAll('"', '""')}"`
  return name.replaceAll("'", "''")
}

function withNewline(statement: string): string {
  return statement.endsWith('\n') ? statement : `${statement}\n`
}
