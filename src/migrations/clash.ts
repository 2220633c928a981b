import type { Migration } from './files.ts'
import type { Clash } from './migration-error.ts'
import type { MigrationClient } from './transaction.ts'

/** Matches the names of new objects, as drizzle-kit and we write them. */
const NEW_NAME =
  /\b(?:CREATE\s+(?:UNIQUE\s+)?(?:TABLE|INDEX|SEQUENCE|VIEW|TYPE|FUNCTION)\s+(?:CONCURRENTLY\s+)?(?:IF\s+NOT\s+EXISTS\s+)?|CONSTRAINT\s+)(?:"?public"?\.)?"?([a-z_][a-z0-9_]*)"?/gi

const KINDS: Readonly<Record<string, Clash['kind']>> = {
  ...{ r: 'table', p: 'table', f: 'table', v: 'view', m: 'view', i: 'index', I: 'index', S: 'sequence' },
  ...{ c: 'type', t: 'type', F: 'function' },
}

/** SQLSTATEs that report a name in use. */
const TAKEN = new Set(['42P07', '42710', '42723', '23505'])

/** Finds an existing object with the name of one that the migration creates. Null if the migration failed for another reason. */
export async function findClash(
  client: MigrationClient,
  migration: Migration,
  state: unknown,
): Promise<Clash | null> {
  if (typeof state !== 'string' || !TAKEN.has(state)) return null
  const names = migration.statements.flatMap((text) =>
    [...text.matchAll(NEW_NAME)].map(([, name]) => name ?? ''),
  )
  const { rows } = await client.query<{ kind: string; name: string }>(
    `SELECT f.kind, f.name FROM (
       SELECT c.relkind::text AS kind, c.relname::text AS name, c.relkind IN ('i', 'I') AS is_last
         FROM pg_catalog.pg_class c WHERE c.relnamespace = 'public'::pg_catalog.regnamespace
       UNION ALL SELECT 'F', p.proname::text, false
         FROM pg_catalog.pg_proc p WHERE p.pronamespace = 'public'::pg_catalog.regnamespace
       UNION ALL SELECT 't', t.typname::text, true
         FROM pg_catalog.pg_type t WHERE t.typnamespace = 'public'::pg_catalog.regnamespace) AS f
      WHERE f.name = ANY ($1::text[]) ORDER BY f.is_last, f.name LIMIT 1`,
    [names],
  )
  const [found] = rows
  return found === undefined ? null : { kind: KINDS[found.kind] ?? 'type', name: found.name }
}
