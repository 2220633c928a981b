import type { SeededFault } from './seeded-fault.ts'

/** Protections in the migrations of an application, and against an application's own faults in the database. */
export const SCHEMA: readonly SeededFault[] = [
  {
    name: 'a new tenant table is generated without its protection',
    file: 'src/cli/schema/generate.ts',
    find: '...(tenantTables.includes(table) ? [CALLS.tenant] : []),',
    replace: '',
    tests: ['test/schema/generate.test.ts'],
  },
  {
    name: 'a possible rename is taken for a new and a dropped table',
    file: 'src/cli/schema/generate.ts',
    find: 'if (!options.interactive) assertNoQuestions(before, after)',
    replace: '',
    tests: ['test/schema/generate.test.ts'],
  },
  {
    name: 'a table that a migration creates and nothing declares is not seen',
    file: 'src/cli/schema/check.ts',
    find: '...undeclared.map(faultOfUndeclared),',
    replace: '',
    tests: ['test/schema/check.test.ts'],
  },
  {
    name: "a migration that changes what is Freehold's own is let pass",
    file: 'src/cli/schema/check.ts',
    find: '...faultsOfCore(core, whole),',
    replace: '',
    tests: ['test/schema/check.test.ts'],
  },
  {
    name: 'a reference table can be written by the serving role',
    file: 'tenant-migrations/core/0002_reference-tables.sql',
    find: "EXECUTE pg_catalog.format('REVOKE ALL ON TABLE %s FROM %s CASCADE', p_table, v_role);",
    replace: 'PERFORM 1;',
    tests: ['test/migrations/reference-tables.test.ts'],
  },
  {
    name: 'a reference table can be written for a tenant where one role owns everything',
    file: 'tenant-migrations/core/0002_reference-tables.sql',
    find: "IF pg_catalog.current_setting('app.tenant_id', true) OPERATOR(pg_catalog.<>) '' THEN",
    replace: 'IF false THEN',
    tests: ['test/migrations/reference-tables.test.ts'],
  },
  {
    name: 'the audit does not look at rights to reference tables',
    file: 'src/residence/isolation.ts',
    find: "AND x.grantee NOT IN (0, r.relowner) AND x.privilege_type <> 'SELECT'",
    replace: 'AND false',
    tests: ['test/migrations/reference-tables.test.ts'],
  },
  {
    name: 'a start does not notice that a declared table is not there',
    file: 'src/gateway/start/prepare-shared.ts',
    find: 'if (missing.length > 0)',
    replace: 'if (missing.length > 1e6)',
    tests: ['test/schema/declared-at-start.test.ts'],
  },
  {
    name: 'a start does not notice a table that is not declared',
    file: 'src/gateway/start/prepare-shared.ts',
    find: 'if (undeclared.length > 0 && !isAhead)',
    replace: 'if (undeclared.length > 1e6 && !isAhead)',
    tests: ['test/schema/declared-at-start.test.ts'],
  },
  {
    name: 'the databases of tenants that an earlier release has left embedded stay behind',
    file: 'src/embedded/start.ts',
    find: 'await bringUpToDate(databases.dedicated.values(), application, log)',
    replace: 'new Set<string>()',
    tests: ['test/stories/former-data.test.ts'],
  },
  {
    name: 'a database that a start has migrated is served before it is validated again',
    file: 'src/embedded/demo.ts',
    find: 'if (!isMigrated) return',
    replace: 'if (!isMigrated || isMigrated) return',
    tests: ['test/stories/former-data.test.ts'],
  },
]
