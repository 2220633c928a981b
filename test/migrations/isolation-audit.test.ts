import type { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  CORE_TABLES,
  findIsolationViolations,
  findLostPromises,
  findRoleViolations,
} from '../../src/residence/isolation.ts'
import { property } from '../support/application.ts'
import {
  createDatabase,
  createRole,
  dropAll,
  query,
  superuserUrl,
  type TestRole,
  urlFor,
} from '../support/database.ts'
import { migratedTemplate } from '../support/migrated.ts'
import { withClient } from '../support/tenant-database.ts'

let database: string

beforeAll(async () => {
  database = await createDatabase({ template: await migratedTemplate('tenant') })
})
afterAll(dropAll)

/** Breaks the schema, audits it, and restores it. */
const auditAfter = (statements: string, everything = true) =>
  withClient(superuserUrl(database), async (client) => {
    await client.query('BEGIN')
    await client.query(statements)
    const violations = await findIsolationViolations(client, { everything, tables: property })
    await client.query('ROLLBACK')
    return violations.map(({ object, rule, detail }) => [object, rule, detail].filter((word) => word !== ''))
  })

const TENANT = "(SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)"
const replacePolicy = (policy: string) =>
  `DROP POLICY tenant_isolation ON users; CREATE POLICY tenant_isolation ON users ${policy}`
const bothPolicyRules = [
  ['users', 'policy-foreign', 'tenant_isolation'],
  ['users', 'policy-missing'],
]

describe('the audit of row isolation', () => {
  test('finds nothing in the migrated schema, in either scope', async () => {
    expect(await auditAfter('SELECT 1')).toEqual([])
    expect(await auditAfter('SELECT 1', false)).toEqual([])
  })

  test('checks every tenant table', () => {
    expect(CORE_TABLES).toEqual(
      expect.arrayContaining(['users', 'sessions', 'user_roles', 'role_permissions']),
    )
    expect(CORE_TABLES).not.toContain('residence')
  })

  test.each<[string, string, string[][]]>([
    ['row-level security off', 'ALTER TABLE rooms DISABLE ROW LEVEL SECURITY', [['rooms', 'rls-disabled']]],
    ['not forced', 'ALTER TABLE rooms NO FORCE ROW LEVEL SECURITY', [['rooms', 'rls-not-forced']]],
    ['no policy', 'DROP POLICY tenant_isolation ON rooms', [['rooms', 'policy-missing']]],
    [
      'no policy for deletions',
      'DROP POLICY tenant_deletion ON rooms',
      [['rooms', 'policy-missing', 'tenant_deletion']],
    ],
    [
      'deletions past a fence',
      `DROP POLICY tenant_deletion ON rooms;
       CREATE POLICY tenant_deletion ON rooms AS RESTRICTIVE FOR DELETE USING (tenant_id = (SELECT freehold_tenant(false)))`,
      [['rooms', 'policy-missing', 'tenant_deletion']],
    ],
    [
      'a policy that believes the setting',
      replacePolicy(`USING (tenant_id = ${TENANT}) WITH CHECK (tenant_id = ${TENANT})`),
      bothPolicyRules,
    ],
    [
      'a policy that asks another function',
      `CREATE SCHEMA evil; CREATE FUNCTION evil.freehold_tenant(boolean) RETURNS uuid STABLE LANGUAGE sql
         AS $$ SELECT current_setting('app.tenant_id', true)::uuid $$;
       ${replacePolicy('USING (tenant_id = (SELECT evil.freehold_tenant(false))) WITH CHECK (tenant_id = (SELECT evil.freehold_tenant(true)))')}`,
      bothPolicyRules,
    ],
    [
      'our function in other hands than the residences',
      'ALTER FUNCTION freehold_tenant(boolean) OWNER TO pg_monitor',
      [['freehold_tenant', 'security-definer']],
    ],
    [
      'one more function under the name of ours',
      "CREATE FUNCTION freehold_tenant(int) RETURNS uuid SECURITY DEFINER LANGUAGE sql AS 'SELECT tenant_id FROM residence LIMIT 1'",
      [['freehold_tenant', 'security-definer']],
    ],
    [
      'another view in the place of ours',
      'CREATE OR REPLACE VIEW freehold_here WITH (security_barrier) AS SELECT tenant_id, epoch, state FROM residence',
      [['public.freehold_here', 'view']],
    ],
    [
      'our view without its barrier',
      'ALTER VIEW freehold_here RESET (security_barrier)',
      [['public.freehold_here', 'view']],
    ],
    [
      'our view in other hands than the residences',
      'ALTER VIEW freehold_here OWNER TO pg_monitor',
      [['public.freehold_here', 'view']],
    ],
    [
      'one more view of the residences',
      'CREATE VIEW homes AS SELECT * FROM residence',
      [['public.homes', 'view']],
    ],
    ['a policy that is true', replacePolicy('USING (true) WITH CHECK (true)'), bothPolicyRules],
    ['a policy without WITH CHECK', replacePolicy(`USING (tenant_id = ${TENANT})`), bothPolicyRules],
    [
      'a policy with another check',
      replacePolicy(`USING (tenant_id = ${TENANT}) WITH CHECK (true)`),
      bothPolicyRules,
    ],
    ['a policy for SELECT only', replacePolicy(`FOR SELECT USING (tenant_id = ${TENANT})`), bothPolicyRules],
    [
      'a policy for one role only',
      replacePolicy(`TO pg_monitor USING (tenant_id = ${TENANT}) WITH CHECK (tenant_id = ${TENANT})`),
      bothPolicyRules,
    ],
    [
      'one more permissive policy',
      'CREATE POLICY support ON users FOR SELECT USING (true)',
      [['users', 'policy-foreign', 'support']],
    ],
    [
      'a unique index without the tenant',
      'CREATE UNIQUE INDEX users_name_key ON users (name)',
      [['users', 'unique-index', 'public.users_name_key']],
    ],
    [
      'a unique index with the tenant behind',
      'CREATE UNIQUE INDEX users_name_key ON users (name, tenant_id)',
      [['users', 'unique-index', 'public.users_name_key']],
    ],
    [
      'an exclusion constraint without the tenant',
      'ALTER TABLE users ADD CONSTRAINT users_name_excl EXCLUDE (name WITH =)',
      [['users', 'unique-index', 'public.users_name_excl']],
    ],
    [
      'a foreign key without the tenant',
      `CREATE UNIQUE INDEX places_id_key ON places (id);
       ALTER TABLE rooms ADD COLUMN place_id uuid CONSTRAINT rooms_place_fkey REFERENCES places (id)`,
      [
        ['places', 'unique-index', 'public.places_id_key'],
        ['rooms', 'foreign-key', 'rooms_place_fkey'],
      ],
    ],
    [
      'a foreign key whose columns are crossed',
      `ALTER TABLE rooms ADD CONSTRAINT crossed_fkey
         FOREIGN KEY (estate_id, tenant_id) REFERENCES estates (tenant_id, id)`,
      [['rooms', 'foreign-key', 'crossed_fkey']],
    ],
    [
      'a primary key without the tenant',
      'ALTER TABLE equipment DROP CONSTRAINT equipment_pkey, ADD PRIMARY KEY (id)',
      [['equipment', 'primary-key']],
    ],
    [
      'a tenant_id that may be null',
      `ALTER TABLE sessions DROP CONSTRAINT sessions_pkey; ALTER TABLE sessions ALTER tenant_id DROP NOT NULL`,
      [
        ['sessions', 'primary-key'],
        ['sessions', 'tenant-id'],
      ],
    ],
    [
      'a new table without protection',
      'CREATE TABLE gardens (tenant_id uuid NOT NULL, id uuid, PRIMARY KEY (tenant_id, id))',
      [
        ['gardens', 'policy-missing'],
        ['gardens', 'policy-missing', 'tenant_deletion'],
        ['gardens', 'rls-disabled'],
        ['gardens', 'rls-not-forced'],
      ],
    ],
    ['a view', 'CREATE VIEW all_users AS SELECT * FROM users', [['public.all_users', 'view']]],
    [
      'a view of another schema',
      'CREATE SCHEMA reports; CREATE VIEW reports.all_users AS SELECT * FROM users',
      [['reports.all_users', 'view']],
    ],
    [
      'a materialised view',
      'CREATE MATERIALIZED VIEW all_users AS SELECT * FROM users',
      [['public.all_users', 'view']],
    ],
    [
      'a function that runs as its owner',
      "CREATE FUNCTION freehold_users() RETURNS bigint SECURITY DEFINER LANGUAGE sql AS 'SELECT count(*) FROM users'",
      [['freehold_users', 'security-definer']],
    ],
    [
      'rights for everybody',
      'GRANT TRUNCATE ON rooms TO PUBLIC',
      [['rooms', 'granted-to-public', 'TRUNCATE']],
    ],
    [
      'rights to a column for everybody',
      'GRANT SELECT (email) ON users TO PUBLIC',
      [['users', 'granted-to-public', 'email: SELECT']],
    ],
    [
      'rights to the residence for everybody',
      'GRANT UPDATE ON residence TO PUBLIC',
      [['residence', 'granted-to-public', 'UPDATE']],
    ],
  ])('finds %s, in either scope', async (_what, statements, violations) => {
    expect(await auditAfter(statements)).toEqual(violations)
    expect(await auditAfter(statements, false)).toEqual(violations)
  })

  test.each([
    ["a view with its invoker's rights", 'CREATE VIEW v WITH (security_invoker) AS SELECT * FROM users'],
    ['a restrictive policy more', 'CREATE POLICY less ON users AS RESTRICTIVE USING (status IS NOT NULL)'],
    ['an index that is not unique', 'CREATE INDEX ON users (name)'],
    ['a further unique index of the tenant', 'CREATE UNIQUE INDEX ON users (tenant_id, name)'],
    ['an extension', 'CREATE EXTENSION pg_stat_statements SCHEMA public'],
  ])('allows %s', async (what, statements) => {
    if (what === 'an extension' && !(await isAvailable('pg_stat_statements'))) return
    if (what.startsWith('a view') && (await serverVersion()) < 15) return
    expect(await auditAfter(statements)).toEqual([])
  })

  test("ignores a tenant's own tables, views and functions, unless the database should be ours alone", async () => {
    const own = `CREATE TABLE invoices (id int PRIMARY KEY); CREATE VIEW paid AS SELECT * FROM invoices;
      CREATE FUNCTION total() RETURNS int SECURITY DEFINER LANGUAGE sql AS 'SELECT 1'`
    expect(await auditAfter(own, false)).toEqual([])
    expect(new Set((await auditAfter(own)).map(([object]) => object))).toEqual(
      new Set(['invoices', 'public.paid', 'total']),
    )
  })
})

describe('the audit of what a serving role may do', () => {
  const auditAs = (role: TestRole, grants: string) =>
    withClient(superuserUrl(database), async (client) => {
      await client.query('BEGIN')
      await client.query(grants)
      await client.query(`SET LOCAL ROLE ${role.name}`)
      const violations = await findIsolationViolations(client, { everything: true, tables: property })
      await client.query('ROLLBACK')
      return violations.map(({ object, rule, detail }) => [object, rule, detail])
    })

  test.each<[string, string[][]]>([
    ['SELECT, INSERT, UPDATE, DELETE ON users', []],
    ['SELECT ON residence', [['residence', 'granted-to-role', 'SELECT']]],
    ['SELECT (tenant_id) ON residence', [['residence', 'granted-to-role', 'SELECT']]],
    ['UPDATE ON residence', [['residence', 'granted-to-role', 'UPDATE']]],
    ['SELECT ON freehold_migrations', []],
    ['DELETE ON freehold_migrations', [['freehold_migrations', 'granted-to-role', 'DELETE']]],
    ['TRUNCATE ON users', [['users', 'granted-to-role', 'TRUNCATE']]],
    ['TRIGGER ON users', [['users', 'granted-to-role', 'TRIGGER']]],
    ['UPDATE ON freehold_here', [['freehold_here', 'granted-to-role', 'UPDATE']]],
  ])('of GRANT %s', async (privilege, violations) => {
    const role = await createRole()
    expect(await auditAs(role, `GRANT ${privilege} TO ${role.name}`)).toEqual(violations)
  })

  test('names the lost protection if the role owns the tables, or could', async () => {
    const [plain, owner, member, maker] = [
      await createRole(),
      await createRole(),
      await createRole(),
      await createRole(),
    ]
    await query(superuserUrl(), `GRANT ${owner.name} TO ${member.name}`)
    await query(
      superuserUrl(database),
      `ALTER TABLE rooms OWNER TO ${owner.name}; GRANT CREATE ON SCHEMA public TO ${maker.name}`,
    )
    const lostOf = (role: TestRole) => withClient(urlFor({ role, database }), findLostPromises)
    expect(await lostOf(plain)).toEqual([])
    expect(await lostOf(owner)).toEqual(['OWNS_TABLES'])
    expect(await lostOf(member)).toEqual(['OWNS_TABLES'])
    expect(await lostOf(maker)).toEqual(['CREATES_OBJECTS'])
    await query(superuserUrl(database), 'ALTER TABLE rooms OWNER TO CURRENT_USER')
    await query(superuserUrl(), `GRANT pg_read_server_files TO ${plain.name}`)
    expect(await lostOf(plain)).toEqual(['REACHES_SERVER'])
  })
})

describe('the audit of an older schema', () => {
  test('accepts the policy from before seals existed, and only there', async () => {
    const former = `DROP VIEW freehold_here; DROP POLICY tenant_isolation ON users; DROP POLICY tenant_deletion ON users;
      CREATE POLICY tenant_isolation ON users USING (tenant_id = ${TENANT}) WITH CHECK (tenant_id = ${TENANT})`
    const rulesOf = (isOlder: boolean) =>
      withClient(superuserUrl(database), async (client) => {
        await client.query(`BEGIN; ${former}`)
        const violations = await findIsolationViolations(client, { isOlder, tables: property })
        await client.query('ROLLBACK')
        return violations.filter(({ object }) => object === 'users').map(({ rule }) => rule)
      })
    expect(await rulesOf(true)).toEqual([])
    expect(await rulesOf(false)).toEqual(['policy-foreign', 'policy-missing', 'policy-missing'])
  })
})

describe('a hostile search_path', () => {
  const lookAlikes = `CREATE SCHEMA evil;
    CREATE FUNCTION evil.current_setting(text, boolean) RETURNS text LANGUAGE sql AS 'SELECT tenant_id::text FROM residence';
    CREATE TABLE evil.pg_class (oid oid, relname name, relnamespace oid, relkind "char");
    CREATE FUNCTION evil.never(oid, oid) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT false';
    CREATE OPERATOR evil.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = evil.never);
    SET LOCAL search_path = evil, pg_catalog, public;`

  test('does not hide a fault', async () => {
    expect(await auditAfter(`${lookAlikes} ALTER TABLE rooms DISABLE ROW LEVEL SECURITY`)).toEqual([
      ['rooms', 'rls-disabled'],
    ])
  })

  test('causes no false report, and is not changed', async () => {
    await withClient(superuserUrl(database), async (client) => {
      await client.query(`BEGIN; ${lookAlikes}`)
      expect(await findIsolationViolations(client, { everything: true, tables: property })).toEqual([])
      const { rows } = await client.query('SHOW search_path')
      expect(rows).toEqual([{ search_path: 'evil, pg_catalog, public' }])
      await client.query('ROLLBACK')
    })
  })

  test('does not hide a policy that calls a function of the same name', async () => {
    expect(
      await auditAfter(
        `${lookAlikes} ${replacePolicy(`USING (tenant_id = ${TENANT}) WITH CHECK (tenant_id = ${TENANT})`)}`,
      ),
    ).toEqual(bothPolicyRules)
  })

  test('does not change the policy that freehold_protect writes', async () => {
    const table =
      'CREATE TABLE public.gardens (tenant_id uuid NOT NULL, id uuid, PRIMARY KEY (tenant_id, id));'
    expect(
      await auditAfter(`${lookAlikes} ${table} SELECT public.freehold_protect('public.gardens')`),
    ).toEqual([])
  })
})

describe('the audit of the role', () => {
  const auditAs = (role: TestRole, prepare?: (client: Client) => Promise<unknown>) =>
    withClient(urlFor({ role, database }), async (client) => {
      await prepare?.(client)
      return (await findRoleViolations(client)).map(({ object, rule }) => [object, rule])
    })

  test('passes a plain role, also as the owner of the tables', async () => {
    expect(await auditAs(await createRole({ createdb: true }))).toEqual([])
  })

  test('refuses a superuser, once', async () => {
    const role = await createRole({ superuser: true })
    expect(await auditAs(role)).toEqual([[role.name, 'superuser']])
  })

  test('refuses BYPASSRLS', async () => {
    const role = await createRole({ bypassrls: true })
    expect(await auditAs(role)).toEqual([[role.name, 'bypassrls']])
  })

  test('refuses a role that can become one, also through another role, also without INHERIT', async () => {
    const [powerful, between, role] = [
      await createRole({ bypassrls: true, login: false }),
      await createRole(),
      await createRole(),
    ]
    await query(
      superuserUrl(),
      `ALTER ROLE ${role.name} NOINHERIT; GRANT ${powerful.name} TO ${between.name}; GRANT ${between.name} TO ${role.name}`,
    )
    expect(await auditAs(role)).toEqual([[powerful.name, 'bypassrls']])
  })

  test('refuses a superuser that has switched to a plain role', async () => {
    const [root, plain] = [await createRole({ superuser: true }), await createRole()]
    expect(await auditAs(root, (client) => client.query(`SET ROLE ${plain.name}`))).toEqual([
      [root.name, 'superuser'],
    ])
  })
})

const isAvailable = async (extension: string) =>
  (await query(superuserUrl(database), 'SELECT FROM pg_available_extensions WHERE name = $1', [extension]))
    .length > 0
const serverVersion = async () => {
  const [row] = await query<{ v: number }>(
    superuserUrl(database),
    "SELECT current_setting('server_version_num')::int / 10000 AS v",
  )
  return row?.v ?? 0
}
