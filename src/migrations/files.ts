import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** One SQL file of a migrations folder. Files apply in the order of their ids. */
export interface Migration {
  /** The file's name without `.sql`, such as `0001_isolation`. */
  readonly id: string
  /** SHA-256 of the SQL, hex. */
  readonly hash: string
  readonly statements: readonly string[]
  /**
   * False for a file that says `-- freehold: no-transaction` (CREATE INDEX CONCURRENTLY and the like). Each of its
   * statements commits alone, so they must be repeatable (IF NOT EXISTS): a failure leaves the earlier ones done.
   */
  readonly transactional: boolean
}

/** A file that is no migration, or a folder without any, of our own release: only another installation mends it. */
export class MigrationFileError extends Error {
  override readonly name = 'MigrationFileError'
  readonly code: 'MIGRATION_MALFORMED' | 'MIGRATIONS_MISSING'

  constructor(message: string, code: MigrationFileError['code'] = 'MIGRATION_MALFORMED') {
    super(message)
    this.code = code
  }
}

const LASTING = new Set(['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM'])
const BREAKPOINT = /-->\s*statement-breakpoint/
const DIRECTIVE = /^-- freehold:(.*)$/gm

/** The folder of SQL files of a schema, beside `src/` in a checkout and beside `dist/` in a package. */
export function migrationsFolder(schema: 'catalog' | 'tenant'): string {
  return fileURLToPath(new URL(`../../${schema}-migrations`, import.meta.url))
}

/**
 * Reads a folder as drizzle-kit writes it, in order.
 * @throws MigrationFileError at an unknown `-- freehold:` directive, at a file without SQL, and without any file
 */
export async function readMigrations(folder: string): Promise<Migration[]> {
  const names = (await namesIn(folder)).filter((name) => name.endsWith('.sql')).sort()
  if (names.length === 0) throw new MigrationFileError(`no migrations in ${folder}`, 'MIGRATIONS_MISSING')
  return Promise.all(
    names.map(async (name) => parseMigration(name, await readFile(join(folder, name), 'utf8'))),
  )
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    // What is short for a moment, as descriptors may be, comes back; the folder does not.
    if (!LASTING.has((error as NodeJS.ErrnoException).code ?? '')) throw error
    return []
  }
}

/** The id that a database has when all of these are applied; empty without any. */
export function latestVersion(migrations: readonly Migration[]): string {
  return migrations.at(-1)?.id ?? ''
}

/** Makes a migration of a file's name and text. Line ends do not count, for a checkout may change them. */
export function parseMigration(fileName: string, text: string): Migration {
  const sql = text.replaceAll('\r\n', '\n')
  const directives = [...sql.matchAll(DIRECTIVE)].map((match) => match[1]?.trim())
  const unknown = directives.find((directive) => directive !== 'no-transaction')
  if (unknown !== undefined) throw new MigrationFileError(`${fileName}: unknown directive "${unknown}"`)
  const statements = sql
    .split(BREAKPOINT)
    .map((statement) => statement.trim())
    .filter((statement) => hasSql(statement))
  if (statements.length === 0) throw new MigrationFileError(`${fileName}: no statements`)
  return {
    id: fileName.replace(/\.sql$/, ''),
    hash: createHash('sha256').update(sql).digest('hex'),
    statements,
    transactional: directives.length === 0,
  }
}

function hasSql(text: string): boolean {
  return text.split('\n').some((line) => line.trim() !== '' && !line.trim().startsWith('--'))
}
