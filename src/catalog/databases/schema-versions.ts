import { type SQL, sql } from 'drizzle-orm'
import { type SchemaVersion, tenantDatabases } from '../schema.ts'

const LINEAGES = ['core', 'application'] as const

/** True if a database lacks migrations up to `target`. A database of unknown version lacks them all. */
export function isBehind(version: SchemaVersion | null, target: SchemaVersion): boolean {
  return LINEAGES.some((lineage) => {
    const [has, needs] = [version?.[lineage] ?? null, target[lineage]]
    return needs !== null && (has === null || has < needs)
  })
}

/** The same, for rows of the catalog. Ids are compared byte by byte, as the files are sorted. */
export function isBehindSql(target: SchemaVersion): SQL<boolean> {
  const parts = LINEAGES.flatMap((lineage) => {
    const needs = target[lineage]
    const has = sql`coalesce(${tenantDatabases.schemaVersion} ->> ${sql.raw(`'${lineage}'`)}, '')`
    return needs === null ? [] : [sql`${has} collate "C" < ${needs}::text collate "C"`]
  })
  return parts.length === 0 ? sql<boolean>`false` : sql<boolean>`(${sql.join(parts, sql` or `)})`
}
