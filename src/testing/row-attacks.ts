import { type Attack, block, named } from './attack-list.ts'

const SET = "set_config('app.tenant_id', '{other}', true)"
const NAMES = "(SELECT string_agg(name, ',') FROM {table})"

/** Statements that set another tenant's id and read its rows at once. They succeed if a policy trusts the setting. */
const READING: Readonly<Record<string, string>> = {
  'a lateral join': `SELECT q.name FROM (SELECT ${SET} AS x OFFSET 0) s, LATERAL (SELECT name FROM {table} WHERE s.x IS NOT NULL) q`,
  'a lateral join of all columns': `SELECT q.* FROM (SELECT ${SET} AS x OFFSET 0) s CROSS JOIN LATERAL (SELECT * FROM {table} WHERE s.x IS NOT NULL) q`,
  'a left join': `SELECT q.name FROM (SELECT ${SET} AS x OFFSET 0) s LEFT JOIN LATERAL (SELECT name FROM {table} WHERE s.x IS NOT NULL) q ON true`,
  'a materialized query': `WITH s AS MATERIALIZED (SELECT ${SET} AS x) SELECT (SELECT string_agg(name, ',') FROM {table} WHERE s.x IS NOT NULL) FROM s`,
  'the list of columns': `SELECT ${SET}, ${NAMES}`,
  'a CASE': `SELECT CASE WHEN ${SET} IS NOT NULL THEN ${NAMES} END`,
  'a coalesce': `SELECT coalesce(nullif(${SET}, ${SET}), ${NAMES})`,
  'a concatenation': `SELECT ${SET} || ${NAMES}`,
  'an array': `SELECT ARRAY[${SET}, ${NAMES}]`,
  'an array of a query': `SELECT ${SET}, ARRAY(SELECT name FROM {table})`,
  'a row': `SELECT ROW(${SET}, ${NAMES})`,
  'a JSON object': `SELECT json_build_object('x', ${SET}, 'y', ${NAMES})`,
  'rows as JSON': `SELECT ${SET}, (SELECT json_agg(q) FROM {table} q)`,
  'rows as JSONB': `SELECT ${SET}, (SELECT jsonb_object_agg(id, q) FROM {table} q)`,
  'a whole row as text': `SELECT ${SET}, (SELECT string_agg(q::text, ',') FROM {table} q)`,
  'a union': `SELECT ${SET} UNION ALL SELECT name FROM {table}`,
  'a union from the left': `SELECT '' WHERE ${SET} IS NULL UNION ALL SELECT name FROM {table}`,
  'a recursion': `WITH RECURSIVE r(x, n) AS (SELECT ${SET}, 0 UNION ALL SELECT ${NAMES}, n + 1 FROM r WHERE n < 1) SELECT x FROM r`,
  'a list of values': `VALUES (${SET}), (${NAMES})`,
  'a query as XML': `SELECT ${SET}, query_to_xml('SELECT name FROM {table}', true, true, '')::text`,
  'a table as XML': `SELECT ${SET}, table_to_xml('{table}'::regclass, true, true, '')::text`,
  'statistics of a query': `SELECT ${SET}, (SELECT string_agg(word, ',') FROM ts_stat('SELECT to_tsvector(''simple'', name) FROM {table}'))`,
  'an error of a cast': `SELECT ${SET}, ${NAMES}::int`,
  'an error of a date': `SELECT ${SET}, (${NAMES})::date`,
  'an error of an address': `SELECT ${SET}, (${NAMES})::inet`,
  'a series': `SELECT q.name FROM generate_series(1, 1) g, LATERAL (SELECT ${SET} || g AS x OFFSET 0) s, LATERAL (SELECT name FROM {table} WHERE s.x IS NOT NULL) q`,
  'rows from functions': `SELECT q.name FROM ROWS FROM (unnest(ARRAY[${SET}])) AS s(x), LATERAL (SELECT name FROM {table} WHERE s.x IS NOT NULL) q`,
  'a window': `SELECT first_value(q.name) OVER () FROM (SELECT ${SET} AS x OFFSET 0) s, LATERAL (SELECT name FROM {table} WHERE s.x IS NOT NULL) q`,
  'a group': `SELECT s.x, string_agg(q.name, ',') FROM (SELECT ${SET} AS x OFFSET 0) s, LATERAL (SELECT name FROM {table} WHERE s.x IS NOT NULL) q GROUP BY s.x`,
  'an order': `SELECT q.name FROM (SELECT ${SET} AS x OFFSET 0) s, LATERAL (SELECT name FROM {table} WHERE s.x IS NOT NULL) q ORDER BY ${SET}`,
  'a difference': `SELECT q.name FROM (SELECT ${SET} AS x OFFSET 0) s, LATERAL (SELECT name FROM {table} WHERE s.x IS NOT NULL EXCEPT SELECT '') q`,
}

/** Seals that an attacker can write: invented ones, its own, and the owner's word. */
const GUESSES: Readonly<Record<string, string>> = {
  'no seal': "set_config('app.seal', '', true)",
  'its own seal': "set_config('app.seal', current_setting('app.seal'), true)",
  "the owner's word": "set_config('app.seal', 'owner', true)",
  'a made up seal': "set_config('app.seal', repeat('0', 64), true)",
  'a pattern': "set_config('app.seal', '%', true)",
  'a seal from the view':
    "set_config('app.seal', (SELECT max(h.state) FROM public.freehold_here AS h), true)",
}
const guessing = Object.entries(GUESSES).flatMap(([name, guess]): Attack[] => [
  {
    name: `reads with ${name}`,
    sql: `SELECT q.name FROM (SELECT ${guess} AS y OFFSET 0) g, LATERAL (SELECT ${SET} || g.y AS x OFFSET 0) s, LATERAL (SELECT name FROM {table} WHERE s.x IS NOT NULL) q`,
  },
  {
    name: `reads with ${name} for the transaction`,
    sql: [`SELECT ${guess}, ${SET}`, 'SELECT name FROM {table}'],
  },
  {
    name: `writes with ${name}`,
    sql: [`SELECT ${guess}, ${SET}`, "UPDATE {table} SET description = 'taken'"],
  },
])

const IN_S = `WITH s AS MATERIALIZED (SELECT ${SET} AS x)`
const ROW = "gen_random_uuid(), 'planted ' || gen_random_uuid()"
/** The same, but they write rows. */
const WRITING: Readonly<Record<string, string>> = {
  'an update by a query': `${IN_S} UPDATE {table} SET description = 'taken' FROM s WHERE s.x IS NOT NULL`,
  'an update by a join': `UPDATE {table} t SET description = 'taken' FROM (SELECT ${SET} AS x OFFSET 0) s WHERE s.x IS NOT NULL`,
  'a deletion by a query': `${IN_S} DELETE FROM {table} USING s WHERE s.x IS NOT NULL`,
  'an insertion of what is set': `INSERT INTO {table} (tenant_id, id, name) SELECT ${SET}::uuid, ${ROW}`,
  'an insertion by a query': `${IN_S} INSERT INTO {table} (tenant_id, id, name) SELECT s.x::uuid, ${ROW} FROM s`,
  'an insertion of values': `INSERT INTO {table} (tenant_id, id, name) VALUES (${SET}::uuid, ${ROW})`,
  'an insertion that returns': `INSERT INTO {table} (tenant_id, id, name) SELECT ${SET}::uuid, ${ROW} RETURNING name`,
  'a writing query': `WITH w AS (INSERT INTO {table} (tenant_id, id, name) SELECT ${SET}::uuid, ${ROW} RETURNING name) SELECT name FROM w`,
  'an insertion that meets itself': `INSERT INTO {table} (tenant_id, id, name) SELECT ${SET}::uuid, ${ROW} ON CONFLICT (tenant_id, id) DO UPDATE SET name = excluded.name`,
  'a merge': `MERGE INTO {table} t USING (SELECT ${SET} AS x OFFSET 0) s ON t.id IS NULL AND s.x IS NOT NULL WHEN NOT MATCHED THEN INSERT (tenant_id, id, name) VALUES (s.x::uuid, ${ROW})`,
  'a row that is given away': `UPDATE {table} SET tenant_id = ${SET}::uuid WHERE id = (SELECT id FROM {table} ORDER BY name LIMIT 1)`,
}

/** Several statements in one transaction. */
const TRANSACTIONS: Readonly<Record<string, readonly string[]>> = {
  'a setting': [`SELECT ${SET}`, 'SELECT name FROM {table}'],
  'SET LOCAL': ["SET LOCAL app.tenant_id = '{other}'", 'TABLE {table}'],
  'SET SESSION': ["SET SESSION app.tenant_id = '{other}'", 'TABLE {table}'],
  'a block': [
    block(`PERFORM ${SET}; SELECT string_agg(name, ',') INTO v FROM {table}; RAISE EXCEPTION '%', v;`),
  ],
  'a block that is dynamic': [
    block(
      `EXECUTE $q$ SELECT ${SET} $q$; EXECUTE 'SELECT string_agg(name, '','') FROM {table}' INTO v; RAISE EXCEPTION '%', v;`,
    ),
  ],
  'a loop': [
    block(`PERFORM ${SET}; FOR v IN SELECT name FROM {table} LOOP RAISE EXCEPTION '%', v; END LOOP;`),
  ],
  'a function': [
    `CREATE FUNCTION pg_temp.peek() RETURNS text LANGUAGE plpgsql AS $f$ BEGIN PERFORM ${SET}; RETURN ${NAMES}; END $f$`,
    'SELECT pg_temp.peek()',
  ],
  'a condition that tells': [
    "CREATE FUNCTION pg_temp.tell(t text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $f$ BEGIN PERFORM set_config('told.it', coalesce(current_setting('told.it', true), '') || t, true); RETURN true; END $f$",
    `SELECT ${SET}`,
    'SELECT 1 FROM {table} WHERE pg_temp.tell(name)',
    "SELECT current_setting('told.it')",
  ],
  'a cursor': ['DECLARE peek CURSOR FOR SELECT name FROM {table}', `SELECT ${SET}`, 'FETCH ALL FROM peek'],
  'a cursor that is held': [
    `SELECT ${SET}`,
    'DECLARE peek CURSOR WITH HOLD FOR SELECT name FROM {table}',
    'FETCH ALL FROM peek',
  ],
  'a cursor as XML': [
    'DECLARE peek CURSOR FOR SELECT name FROM {table}',
    `SELECT ${SET}, cursor_to_xml('peek', 9, true, true, '')::text`,
  ],
  'a prepared statement': ['PREPARE peek AS SELECT name FROM {table}', `SELECT ${SET}`, 'EXECUTE peek'],
  'a temporary table': [
    `SELECT ${SET}`,
    'CREATE TEMP TABLE peek AS SELECT name FROM {table}',
    'TABLE pg_temp.peek',
  ],
  'a temporary view': [
    'CREATE TEMP VIEW peek AS SELECT name FROM {table}',
    `SELECT ${SET}`,
    'TABLE pg_temp.peek',
  ],
  'a table that is filled later': [
    'CREATE TEMP TABLE peek (n text)',
    `SELECT ${SET}`,
    'INSERT INTO pg_temp.peek SELECT name FROM {table} RETURNING n',
  ],
  'a trigger of its own': [
    'CREATE TEMP TABLE peek (n text)',
    `CREATE FUNCTION pg_temp.peek() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN PERFORM ${SET}; NEW.n := ${NAMES}; RETURN NEW; END $f$`,
    'CREATE TRIGGER peek BEFORE INSERT ON pg_temp.peek FOR EACH ROW EXECUTE FUNCTION pg_temp.peek()',
    "INSERT INTO pg_temp.peek VALUES ('') RETURNING n",
  ],
  'a default of its own': [
    `CREATE FUNCTION pg_temp.peek() RETURNS text LANGUAGE plpgsql AS $f$ BEGIN PERFORM ${SET}; RETURN ${NAMES}; END $f$`,
    'CREATE TEMP TABLE peek (n text DEFAULT pg_temp.peek())',
    'INSERT INTO pg_temp.peek DEFAULT VALUES RETURNING n',
  ],
  'a row lock': [`SELECT ${SET}`, 'SELECT name FROM {table} FOR UPDATE'],
  'an update': [`SELECT ${SET}`, "UPDATE {table} SET description = 'taken' RETURNING name"],
  'an upsert': [
    `SELECT ${SET}`,
    `INSERT INTO {table} (tenant_id, id, name) SELECT tenant_id, id, name FROM {table} ON CONFLICT (tenant_id, id) DO UPDATE SET description = 'taken' RETURNING {table}.name`,
  ],
  'a deletion': [`SELECT ${SET}`, 'DELETE FROM {table}'],
  'an insertion': [`SELECT ${SET}`, `INSERT INTO {table} (tenant_id, id, name) VALUES ('{other}', ${ROW})`],
  'a block that writes': [block(`PERFORM ${SET}; UPDATE {table} SET description = 'taken';`)],
  'a function that writes': [
    `CREATE FUNCTION pg_temp.poke() RETURNS void LANGUAGE plpgsql AS $f$ BEGIN PERFORM ${SET}; UPDATE {table} SET description = 'taken'; END $f$`,
    'SELECT pg_temp.poke()',
  ],
  'a row lock level that is higher': [
    `SELECT ${SET}`,
    'LOCK TABLE {table} IN ROW EXCLUSIVE MODE',
    'SELECT name FROM {table}',
  ],
  'a path of its own': [
    'SET LOCAL search_path = pg_temp, public',
    `SELECT ${SET}`,
    'SELECT name FROM {table}',
  ],
  'other plans': [
    'SET LOCAL enable_indexscan = off',
    'SET LOCAL plan_cache_mode = force_custom_plan',
    `SELECT ${SET}`,
    'SELECT name FROM {table}',
  ],
  'constraints that wait': [
    'SET CONSTRAINTS ALL DEFERRED',
    `SELECT ${SET}`,
    `INSERT INTO {table} (tenant_id, id, name) VALUES ('{other}', ${ROW})`,
  ],
}

/** These succeed if a policy compares the tenant with a setting. */
export const ROW_ATTACKS: readonly Attack[] = [
  ...named(READING, 'reads by'),
  ...guessing,
  ...named(WRITING, 'writes by'),
  ...named(TRANSACTIONS, 'in its transaction uses'),
]
