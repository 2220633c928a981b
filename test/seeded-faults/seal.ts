import type { SeededFault } from './seeded-fault.ts'

const MIGRATION = 'tenant-migrations/core/0003_seal.sql'
const ROWS = ['test/guarantees/row-isolation.test.ts']
const INJECTED = ['test/guarantees/injected-sql.test.ts']
const OWN_SQL = ['test/pools/own-sql.test.ts']

/** Protections that confine SQL of an application to its tenant. */
export const SEAL: readonly SeededFault[] = [
  {
    name: 'policies ask for the tenant, and not for its seal',
    file: MIGRATION,
    find: "     AND pg_catalog.encode(r.seal, 'hex') OPERATOR(pg_catalog.=) pg_catalog.current_setting('app.seal', true)\n     AND CASE",
    replace: '     AND CASE',
    tests: INJECTED,
  },
  {
    name: 'the tenant check asks for the tenant, and not for its seal',
    file: MIGRATION,
    find: "     AND pg_catalog.encode(r.seal, 'hex') OPERATOR(pg_catalog.=) pg_catalog.current_setting('app.seal', true)\n  OFFSET 0;",
    replace: '  OFFSET 0;',
    tests: ROWS,
  },
  {
    name: 'the view shows other rows to a condition of a caller',
    file: MIGRATION,
    find: 'CREATE VIEW public.freehold_here WITH (security_barrier) AS',
    replace: 'CREATE VIEW public.freehold_here AS',
    tests: ['test/migrations/isolation-audit.test.ts'],
  },
  {
    name: 'the view can be written through',
    file: MIGRATION,
    find: '\n  OFFSET 0;',
    replace: ';',
    tests: ROWS,
  },
  {
    name: 'the residences are open to a role that was granted all tables',
    file: MIGRATION,
    find: 'ALTER TABLE "residence" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint\n',
    replace: '',
    tests: ROWS,
  },
  {
    name: "any code that runs as the owner has the owner's access, also by a function",
    file: MIGRATION,
    find: 'pg_catalog.pg_has_role(session_user, v_owner',
    replace: 'pg_catalog.pg_has_role(current_user, v_owner',
    tests: ROWS,
  },
  {
    name: 'the word of the owner lets everybody in',
    file: MIGRATION,
    find: "IF pg_catalog.pg_has_role(session_user, v_owner, 'USAGE') IS NOT TRUE THEN",
    replace: 'IF false THEN',
    tests: INJECTED,
  },
  {
    name: 'rows are written past a fence by who knows the seal',
    file: MIGRATION,
    find: "r.state OPERATOR(pg_catalog.=) 'open' ELSE",
    replace: "r.state OPERATOR(pg_catalog.<>) 'left' ELSE",
    tests: ROWS,
  },
  {
    name: 'rows are deleted past a fence',
    file: MIGRATION,
    find: "'CREATE POLICY tenant_deletion ON %s AS RESTRICTIVE FOR DELETE USING (%s)', p_table, v_open);",
    replace: "'CREATE POLICY tenant_deletion ON %s AS RESTRICTIVE FOR DELETE USING (true)', p_table);",
    tests: ROWS,
  },
  {
    name: 'a writer enters with a snapshot that is older than its lock',
    file: MIGRATION,
    find: "OPERATOR(pg_catalog.=) 'read committed') IS NOT TRUE",
    replace: "OPERATOR(pg_catalog.=) 'read committed') IS NULL",
    tests: ROWS,
  },
  {
    name: 'a serving role keeps TRUNCATE',
    file: MIGRATION,
    find: "format('REVOKE TRUNCATE, REFERENCES, TRIGGER ON TABLE",
    replace: "format('REVOKE REFERENCES, TRIGGER ON TABLE",
    tests: ['test/migrations/seal.test.ts'],
  },
  {
    name: 'residences are not sealed after an upgrade',
    file: 'src/residence/seal-residents.ts',
    find: 'WHERE r.seal IS NULL AND r.tenant_id >= $1',
    replace: 'WHERE r.seal IS NOT NULL AND r.tenant_id >= $1',
    tests: ['test/migrations/seal.test.ts'],
  },
  {
    name: 'the seal of a session outlives its transaction',
    file: 'src/pools/wire/tenant-unit.ts',
    find: "pg_catalog.set_config('app.seal', $2, true)",
    replace: "pg_catalog.set_config('app.seal', $2, false)",
    tests: OWN_SQL,
  },
  {
    name: 'a connection on which SQL of an application has run is lent as it is',
    file: 'src/pools/tenant-pool.ts',
    find: '} else if (dirtyConnections.has(client)) {',
    replace: '} else if (this.#isRetired && dirtyConnections.has(client)) {',
    tests: OWN_SQL,
  },
  {
    name: 'the seed of random() stays in the session that chose it',
    file: 'src/pools/wire/dirty-connections.ts',
    find: 'return randomBytes(4).readUInt32BE() / 0x1_0000_0000',
    replace: 'return randomBytes(4).length / 8',
    tests: OWN_SQL,
  },
  {
    name: 'a comment hides what a statement begins with',
    file: 'src/sql/statement-kind.ts',
    find: 'kindIn(text.slice(beginningOf(text)))',
    replace: 'kindIn(text.trimStart())',
    tests: OWN_SQL,
  },
  {
    name: 'a transaction that was ended from within goes on',
    file: 'src/sql/tenant-transaction.ts',
    find: "if (found === wanted || this.#mode !== 'open') return",
    replace: "if (found !== null || wanted !== null || this.#mode !== 'open') return",
    tests: OWN_SQL,
  },
  {
    name: 'a code that SQL of an application raises is taken for the tenant check’s',
    file: 'src/sql/statement-verdict.ts',
    find: "if (isRefused && code === 'FH003') return 'fenced'",
    replace: "if (code === 'FH003') return 'fenced'",
    tests: OWN_SQL,
  },
]
