import { is } from 'drizzle-orm'
import { getTableConfig, PgTable } from 'drizzle-orm/pg-core'
import { isResidenceView, isTenantFunction, policies, RESIDENCE_VIEW } from './policies.ts'
import * as schema from './tables.ts'

/** Anything that runs SQL. For several statements in one text it returns a result for each. */
export interface AuditClient {
  query(text: string): Promise<{ rows: unknown[] } | { rows: unknown[] }[]>
}

export type IsolationRule =
  | 'tenant-id'
  | 'primary-key'
  | 'unique-index'
  | 'foreign-key'
  | 'rls-disabled'
  | 'rls-not-forced'
  | 'policy-missing'
  | 'policy-foreign'
  | 'view'
  | 'security-definer'
  | 'granted-to-public'
  | 'reference-writable'
  | 'granted-to-role'
export type RoleRule = 'superuser' | 'bypassrls'

/** A violated rule, and the table, view, function or role that violates it. */
export interface Violation<Rule extends string = IsolationRule> {
  readonly object: string
  readonly rule: Rule
  /** The index, constraint, policy or privilege that violates the rule. Empty if the object itself does. */
  readonly detail: string
}

export interface AuditOptions {
  /**
   * True for a database that only Freehold and the application use. Then the rules apply to every table, view and function in
   * `public`, except those of extensions. False, the default, for a dedicated database, in which the tenant may have other objects.
   * Then the rules apply to our tables, to tables with a tenant_id, to views of these, and to our functions.
   */
  readonly everything?: boolean
  /** True if the schema may be older than this release's. */
  readonly isOlder?: boolean
  readonly tables: DeclaredTables
}

/** The tables of an application, by their names in SQL. */
export interface DeclaredTables {
  /** Tables with tenants' rows. */
  readonly tenantTables: readonly string[]
  /** Tables whose rows belong to no tenant. */
  readonly referenceTables: readonly string[]
}

/** Tables without row-level security. They are read before the tenant is known, and have no tenant's data. */
export const INFRASTRUCTURE: readonly string[] = ['residence', 'freehold_migrations']

/** The names of the core's own tables with tenants' rows. */
export const CORE_TABLES: readonly string[] = Object.values(schema)
  .flatMap((value) => (is(value, PgTable) ? [getTableConfig(value).name] : []))
  .filter((name) => !INFRASTRUCTURE.includes(name))
  .sort()

const literals = (names: readonly string[]) =>
  names.map((name) => `'${name.replaceAll("'", "''")}'`).join(', ')

const has = (role: string) => `CASE WHEN t.privilege IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
      THEN pg_catalog.has_any_column_privilege(${role}, t.oid, t.privilege)
      ELSE pg_catalog.has_table_privilege(${role}, t.oid, t.privilege) END`

/**
 * A query that lists each violation as (object, rule, detail). It reads only pg_catalog. `everything`: see AuditOptions. Unique
 * indexes and foreign keys are checked because they ignore row-level security, so they may reveal or reference another tenant's
 * row. Views are checked because a view shows what its owner may see.
 */
export const isolationAudit = ({ everything = false, isOlder = false, tables }: AuditOptions) => `
WITH owned AS (
  SELECT d.classid, d.objid FROM pg_catalog.pg_depend d WHERE d.deptype = 'e'
), relation AS (
  SELECT c.*, c.relname::text AS name, c.relname IN (${literals([...INFRASTRUCTURE, ...tables.referenceTables])}) AS infrastructure,
    a.attnum AS tenant_attnum, a.attnotnull AND a.atttypid = 'pg_catalog.uuid'::pg_catalog.regtype AS tenant_sound
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
  WHERE c.relkind IN ('r', 'p', 'f')
    AND NOT EXISTS (SELECT FROM owned o WHERE o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND o.objid = c.oid)
    AND (${everything} OR a.attnum IS NOT NULL OR c.relname IN (${literals([...CORE_TABLES, ...tables.tenantTables, ...tables.referenceTables, ...INFRASTRUCTURE])}))
), guarded AS (
  SELECT * FROM relation WHERE NOT infrastructure
), policy AS (${policies(isOlder)}
), violation(object, rule, detail) AS (
  SELECT name, 'tenant-id', '' FROM guarded WHERE tenant_sound IS NOT TRUE
  UNION ALL
  SELECT g.name, 'primary-key', '' FROM guarded g WHERE NOT EXISTS (
    SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = g.oid AND i.indisprimary AND i.indkey[0] = g.tenant_attnum)
  UNION ALL
  SELECT g.name, 'unique-index', i.indexrelid::pg_catalog.regclass::text
  FROM guarded g JOIN pg_catalog.pg_index i ON i.indrelid = g.oid
  WHERE (i.indisunique OR i.indisexclusion) AND NOT i.indisprimary
    AND i.indkey[0] IS DISTINCT FROM g.tenant_attnum
  UNION ALL
  SELECT g.name, 'foreign-key', k.conname
  FROM guarded g
  JOIN pg_catalog.pg_constraint k ON k.conrelid = g.oid AND k.contype = 'f'
  LEFT JOIN pg_catalog.pg_attribute t ON t.attrelid = k.confrelid AND t.attnum = k.confkey[1]
  WHERE (k.conkey[1] IS DISTINCT FROM g.tenant_attnum OR t.attname IS DISTINCT FROM 'tenant_id')
    AND NOT EXISTS (SELECT FROM relation r WHERE r.oid = k.confrelid AND r.name IN (${literals(['', ...tables.referenceTables])}))
  UNION ALL
  SELECT name, 'rls-disabled', '' FROM guarded WHERE NOT relrowsecurity
  UNION ALL
  SELECT name, 'rls-not-forced', '' FROM guarded WHERE NOT relforcerowsecurity
  UNION ALL
  SELECT g.name, 'policy-missing', '' FROM guarded g
  WHERE NOT EXISTS (SELECT FROM policy p WHERE p.polrelid = g.oid AND p.isolation)
  UNION ALL
  SELECT g.name, 'policy-missing', 'tenant_deletion' FROM guarded g
  WHERE NOT EXISTS (SELECT FROM policy p WHERE p.polrelid = g.oid AND p.deletion)
  UNION ALL
  SELECT g.name, 'policy-foreign', p.polname FROM guarded g
  JOIN policy p ON p.polrelid = g.oid AND p.polpermissive AND p.isolation IS NOT TRUE
  UNION ALL
  ${views(everything)}
  UNION ALL
  SELECT f.proname, 'security-definer', ''
  FROM pg_catalog.pg_proc f
  JOIN pg_catalog.pg_namespace n ON n.oid = f.pronamespace AND n.nspname = 'public'
  WHERE f.prosecdef AND ${isTenantFunction} IS NOT TRUE AND (${everything} OR f.proname LIKE 'freehold\\_%')
    AND NOT EXISTS (SELECT FROM owned o WHERE o.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND o.objid = f.oid)
  UNION ALL
  SELECT r.name, 'granted-to-public', x.privilege_type
  FROM relation r, LATERAL pg_catalog.aclexplode(r.relacl) x WHERE x.grantee = 0
  UNION ALL
  SELECT r.name, 'granted-to-public', a.attname || ': ' || x.privilege_type
  FROM relation r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid,
    LATERAL pg_catalog.aclexplode(a.attacl) x WHERE x.grantee = 0
  UNION ALL
  ${references(tables.referenceTables)}
  UNION ALL
  ${GRANTED_TO_ROLE} AND NOT ${isOlder}
)
SELECT object, rule, detail FROM violation ORDER BY object, rule, detail`

/**
 * Privileges of the connected role with which a tenant's SQL could bypass the policies: all privileges on the residences, which
 * contain the seals, and those that row-level security does not check. Privileges of PUBLIC have a rule of their own. A role that
 * owns the tables, or may become their owner, is not checked here, because no policy holds for it (see `findLostPromises`).
 */
const GRANTED_TO_ROLE = `
  SELECT t.name, 'granted-to-role', t.privilege
  FROM (
    SELECT r.name, r.oid, x.privilege FROM relation r, pg_catalog.unnest(
      CASE r.name WHEN 'residence' THEN '{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]
        WHEN 'freehold_migrations' THEN '{INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]
        ELSE '{TRUNCATE,REFERENCES,TRIGGER}'::text[] END) AS x(privilege)
    UNION ALL
    SELECT '${RESIDENCE_VIEW}', v.oid, x.privilege FROM pg_catalog.pg_class v,
      pg_catalog.unnest('{INSERT,UPDATE,DELETE,TRIGGER}'::text[]) AS x(privilege)
    WHERE v.oid = pg_catalog.to_regclass('public.${RESIDENCE_VIEW}')
  ) t
  WHERE NOT pg_catalog.pg_has_role(current_user, (SELECT r.relowner FROM relation r WHERE r.name = 'residence'), 'MEMBER')
    AND ${has('current_user')} AND NOT ${has("'public'")}`

/** Reference tables that a role other than the owner may do more with than read, or for which `freehold_share` was not called. */
const references = (tables: readonly string[]) => `
  SELECT r.name, 'reference-writable', x.grantee::pg_catalog.regrole::text || ': ' || x.privilege_type
  FROM relation r, LATERAL (
    SELECT t.grantee, t.privilege_type FROM pg_catalog.aclexplode(r.relacl) t
    UNION SELECT s.grantee, s.privilege_type FROM pg_catalog.pg_attribute a, LATERAL pg_catalog.aclexplode(a.attacl) s
      WHERE a.attrelid = r.oid
  ) x
  WHERE r.name IN (${literals(['', ...tables])}) AND x.grantee NOT IN (0, r.relowner) AND x.privilege_type <> 'SELECT'
  UNION ALL
  SELECT r.name, 'reference-writable', '' FROM relation r
  WHERE r.name IN (${literals(['', ...tables])}) AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t
    JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
    WHERE t.tgrelid = r.oid AND t.tgname = 'freehold_read_only' AND t.tgenabled IN ('O', 'A')
      AND p.proname = 'freehold_read_only' AND p.pronamespace = 'public'::pg_catalog.regnamespace)`

/** Also checks views outside `public` if they read a guarded table. A materialized view cannot have `security_invoker`. */
const views = (everything: boolean) => `
  SELECT v.oid::pg_catalog.regclass::text, 'view', ''
  FROM pg_catalog.pg_class v
  JOIN pg_catalog.pg_namespace n ON n.oid = v.relnamespace
  WHERE v.relkind IN ('v', 'm')
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_options_to_table(v.reloptions) o
      WHERE o.option_name = 'security_invoker' AND o.option_value::pg_catalog.bool)
    AND NOT EXISTS (SELECT FROM owned o WHERE o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND o.objid = v.oid)
    AND ${isResidenceView} IS NOT TRUE
    AND (${everything} AND n.nspname = 'public' OR n.nspname = 'public' AND v.relname = '${RESIDENCE_VIEW}' OR EXISTS (
      SELECT FROM pg_catalog.pg_rewrite w
      JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
      JOIN relation g ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = g.oid
        AND (NOT g.infrastructure OR g.name = 'residence')
      WHERE w.ev_class = v.oid))`

/**
 * Lists the roles of this connection that see every tenant's rows. It has a role if it uses the role or can change to it by SET
 * ROLE or RESET ROLE. Membership counts with any INHERIT and SET options, because the member can change them.
 */
export const ROLE_AUDIT = `
SELECT r.rolname::text AS object, CASE WHEN r.rolsuper THEN 'superuser' ELSE 'bypassrls' END AS rule, '' AS detail
FROM pg_catalog.pg_roles r
JOIN pg_catalog.pg_roles me ON me.rolname IN (current_user, session_user)
WHERE (r.rolsuper OR r.rolbypassrls)
  AND (r.oid = me.oid OR (NOT me.rolsuper AND pg_catalog.pg_has_role(me.oid, r.oid, 'MEMBER')))
GROUP BY 1, 2 ORDER BY 1`

/** Checks the isolation rules in a running database. Empty if no rule is violated. */
export async function findIsolationViolations(
  client: AuditClient,
  options: AuditOptions,
): Promise<Violation[]> {
  return withPinnedPath(client, isolationAudit(options))
}

/** How the tables of a database differ from those that an application declares. */
export interface TableDifferences {
  /** Declared tables that do not exist. */
  readonly missing: readonly string[]
  /** Existing tables that are not declared, without Freehold's own, those of extensions, and partitions. */
  readonly undeclared: readonly string[]
}

export async function findTableDifferences(
  client: AuditClient,
  { tenantTables, referenceTables }: DeclaredTables,
): Promise<TableDifferences> {
  const declared = [...tenantTables, ...referenceTables]
  const rows = await withPinnedPath<{ name: string; isMissing: boolean }>(
    client,
    `WITH present AS (SELECT c.oid, c.relname::text AS name FROM pg_catalog.pg_class c
       WHERE c.relnamespace = 'public'::pg_catalog.regnamespace AND c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition)
     SELECT t.name, true AS "isMissing" FROM pg_catalog.unnest(ARRAY[${literals(declared)}]::text[]) AS t(name)
       WHERE t.name NOT IN (SELECT p.name FROM present p)
     UNION ALL SELECT p.name, false FROM present p
       WHERE p.name NOT IN (${literals([...INFRASTRUCTURE, ...CORE_TABLES, ...declared])}) AND p.name NOT LIKE 'freehold\\_%'
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
           WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e')
     ORDER BY 1`,
  )
  const names = (isMissing: boolean) =>
    rows.filter((row) => row.isMissing === isMissing).map(({ name }) => name)
  return { missing: names(true), undeclared: names(false) }
}

/** Checks that the connected role cannot bypass row-level security. Empty if it cannot. */
export async function findRoleViolations(client: AuditClient): Promise<Violation<RoleRule>[]> {
  return withPinnedPath(client, ROLE_AUDIT)
}

const set = (name: string, value: string) => `pg_catalog.set_config('${name}', ${value}, true)`
const PIN_PATH = `SELECT ${set('freehold.path', "pg_catalog.current_setting('search_path')")}, ${set('search_path', "'pg_catalog, pg_temp'")}`
const RESTORE_PATH = `SELECT ${set('search_path', "pg_catalog.current_setting('freehold.path')")}`

/**
 * Sets the search_path for the audit. The audit's names are qualified, but its operators are not, and with an owner's search_path
 * other operators could come before the built-in ones. One message is one transaction and one round trip. If a transaction is
 * open already, the last statement restores the path.
 */
async function withPinnedPath<Row>(client: AuditClient, text: string): Promise<Row[]> {
  const results = [await client.query(`${PIN_PATH};\n${text};\n${RESTORE_PATH}`)].flat()
  return (results.at(-2)?.rows ?? []) as Row[]
}

/** Abilities of the serving role with which an application's SQL, or injected SQL, can bypass the seal. */
export type LostPromise = 'OWNS_TABLES' | 'CREATES_OBJECTS' | 'REACHES_SERVER'

const LOST_PROMISES = `
SELECT 'OWNS_TABLES' AS promise WHERE EXISTS (SELECT FROM pg_catalog.pg_class c
  WHERE c.relnamespace = 'public'::pg_catalog.regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
    AND pg_catalog.pg_has_role(current_user, c.relowner, 'MEMBER'))
UNION ALL
SELECT 'CREATES_OBJECTS' WHERE pg_catalog.has_schema_privilege(current_user, 'public', 'CREATE')
  OR pg_catalog.has_database_privilege(current_user, pg_catalog.current_database(), 'CREATE')
UNION ALL
SELECT 'REACHES_SERVER' WHERE EXISTS (SELECT FROM pg_catalog.pg_roles r
  WHERE r.rolname IN ('pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program', 'pg_read_all_data')
    AND pg_catalog.pg_has_role(current_user, r.oid, 'MEMBER'))
ORDER BY 1`

/** Checks the serving role. Empty if no SQL of this role can bypass the seal. */
export async function findLostPromises(client: AuditClient): Promise<LostPromise[]> {
  const rows = await withPinnedPath<{ promise: LostPromise }>(client, LOST_PROMISES)
  return rows.map(({ promise }) => promise)
}
