/**
 * What each folder of src, or file directly in src, may import besides itself. Every entry points to earlier entries only, so the
 * order of the folders is also the order in which to read them. A new folder gets its line here.
 */
const base = ['errors', 'logger', 'metrics', 'version']
const toCatalog = [...base, 'lib', 'crypto', 'catalog']
const toResidence = [...toCatalog, 'residence']
const toSql = [...toResidence, 'pools', 'sql']
const services = ['identity', 'jobs', 'migrations']
const toDatabases = [...toSql, ...services, 'databases']
const toOperations = [...toDatabases, 'health', 'operations']
const application = ['collections', 'application']
const everything = [...toOperations, ...application, 'tenancy', 'config', 'embedded', 'http']

export const mayImport: Record<string, readonly string[]> = {
  errors: [],
  logger: [],
  metrics: [],
  version: [],
  lib: base,
  crypto: [...base, 'lib'],
  catalog: toCatalog,
  residence: toCatalog,
  pools: toResidence,
  sql: [...toResidence, 'pools'],
  identity: toSql,
  jobs: toCatalog,
  migrations: [...base, 'lib'],
  databases: [...toSql, ...services],
  // What an application declares. It works on a session: it cannot learn where a tenant lives.
  collections: ['errors', 'lib', 'residence', 'sql'],
  application: ['errors', 'lib', 'residence', 'sql', 'collections'],
  // What an application gets of a tenant, inside and outside of a request.
  tenancy: [...toSql, 'identity', 'jobs', ...application],
  health: toDatabases,
  operations: [...toDatabases, 'health'],
  // Reads the environment with the parsers of what it configures.
  config: ['logger', 'lib', 'crypto', 'identity'],
  // Starts a server before a catalog exists, and fills it through requests of an operator and of the tenants' users.
  embedded: [...toOperations, ...application],
  // Never pools, jobs, migrations or embedded: a route reads rows through a session and makes changes through an operation.
  http: [...toResidence, 'sql', 'identity', ...application, 'tenancy', 'databases', 'health', 'operations'],
  // The composition root with its parts, and the two forms: a server of its own, or a plugin of another server.
  gateway: everything,
  // The commands: for a serving process, and for an operator's terminal.
  cli: [...everything, 'gateway', 'testing'],
  // Tools for an application's own tests. This suite uses them too.
  testing: [...everything, 'gateway'],
  // A product. Only main, tests and bench import one.
  applications: ['index'],
  main: ['applications', 'config', 'cli'],
  index: [...everything, 'gateway'],
}

/** The arrows of the picture, `from --> to`: `from` may import `to`, and no third folder is between them. */
export function arrowsOf(table: Readonly<Record<string, readonly string[]>>): string[] {
  const below = (layer: string) => (table[layer] ?? []).filter((other) => other !== layer)
  const reaches = (from: string, to: string): boolean =>
    below(from).some((next) => next === to || reaches(next, to))
  return Object.keys(table)
    .flatMap((from) =>
      below(from)
        .filter((to) => !below(from).some((between) => between !== to && reaches(between, to)))
        .map((to) => `${from} --> ${to}`),
    )
    .toSorted()
}
