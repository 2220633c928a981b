import type { SeededFault } from './seeded-fault.ts'

const ROUTES = 'test/application/routes.test.ts'
const RUN = 'test/application/run.test.ts'
const PLUGINS = 'test/application/plugins.test.ts'
const BOOK = 'test/unit/http/own/route-book.test.ts'

/** Protections between the code of an application and everything else. */
export const APPLICATIONS: readonly SeededFault[] = [
  {
    name: 'applications: a route without access boots',
    file: 'src/http/own/route-book.ts',
    find: "...(kind === 'tenant' ? faultsOfAccess(name, access) : []),",
    replace: '',
    tests: [BOOK],
  },
  {
    name: 'applications: what a route does not declare is passed over',
    file: 'src/http/own/closed-schema.ts',
    find: 'additionalProperties: false }',
    replace: 'additionalProperties: true }',
    tests: [BOOK, ROUTES],
  },
  {
    name: 'applications: a handler under an Idempotency-Key works outside of its transaction',
    file: 'src/http/own/answer-once.ts',
    find: 'workInside(request, inside, ',
    replace: 'workInside(request, request.tenant.db ?? inside, ',
    tests: [ROUTES],
  },
  {
    name: 'applications: what a transaction has noted is lost',
    file: 'src/tenancy/tenant-view.ts',
    find: 'for (const record of noted) note(record)',
    replace: 'for (const record of noted.slice(0, 0)) note(record)',
    tests: [RUN],
  },
  {
    name: 'applications: an entry of the audit log passes for one of the core',
    file: 'src/tenancy/tenant-view.ts',
    find: "if (CORE_NOUNS.has(noun) || noun.startsWith('freehold'))",
    replace: "if (noun === '')",
    tests: [RUN],
  },
  {
    name: 'applications: SQL of an application leaves its traces on a connection of the core',
    file: 'src/tenancy/tenants.ts',
    find: 'sessions.open(route, { ownSql: true })',
    replace: 'sessions.open(route, { ownSql: false as true })',
    tests: [RUN],
  },
  {
    name: 'applications: an inactive tenant is worked in',
    file: 'src/tenancy/tenants.ts',
    find: "if (route === null || route.status !== 'ACTIVE') throw",
    replace: 'if (route === null) throw',
    tests: [RUN],
  },
  {
    name: 'applications: a close does not wait for work without a request',
    file: 'src/tenancy/tenants.ts',
    find: 'while (this.#running.size > 0)',
    replace: 'while (this.#running.size < 0)',
    tests: [RUN],
  },
  {
    name: 'applications: a fault in a statement is taken for an outage',
    file: 'src/http/own/handler-errors.ts',
    find: 'if (WRONG_SQL.test(state)) return',
    replace: 'if (WRONG_SQL.test(method)) return',
    tests: [ROUTES],
  },
  {
    name: "applications: a host's route is not guarded",
    file: 'src/http/transport/host-routes.ts',
    find: '  guardHostRoute(route, deps)\n',
    replace: '',
    tests: [PLUGINS],
  },
  {
    name: 'applications: a host that trusts every proxy is taken',
    file: 'src/http/transport/host-checks.ts',
    find: 'trustProxy === true',
    replace: "trustProxy === 'true'",
    tests: [PLUGINS],
  },
  {
    name: 'applications: a gateway in a host is closed while requests work',
    file: 'src/gateway/plugins.ts',
    find: "host.addHook('preClose', async () => gateway.leave())",
    replace: "host.addHook('preClose', () => gateway.close())",
    tests: [PLUGINS],
  },
]
