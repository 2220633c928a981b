import type { SeededFault } from './seeded-fault.ts'

const API_TEST = ['test/http/servers.test.ts']
const CATALOG_TEST = ['test/catalog/servers.test.ts']

/** Protections around the roles that administer servers. */
export const SERVERS: readonly SeededFault[] = [
  {
    name: 'a superuser administers a server',
    file: 'src/databases/servers/check-server.ts',
    find: 'if (rights.isSuperuser) throw',
    replace: 'if (rights.isSuperuser && !rights.createsRoles) throw',
    tests: API_TEST,
  },
  {
    name: 'a server is used although its administrator has lost a right',
    file: 'src/databases/servers/check-server.ts',
    find: "rights.createsRoles ? [] : 'CREATEROLE'",
    replace: "rights.createsRoles || rights.createsDatabases ? [] : 'CREATEROLE'",
    tests: API_TEST,
  },
  {
    name: 'a server is used although another one answers at its address',
    file: 'src/databases/servers/check-server.ts',
    find: 'known !== null && found !== null && known !== found',
    replace: 'known !== null && found === null',
    tests: API_TEST,
  },
  {
    name: "a tenant's database uses the administrator of its server under another name of the server",
    file: 'src/databases/servers/assert-ordinary-role.ts',
    find: 'if (names.length === 0) return',
    replace: 'if (names.length === 0 || server.systemIdentifier !== null) return',
    tests: API_TEST,
  },
  {
    name: "a tenant's role may become the administrator of its server",
    file: 'src/databases/servers/assert-ordinary-role.ts',
    find: "(pg_catalog.pg_has_role(current_user, r.oid, 'MEMBER')\n                                                 OR pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER'))",
    replace: 'r.rolname = current_user',
    tests: API_TEST,
  },
  {
    name: 'the role of a tenant becomes the administrator of a server',
    file: 'src/catalog/servers/administrators.ts',
    find: 'if (await servesTenant(db, { ...target, systemIdentifier }))',
    replace: 'if (await servesTenant(db, { ...target, systemIdentifier: null }))',
    tests: API_TEST,
  },
  {
    name: 'a server is removed while a registration of a database there is committed',
    file: 'src/catalog/servers/servers.ts',
    find: "so none is committed between the count and the removal.\n    await lockRoles(tx, 'exclusive')",
    replace: "so none is committed between the count and the removal.\n    await lockRoles(tx, 'shared')",
    tests: CATALOG_TEST,
  },
  {
    name: 'a registration does not wait for a server that is about to get the same role',
    file: 'src/operations/register-database.ts',
    find: "    await lockRoles(tx, 'shared')\n",
    replace: '',
    tests: CATALOG_TEST,
  },
  {
    name: 'a late finding about a server counts although the server was changed',
    file: 'src/catalog/servers/checks.ts',
    find: 'and(eq(servers.rowVersion, rowVersion), eq(servers.lastCheckedAt, lastCheckedAt))',
    replace: 'and(eq(servers.rowVersion, servers.rowVersion), eq(servers.lastCheckedAt, lastCheckedAt))',
    tests: CATALOG_TEST,
  },
  {
    name: 'a server is removed while a tenant lives there under another name of it',
    file: 'src/catalog/servers/servers.ts',
    find: '(${on(sameAddress)} union ${on(sameServer)})',
    replace: '(${on(sameAddress)} union ${on(sameAddress)})',
    tests: API_TEST,
  },
]
