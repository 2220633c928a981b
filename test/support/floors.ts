/**
 * What each folder of src (or file directly in src) may import besides itself. The list only points downwards, so the order
 * of the folders is also the order in which a reader can learn them. A new folder gets its line here.
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
  // What an application is handed of a tenant, with and without a request.
  tenancy: [...toSql, 'identity', 'jobs', ...application],
  health: toDatabases,
  operations: [...toDatabases, 'health'],
  // Reads the environment with the parsers of what it configures.
  config: ['logger', 'lib', 'crypto', 'identity'],
  // Starts a server before there is a catalog, and fills it as an operator and the tenants' people would.
  embedded: [...toOperations, ...application],
  // Never pools, jobs, migrations, embedded: a route reads rows by a session and changes things by an operation.
  http: [...toResidence, 'sql', 'identity', ...application, 'tenancy', 'databases', 'health', 'operations'],
  // The composition root with its parts, and the ways in: a server of its own, or a plugin of another.
  gateway: everything,
  // The commands: for a process that serves, and for an operator's terminal.
  cli: [...everything, 'gateway', 'testing'],
  // What an application's own tests are made of. The suite uses it too.
  testing: [...everything, 'gateway'],
  // A product: only main, tests and bench import one.
  applications: ['index'],
  main: ['applications', 'config', 'cli'],
  index: [...everything, 'gateway'],
}

/** The picture's arrows, `from --> to`: each may import the other, and no third one stands between them. */
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
