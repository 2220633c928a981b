/**
 * SQL that an attacker runs as a tenant. `{table}` has rows of this tenant and of another one. `{residence}` is the table of
 * residences. `{own}` and `{other}` are the tenants' ids.
 */
export interface Attack {
  readonly name: string
  /** One statement, or the statements of one transaction in their order. */
  readonly sql: string | readonly string[]
  /** For attacks that leave something on the connection: a statement that shows it to the next request. */
  readonly felt?: string
}

/** A block of PL/pgSQL with a variable. */
export const block = (body: string) => `DO $attack$ DECLARE v text; BEGIN ${body} END $attack$`

/** The attacks of one kind, each named by the feature that it uses. */
export const named = (of: Readonly<Record<string, string | readonly string[]>>, verb: string): Attack[] =>
  Object.entries(of).map(([name, sql]) => ({ name: `${verb} ${name}`, sql }))

/** These succeed if the serving role owns the tables. */
export const OWNER_ATTACKS: readonly Attack[] = named(
  {
    'row security of the table': [
      'ALTER TABLE {table} DISABLE ROW LEVEL SECURITY',
      'SELECT name FROM {table}',
    ],
    'force of the table': ['ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY', 'SELECT name FROM {table}'],
    'the policy': [
      'DROP POLICY tenant_isolation ON {table}',
      'CREATE POLICY tenant_isolation ON {table} USING (true)',
      'SELECT name FROM {table}',
    ],
    'the words of the policy': [
      'ALTER POLICY tenant_isolation ON {table} USING (true) WITH CHECK (true)',
      'SELECT name FROM {table}',
    ],
    'one more policy': ['CREATE POLICY support ON {table} USING (true)', 'SELECT name FROM {table}'],
    'a rule': [
      'CREATE RULE peek AS ON DELETE TO {table} DO INSTEAD NOTHING',
      'ALTER TABLE {table} DISABLE ROW LEVEL SECURITY',
      'SELECT name FROM {table}',
    ],
    'all rows at once': ['TRUNCATE {table} CASCADE'],
    'the table': ['DROP TABLE {table} CASCADE'],
    'a column': ['ALTER TABLE {table} DROP COLUMN description'],
    'a check that tells': [
      "CREATE FUNCTION pg_temp.tell(t text) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION '%', t; END $f$",
      "ALTER TABLE {table} ADD CONSTRAINT peek CHECK (tenant_id <> '{other}' OR pg_temp.tell(name))",
    ],
  },
  'changes',
)

/** These succeed if the serving role can read or write the residences: they learn a seal, or open a fence. */
export const RESIDENCE_ATTACKS: readonly Attack[] = named(
  {
    'a plain query': "SELECT encode(seal, 'hex') FROM {residence}",
    'the whole table': 'TABLE {residence}',
    'rows as JSON': 'SELECT json_agg(r) FROM {residence} r',
    'an error': "SELECT (SELECT encode(seal, 'hex') FROM {residence} WHERE tenant_id = '{other}')::int",
    'a query as XML':
      "SELECT query_to_xml('SELECT encode(seal, ''hex'') FROM {residence}', true, true, '')::text",
    'a block': [
      block("SELECT string_agg(encode(seal, 'hex'), ',') INTO v FROM {residence}; RAISE EXCEPTION '%', v;"),
    ],
    'an update that returns':
      "UPDATE {residence} SET epoch = epoch WHERE tenant_id = '{other}' RETURNING encode(seal, 'hex')",
    'a temporary copy': [
      'CREATE TEMP TABLE peek AS TABLE {residence}',
      "SELECT encode(seal, 'hex') FROM pg_temp.peek",
    ],
    'a lock of the row': "SELECT encode(seal, 'hex') FROM {residence} FOR UPDATE",
    'an opened fence': "UPDATE {residence} SET state = 'open' WHERE tenant_id = '{other}'",
    'a new epoch': "UPDATE {residence} SET epoch = epoch + 1 WHERE tenant_id = '{other}'",
    'a seal of its own choice':
      "UPDATE {residence} SET seal = decode(repeat('00', 32), 'hex') WHERE tenant_id = '{other}'",
    'a residence that is gone': "DELETE FROM {residence} WHERE tenant_id = '{other}'",
    'a residence that is new': 'INSERT INTO {residence} (tenant_id, epoch) VALUES (gen_random_uuid(), 1)',
    'an upsert':
      "INSERT INTO {residence} (tenant_id, epoch) VALUES ('{other}', 1) ON CONFLICT (tenant_id) DO UPDATE SET state = 'open'",
  },
  'asks the residences by',
)

/** These affect the next request on the connection unless the gateway cleans the connection. */
export const LEAVING_ATTACKS: readonly Attack[] = [
  {
    name: 'leaves a search path',
    sql: "SELECT set_config('search_path', 'pg_temp', false)",
    felt: "SELECT current_setting('search_path') AS felt",
  },
  {
    name: 'leaves a limit of time',
    sql: "SELECT set_config('statement_timeout', '1h', false)",
    felt: "SELECT current_setting('statement_timeout') AS felt",
  },
  {
    name: 'leaves row security off',
    sql: "SELECT set_config('row_security', 'off', false)",
    felt: "SELECT current_setting('row_security') AS felt",
  },
  {
    name: 'leaves a default of dates',
    sql: "SELECT set_config('datestyle', 'German', false)",
    felt: "SELECT current_setting('datestyle') AS felt",
  },
  {
    name: 'leaves other plans',
    sql: "SELECT set_config('enable_indexscan', 'off', false)",
    felt: "SELECT current_setting('enable_indexscan') AS felt",
  },
  {
    name: 'leaves another isolation',
    sql: ['SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE'],
    felt: "SELECT current_setting('transaction_isolation') AS felt",
  },
  {
    name: 'leaves its tenant',
    sql: "SELECT set_config('left.behind', current_setting('app.tenant_id'), false)",
    felt: "SELECT coalesce(current_setting('left.behind', true), '') AS felt",
  },
  {
    name: 'leaves a lock',
    sql: 'SELECT pg_advisory_lock(4713)',
    felt: "SELECT count(*)::int AS felt FROM pg_locks WHERE locktype = 'advisory' AND objid = 4713",
  },
  {
    name: 'leaves a shared lock',
    sql: 'SELECT pg_advisory_lock_shared(4714)',
    felt: "SELECT count(*)::int AS felt FROM pg_locks WHERE locktype = 'advisory' AND objid = 4714",
  },
  {
    name: 'leaves a temporary table',
    sql: ['CREATE TEMP TABLE left_behind AS SELECT 1 AS n'],
    felt: "SELECT to_regclass('pg_temp.left_behind')::text AS felt",
  },
  {
    name: 'leaves a temporary view',
    sql: ['CREATE TEMP VIEW left_view AS SELECT 1 AS n'],
    felt: "SELECT to_regclass('pg_temp.left_view')::text AS felt",
  },
  {
    name: 'leaves a temporary function',
    sql: ["CREATE FUNCTION pg_temp.left_behind() RETURNS int LANGUAGE sql AS 'SELECT 1'"],
    felt: "SELECT to_regprocedure('pg_temp.left_behind()')::text AS felt",
  },
  {
    name: 'leaves a temporary operator',
    sql: ['CREATE OPERATOR pg_temp.=== (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_catalog.texteq)'],
    felt: "SELECT to_regoperator('pg_temp.===(text, text)')::text AS felt",
  },
  {
    name: 'leaves a cursor',
    sql: ['DECLARE left_behind CURSOR WITH HOLD FOR SELECT 1'],
    felt: "SELECT count(*)::int AS felt FROM pg_cursors WHERE name = 'left_behind'",
  },
  {
    name: 'leaves a channel',
    sql: ['LISTEN left_behind'],
    felt: 'SELECT count(*)::int AS felt FROM pg_listening_channels()',
  },
  {
    name: 'leaves a prepared statement',
    sql: ['PREPARE left_behind AS SELECT 1'],
    felt: "SELECT count(*)::int AS felt FROM pg_prepared_statements WHERE name = 'left_behind'",
  },
]
