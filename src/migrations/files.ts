import { createHash } from 'node:crypto'
import { type Dirent, existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** An ordered list of migrations. A tenant database has two: Freehold's own (`core`) and the application's. */
export type Lineage = 'catalog' | 'core' | 'application'

/** One SQL file of a migrations folder. Files of a lineage apply in the order of their ids. */
export interface Migration {
  readonly lineage: Lineage
  /** The file's name without `.sql`, such as `0001_isolation`, or the name of the folder that holds `migration.sql`. */
  readonly id: string
  /** SHA-256 of the SQL, hex. */
  readonly hash: string
  readonly statements: readonly string[]
  /**
   * False for a file that says `-- freehold: no-transaction`, for example for CREATE INDEX CONCURRENTLY. Each of its statements
   * commits alone, and a failure leaves the earlier ones done, so they must be repeatable (IF NOT EXISTS).
   */
  readonly transactional: boolean
  /** The migrations of a release before lineages that this one replaces. Usually empty. */
  readonly former: readonly FormerMigration[]
}

/** A migration as a former journal names it. */
export interface FormerMigration {
  readonly id: string
  readonly hash: string
}

/** A file that is no migration, or a folder without any. The files belong to the installation, so another attempt does not help. */
export class MigrationFileError extends Error {
  override readonly name = 'MigrationFileError'
  readonly code: 'MIGRATION_MALFORMED' | 'MIGRATIONS_MISSING'

  constructor(message: string, code: MigrationFileError['code'] = 'MIGRATION_MALFORMED') {
    super(message)
    this.code = code
  }
}

/** These errors stay. Others, for example too many open files, may pass. */
const PERMANENT = new Set(['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM'])
const BREAKPOINT = /-->\s*statement-breakpoint/
const DIRECTIVE = /^-- freehold:(.*)$/gm
const FORMER = /^former (\S+) ([0-9a-f]{64})$/

const FOLDERS = { catalog: 'catalog-migrations', core: 'tenant-migrations/core' }

/** The folder of SQL files of one of our own lineages, beside `src/` in a checkout and beside `dist/` in a package. */
export function migrationsFolder(lineage: keyof typeof FOLDERS): string {
  return fileURLToPath(new URL(`../../${FOLDERS[lineage]}`, import.meta.url))
}

/** The part of an application that this file needs. */
interface DeclaredTables {
  readonly migrations: string
  readonly tenantTables: readonly string[]
  readonly referenceTables: readonly string[]
}

/** Both lineages of a tenant database, Freehold's own first. An application without tables needs no migrations. @throws MigrationFileError */
export async function readTenantMigrations(application: DeclaredTables): Promise<Migration[]> {
  const hasTables = application.tenantTables.length + application.referenceTables.length > 0
  const [core, own] = await Promise.all([
    readMigrations(migrationsFolder('core'), 'core'),
    readMigrations(application.migrations, 'application').catch((error: unknown) => {
      const isAbsent = error instanceof MigrationFileError && error.code === 'MIGRATIONS_MISSING'
      if (!isAbsent) throw error
      if (!hasTables) return []
      throw new MigrationFileError(`${error.message}. Run: freehold schema generate --name first`, error.code)
    }),
  ])
  return [...core, ...own]
}

/**
 * Reads a folder as drizzle-kit writes it, in order: files `0000_name.sql`, or folders `name/migration.sql`.
 * @throws MigrationFileError for an unknown `-- freehold:` directive, for a file without SQL, and if there is no file
 */
export async function readMigrations(folder: string, lineage: Lineage): Promise<Migration[]> {
  const entries = await entriesIn(folder)
  const files = await Promise.all(entries.map((entry) => fileOf(folder, entry)))
  const migrations = files
    .filter((file) => file !== null)
    .map(({ name, text }) => parseMigration(lineage, name, text))
    .sort((a, b) => (a.id < b.id ? -1 : 1))
  if (migrations.length === 0)
    throw new MigrationFileError(`no migrations in ${folder}`, 'MIGRATIONS_MISSING')
  return migrations
}

/** Null for other files: drizzle-kit stores its snapshots in the same folder. */
async function fileOf(folder: string, entry: Dirent): Promise<{ name: string; text: string } | null> {
  const path = join(folder, entry.name)
  if (!entry.isDirectory())
    return entry.name.endsWith('.sql') ? { name: entry.name, text: await readFile(path, 'utf8') } : null
  const inner = join(path, 'migration.sql')
  return existsSync(inner) ? { name: entry.name, text: await readFile(inner, 'utf8') } : null
}

async function entriesIn(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true })
  } catch (error) {
    if (!PERMANENT.has((error as NodeJS.ErrnoException).code ?? '')) throw error
    return []
  }
}

/** The name of a migration in lists of both lineages: `core/0001_isolation`. */
export function nameOf({ lineage, id }: Pick<Migration, 'lineage' | 'id'>): string {
  return lineage === 'catalog' ? id : `${lineage}/${id}`
}

/** Makes a migration from a file's name and text. Line ends do not change the hash, because a checkout may change them. */
export function parseMigration(lineage: Lineage, fileName: string, text: string): Migration {
  const sql = text.replaceAll('\r\n', '\n')
  const directives = [...sql.matchAll(DIRECTIVE)].map((match) => match[1]?.trim() ?? '')
  const former = directives.flatMap((directive) => {
    const [, id, hash] = FORMER.exec(directive) ?? []
    return id !== undefined && hash !== undefined ? [{ id, hash }] : []
  })
  const unknown = directives.find((directive) => directive !== 'no-transaction' && !FORMER.test(directive))
  if (unknown !== undefined) throw new MigrationFileError(`${fileName}: unknown directive "${unknown}"`)
  const statements = sql
    .split(BREAKPOINT)
    .map((statement) => statement.trim())
    .filter((statement) => hasSql(statement))
  if (statements.length === 0) throw new MigrationFileError(`${fileName}: no statements`)
  return {
    lineage,
    id: fileName.replace(/\.sql$/, ''),
    hash: createHash('sha256').update(sql).digest('hex'),
    statements,
    transactional: !directives.includes('no-transaction'),
    former,
  }
}

function hasSql(text: string): boolean {
  return text.split('\n').some((line) => line.trim() !== '' && !line.trim().startsWith('--'))
}
