import type { MigrationClient } from '../../migrations/transaction.ts'

/** The objects of a database: its tables by their full names, and the definitions of their parts and of functions. */
export interface DatabaseObjects {
  readonly tables: readonly { readonly schema: string; readonly name: string }[]
  /** By a name such as `column email of table users`. */
  readonly definitions: ReadonlyMap<string, string>
}

const TABLES = `
SELECT n.nspname::text AS schema, c.relname::text AS name
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1, 2`

const DEFINITIONS = `
WITH own AS (SELECT c.oid, c.relname::text AS name FROM pg_catalog.pg_class c
  WHERE c.relnamespace = 'public'::pg_catalog.regnamespace AND c.relkind IN ('r', 'p', 'v'))
SELECT 'column ' || a.attname || ' of table ' || o.name AS object,
    pg_catalog.format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull
      || coalesce(' ' || pg_catalog.pg_get_expr(d.adbin, d.adrelid), '') AS definition
  FROM own o JOIN pg_catalog.pg_attribute a ON a.attrelid = o.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = o.oid AND d.adnum = a.attnum
UNION ALL
SELECT 'constraint ' || k.conname || ' of table ' || o.name, pg_catalog.pg_get_constraintdef(k.oid)
  FROM own o JOIN pg_catalog.pg_constraint k ON k.conrelid = o.oid WHERE k.contype <> 'n'
UNION ALL
SELECT 'trigger ' || t.tgname || ' of table ' || o.name, pg_catalog.concat(t.tgenabled, ' ', pg_catalog.pg_get_triggerdef(t.oid))
  FROM own o JOIN pg_catalog.pg_trigger t ON t.tgrelid = o.oid WHERE NOT t.tgisinternal
UNION ALL
SELECT 'policy ' || p.polname || ' of table ' || o.name, pg_catalog.concat(p.polcmd, ' ', pg_catalog.pg_get_expr(p.polqual, o.oid), ' ',
    pg_catalog.pg_get_expr(p.polwithcheck, o.oid))
  FROM own o JOIN pg_catalog.pg_policy p ON p.polrelid = o.oid
UNION ALL
SELECT 'function ' || p.oid::pg_catalog.regprocedure::text, pg_catalog.pg_get_functiondef(p.oid)
    || coalesce(p.proacl::text, '')
  FROM pg_catalog.pg_proc p WHERE p.pronamespace = 'public'::pg_catalog.regnamespace AND p.prokind = 'f'
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
      WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e')`

export async function readObjects(client: MigrationClient): Promise<DatabaseObjects> {
  const tables = await client.query<{ schema: string; name: string }>(TABLES)
  const definitions = await client.query<{ object: string; definition: string }>(DEFINITIONS)
  return {
    tables: tables.rows,
    definitions: new Map(definitions.rows.map(({ object, definition }) => [object, definition])),
  }
}

/** Changes that an application's migrations made to Freehold's own tables and functions. They may add triggers and indexes. */
export function faultsOfCore(core: DatabaseObjects, whole: DatabaseObjects): string[] {
  const changed = [...core.definitions].flatMap(([object, definition]) =>
    whole.definitions.get(object) === definition ? [] : [object],
  )
  const tables = new Set(core.tables.map(({ name }) => name))
  const added = [...whole.definitions.keys()].filter((object) => {
    const [, table] = /^(?:column|constraint) .* of table (.*)$/.exec(object) ?? []
    return table !== undefined && tables.has(table) && !core.definitions.has(object)
  })
  return [
    ...changed.map(
      (object) =>
        `A migration changes or drops the ${object}, which belongs to Freehold. Remove that statement.`,
    ),
    ...added.map(
      (object) =>
        `A migration adds the ${object}, which belongs to Freehold. Create your own table that refers to it.`,
    ),
  ]
}

/** Tables that the application's migrations create but the application does not declare. */
export function undeclaredTables(
  core: DatabaseObjects,
  whole: DatabaseObjects,
  declared: readonly string[],
): { readonly schema: string; readonly name: string }[] {
  const known = new Set(core.tables.map(({ schema, name }) => `${schema}.${name}`))
  return whole.tables.filter(
    ({ schema, name }) =>
      !known.has(`${schema}.${name}`) && !(schema === 'public' && declared.includes(name)),
  )
}

export function faultOfUndeclared({ schema, name }: { schema: string; name: string }): string {
  if (schema !== 'public')
    return `Table "${schema}.${name}" is not in the schema public, so nothing isolates its tenants. Create it in public, and declare it.`
  return (
    `Table "${name}" is created by a migration but not declared. Make it with tenantTable or referenceTable and add it to ` +
    "the application's tables, or drop it in a migration."
  )
}
