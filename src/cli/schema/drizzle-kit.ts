import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { is } from 'drizzle-orm'
import { getTableConfig, isPgEnum, isPgView, type PgColumn, PgTable } from 'drizzle-orm/pg-core'
import { SchemaError } from './schema-error.ts'

/** A snapshot of drizzle-kit: the tables after a migration. Only the members that this file reads. */
export interface Snapshot {
  readonly id: string
  readonly prevId: string
  readonly version: string
  readonly tables: Readonly<Record<string, { readonly name: string; readonly columns: Named }>>
  readonly enums: Named
  readonly views: Named
}

type Named = Readonly<Record<string, { readonly name: string }>>

/** The functions of drizzle-kit that make a snapshot of tables, and the SQL for the difference between two snapshots. */
export interface DrizzleKit {
  generateDrizzleJson(exports: Record<string, unknown>, previousId?: string): Snapshot
  generateMigration(before: Snapshot, after: Snapshot): Promise<string[]>
}

/** The version of the snapshots that this drizzle-kit reads and writes. */
export const SNAPSHOT_VERSION = '7'

const INSTALL = 'Install it in the project: npm install --save-dev drizzle-kit@0.31'

/**
 * Finds drizzle-kit: installed beside the migrations, else in the working directory, else beside Freehold.
 * @throws SchemaError DRIZZLE_KIT_MISSING, DRIZZLE_KIT_UNSUPPORTED
 */
export async function loadDrizzleKit(folder: string): Promise<DrizzleKit> {
  const path = resolveKit([join(folder, 'resolve.js'), join(process.cwd(), 'resolve.js'), import.meta.url])
  if (path === null) throw new SchemaError('DRIZZLE_KIT_MISSING', `drizzle-kit is not installed. ${INSTALL}`)
  return (await import(pathToFileURL(path).href)) as DrizzleKit
}

function resolveKit(folders: readonly string[]): string | null {
  for (const folder of folders) {
    try {
      return createRequire(folder).resolve('drizzle-kit/api')
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      // Later releases of drizzle-kit have another entry point and need another drizzle-orm than Freehold.
      if (code === 'ERR_PACKAGE_PATH_NOT_EXPORTED')
        throw new SchemaError(
          'DRIZZLE_KIT_UNSUPPORTED',
          `The drizzle-kit that is installed does not work with this release's drizzle-orm. ${INSTALL}`,
        )
      if (code !== 'MODULE_NOT_FOUND') throw error
    }
  }
  return null
}

/**
 * The objects of an application that drizzle-kit gets: tables, views, and the enums of their columns, which need not be exported.
 * Sequences, roles and policies are left out: in a tenant database they are written by hand.
 */
export function declaredFor(schema: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const tables = Object.values(schema).filter((value): value is PgTable => is(value, PgTable))
  const enums = tables.flatMap((table) => getTableConfig(table).columns.flatMap(enumOf))
  const views = Object.values(schema).filter(isPgView)
  const declared = [...new Set<unknown>([...tables, ...enums, ...views])]
  return Object.fromEntries(declared.map((value, index) => [String(index), value]))
}

function enumOf(column: PgColumn): unknown[] {
  const { enum: own, baseColumn } = column as PgColumn & { enum?: unknown; baseColumn?: PgColumn }
  if (isPgEnum(own)) return [own]
  return baseColumn === undefined ? [] : enumOf(baseColumn)
}

/**
 * The questions that drizzle-kit would ask. If one object is new and another one of its kind is gone, it asks whether that is a rename.
 * Empty if the snapshots alone determine the SQL.
 */
export function questionsBetween(before: Snapshot, after: Snapshot): string[] {
  const tables = question('table', { before: before.tables, after: after.tables })
  const columns = Object.entries(after.tables).flatMap(([key, { columns: now, name }]) => {
    const then = before.tables[key]?.columns
    return then === undefined ? [] : question('column', { before: then, after: now }, ` of table "${name}"`)
  })
  const enums = question('enum', { before: before.enums, after: after.enums })
  const views = question('view', { before: before.views, after: after.views })
  return [...tables, ...columns, ...enums, ...views]
}

function question(kind: string, { before, after }: { before: Named; after: Named }, where = ''): string[] {
  const added = namesOnlyIn(after, before)
  const removed = namesOnlyIn(before, after)
  if (added.length === 0 || removed.length === 0) return []
  const list = (names: readonly string[]) => names.map((name) => `"${name}"`).join(', ')
  return [`the ${kind} ${list(added)}${where} is new, or was ${list(removed)} before`]
}

function namesOnlyIn(these: Named, those: Named): string[] {
  return Object.entries(these).flatMap(([key, { name }]) => (key in those ? [] : [name]))
}
