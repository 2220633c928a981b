import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SNAPSHOT_VERSION, type Snapshot } from './drizzle-kit.ts'
import { SchemaError } from './schema-error.ts'

interface JournalEntry {
  readonly idx: number
  readonly version: string
  readonly when: number
  readonly tag: string
  readonly breakpoints: boolean
}

interface Journal {
  readonly version: string
  readonly dialect: string
  readonly entries: readonly JournalEntry[]
}

/** A folder of migrations in drizzle-kit's layout: `0000_name.sql`, `meta/0000_snapshot.json`, `meta/_journal.json`. */
export interface MigrationsFolder {
  readonly path: string
  readonly journal: Journal
  /** The schema after the last migration; null before the first one. */
  readonly latest: Snapshot | null
  /** Names of the SQL files, in order. */
  readonly files: readonly string[]
}

const EMPTY: Journal = { version: SNAPSHOT_VERSION, dialect: 'postgresql', entries: [] }
export const BREAKPOINT = '--> statement-breakpoint\n'

/** Reads a folder, which need not exist. @throws SchemaError MIGRATIONS_FOLDER_UNUSABLE */
export async function readMigrationsFolder(path: string): Promise<MigrationsFolder> {
  const entries = existsSync(path) ? await readdir(path, { withFileTypes: true }) : []
  const files = entries.flatMap(({ name }) => (name.endsWith('.sql') ? [name] : [])).sort()
  const folders = entries.filter(
    (entry) => entry.isDirectory() && existsSync(join(path, entry.name, 'migration.sql')),
  )
  if (folders.length > 0)
    throw new SchemaError(
      'MIGRATIONS_LAYOUT_NEWER',
      `${path} has the layout of a newer drizzle-kit (a folder for each migration). Freehold can apply it; write the ` +
        'next migration with that drizzle-kit, and add SELECT public.freehold_protect(…) for each new tenant table.',
    )
  const journal = await readJson<Journal>(join(path, 'meta', '_journal.json'))
  if (journal === null) {
    if (files.length > 0)
      throw unusable(
        `${path} has SQL files but no meta/_journal.json, so the tables that they create are unknown. ` +
          'Restore the folder "meta" that drizzle-kit wrote',
      )
    return { path, journal: EMPTY, latest: null, files }
  }
  return { path, journal, latest: await readLatest(path), files }
}

/** The snapshot that sorts last, as drizzle-kit chooses it. */
async function readLatest(path: string): Promise<Snapshot | null> {
  const names = (await readdir(join(path, 'meta'))).filter((name) => name.endsWith('_snapshot.json')).sort()
  const snapshots = await Promise.all(names.map((name) => readJson<Snapshot>(join(path, 'meta', name))))
  const parents = snapshots.map((snapshot) => snapshot?.prevId)
  const twin = parents.findIndex((parent, index) => parents.indexOf(parent) !== index)
  if (twin !== -1)
    throw unusable(
      `${path}: two migrations have the same predecessor (meta/${names[twin]} is the second), as after a merge of two ` +
        'branches. Delete the later migration with its snapshot and its entry in meta/_journal.json, and generate it again',
    )
  const latest = snapshots.at(-1) ?? null
  if (latest !== null && String(latest.version) !== SNAPSHOT_VERSION)
    throw unusable(
      `${path}/meta/${names.at(-1)} has version ${latest.version}, but ${SNAPSHOT_VERSION} is expected. ` +
        'Run drizzle-kit up, or install the drizzle-kit that wrote it',
    )
  return latest
}

/** Adds a migration in drizzle-kit's own form. Returns the path of the SQL file. */
export async function addMigration(
  folder: MigrationsFolder,
  { name, statements, snapshot }: { name: string; statements: readonly string[]; snapshot: Snapshot },
): Promise<string> {
  const { path, journal } = folder
  const prefix = nextPrefix(folder)
  const tag = `${prefix}_${name}`
  const last = folder.files.at(-1)
  if (last !== undefined && `${tag}.sql` <= last)
    throw unusable(
      `${path}: the new migration ${tag}.sql would sort before ${last}, which may be applied already`,
    )
  const entry: JournalEntry = {
    idx: (journal.entries.at(-1)?.idx ?? -1) + 1,
    version: snapshot.version,
    when: Date.now(),
    tag,
    breakpoints: true,
  }
  const meta = join(path, 'meta')
  await mkdir(meta, { recursive: true })
  // The SQL file is written last, because gateways apply it as soon as it exists.
  await writeJson(join(meta, `${prefix}_snapshot.json`), snapshot)
  await writeJson(join(meta, '_journal.json'), { ...journal, entries: [...journal.entries, entry] })
  const file = join(path, `${tag}.sql`)
  await writeFile(file, statements.join(BREAKPOINT), { flag: 'wx' })
  return file
}

/** Continues the folder's prefixes: numbers, or timestamps if drizzle-kit was configured to write them. */
function nextPrefix({ journal, files }: MigrationsFolder): string {
  const [last = ''] = journal.entries.at(-1)?.tag.split('_') ?? []
  if (/^\d{14}$/.test(last)) return new Date().toISOString().replaceAll(/\D/g, '').slice(0, 14)
  if (/^\d{10}$/.test(last)) return String(Math.floor(Date.now() / 1000))
  const numbers = files.map((file) => Number(/^(\d{4})_/.exec(file)?.[1] ?? -1))
  const next = Math.max((journal.entries.at(-1)?.idx ?? -1) + 1, ...numbers.map((number) => number + 1))
  return String(next).padStart(4, '0')
}

async function readJson<T>(path: string): Promise<T | null> {
  if (!existsSync(path)) return null
  const text = await readFile(path, 'utf8')
  try {
    return JSON.parse(text) as T
  } catch {
    throw unusable(`${path} is not JSON. Does it contain an unfinished merge?`)
  }
}

async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFile(path, JSON.stringify(value, null, 2))
}

function unusable(message: string): SchemaError {
  return new SchemaError('MIGRATIONS_FOLDER_UNUSABLE', `${message}.`)
}
