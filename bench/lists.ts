/** `node bench/lists.ts`: lists by each declared filter while the shared database fills with tenants. See docs/performance.md. */
import { Agent, get } from 'node:http'
import { availableParallelism, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { getTableName } from 'drizzle-orm'
import { RESOURCES } from '../src/applications/property/resources.ts'
import type { Resource } from '../src/collections/define-resource.ts'
import { LIST_PARAMETERS } from '../src/collections/query.ts'
import { manyRows } from '../test/support/many-rows.ts'
import { type OwnServer, startOwnServer } from '../test/support/second-server.ts'
import { type Client, Operator } from './operator.ts'
import { type ServerProcess, startGatewayProcess } from './processes.ts'
import { asSuperuser, environmentOf, makeDatabase } from './stage.ts'
import { latencyQuantiles } from './statistics.ts'

interface Options {
  readonly tenants: readonly number[]
  readonly rows: number
  readonly requests: number
  readonly rounds: number
  readonly collections: readonly Resource[]
}

interface Row {
  readonly [field: string]: unknown
}

/** In ms. */
interface Latencies {
  readonly p50: number
  readonly p99: number
}

/** A list, and its times at each number of tenants. */
interface Line {
  readonly list: string
  readonly latencies: Latencies[]
}

const FILLED_AT_ONCE = 100
const CREATED_AT_ONCE = 10
const WARM_UP_REQUESTS = 100
/** A prime, so that the clients are visited in a mixed order. */
const STRIDE = 7_919
const API = '/api/v1'

async function main(): Promise<void> {
  const options = readOptions()
  const { tenants, rows, requests, rounds } = options
  const [busy = 0] = loadavg()
  process.stdout.write(
    `${availableParallelism()} cores, load average ${busy.toFixed(2)} at the beginning\n` +
      `${rows} rows a tenant in each collection, the calmest of ${rounds} rounds of ${requests} requests one after another, ms\n\n`,
  )
  const server = await startOwnServer({ settings: { max_connections: '100' } })
  try {
    const environment = environmentOf(
      await makeDatabase(server, 'catalog'),
      await makeDatabase(server, 'shared'),
    )
    const gateway = await startGatewayProcess(environment)
    try {
      const operator = new Operator(gateway, environment.OPERATOR_TOKEN ?? '')
      const clients = await createClients(operator, tenants.at(-1) ?? 0)
      printHead(tenants)
      for (const resource of options.collections) {
        for (const line of await measure(resource, options, { server, gateway, clients })) printLine(line)
      }
    } finally {
      await gateway.stop()
    }
  } finally {
    await server.dispose()
  }
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      tenants: { type: 'string', default: '10,100,1000' },
      rows: { type: 'string', default: '1000' },
      requests: { type: 'string', default: '300' },
      rounds: { type: 'string', default: '10' },
      collections: { type: 'string', default: RESOURCES.map(({ name }) => name).join() },
    },
  })
  const tenants = values.tenants.split(',').map(Number)
  const [rows = 0, requests = 0, rounds = 0] = [values.rows, values.requests, values.rounds].map(Number)
  const names = values.collections.split(',')
  const collections = RESOURCES.filter(({ name }) => names.includes(name))
  if (
    ![...tenants, rows, requests, rounds].every((number) => number >= 1) ||
    collections.length < names.length
  ) {
    throw new Error(
      '--tenants, --rows, --requests and --rounds take positive numbers, --collections their names',
    )
  }
  return { tenants: tenants.toSorted((a, b) => a - b), rows, requests, rounds, collections }
}

async function createClients(operator: Operator, count: number): Promise<Client[]> {
  const permissions = [...new Set(RESOURCES.map(({ permission }) => `${permission}:read`))]
  const clients: Client[] = []
  for (let made = 0; made < count; made += CREATED_AT_ONCE) {
    const codes = Array.from(
      { length: Math.min(CREATED_AT_ONCE, count - made) },
      (_, i) => `tenant-${made + i}`,
    )
    clients.push(...(await Promise.all(codes.map((code) => operator.createClient(code, permissions)))))
  }
  return clients
}

interface Ground {
  readonly server: OwnServer
  readonly gateway: ServerProcess
  readonly clients: readonly Client[]
}

/** One collection at a time, so that the disk needs room for a million rows only. */
async function measure(resource: Resource, options: Options, ground: Ground): Promise<Line[]> {
  const filters = Object.keys(resource.schemas.listQuery.properties).filter(
    (name) => !LIST_PARAMETERS.some((known) => known === name),
  )
  const lines = filters.map((filter) => ({
    filter,
    list: `${resource.name}?${filter}=`,
    latencies: [] as Line['latencies'],
  }))
  const caller = new Caller(ground.gateway.port)
  /** One row of each tenant. The requests filter by its values. */
  const samples: Row[] = []
  for (const count of options.tenants) {
    const living = ground.clients.slice(0, count)
    const arriving = living.slice(samples.length)
    await fill(resource, options.rows, { server: ground.server, tenants: arriving })
    for (const client of arriving) samples.push(await caller.sample(resource, client))
    for (const { filter, latencies } of lines) {
      const paths = samples.map(
        (row) => `${API}/${resource.name}?${new URLSearchParams({ [filter]: String(row[filter]) })}`,
      )
      latencies.push(await caller.measure(living, paths, options))
    }
  }
  await asReplica(ground.server, `TRUNCATE ${getTableName(resource.table)} CASCADE`)
  caller.close()
  return lines
}

async function fill(
  resource: Resource,
  rows: number,
  { server, tenants }: { server: OwnServer; tenants: readonly Client[] },
): Promise<void> {
  const ids = tenants.map(({ tenantId }) => tenantId)
  for (let filled = 0; filled < ids.length; filled += FILLED_AT_ONCE) {
    await asReplica(server, manyRows(resource), [ids.slice(filled, filled + FILLED_AT_ONCE), rows])
  }
  await asReplica(server, `VACUUM ANALYZE ${getTableName(resource.table)}`)
}

/** Without triggers and foreign keys: the rows refer to no others, and append-only rows can be deleted again. */
function asReplica(server: OwnServer, text: string, values: unknown[] = []): Promise<void> {
  return asSuperuser(server, 'shared', async (client) => {
    await client.query('SET session_replication_role = replica')
    await client.query(text, values)
  })
}

/** Sends one request after another on one connection. */
class Caller {
  readonly #port: number
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 })

  constructor(port: number) {
    this.#port = port
  }

  /** A row from the middle of a page. */
  async sample({ name }: Resource, client: Client): Promise<Row> {
    const { data } = JSON.parse(await this.#get(`${API}/${name}?limit=200`, client)) as { data: Row[] }
    const row = data[Math.floor(data.length / 2)]
    if (row === undefined) throw new Error(`there are no ${name}`)
    return row
  }

  /** Rounds of requests, each request from another client. Keeps the smallest value of each quantile: the rest is other load. */
  async measure(
    clients: readonly Client[],
    paths: readonly string[],
    { rounds, requests }: Options,
  ): Promise<Latencies> {
    const ask = (i: number) => {
      const at = (i * STRIDE) % clients.length
      return this.#get(paths[at] ?? '', clients[at] as Client)
    }
    for (let i = 0; i < WARM_UP_REQUESTS; i += 1) await ask(i)
    const found: Latencies[] = []
    for (let round = 0; round < rounds; round += 1) {
      const latencies: number[] = []
      for (let i = 0; i < requests; i += 1) {
        const startedAt = performance.now()
        await ask(i)
        latencies.push(performance.now() - startedAt)
      }
      found.push(latencyQuantiles(latencies))
    }
    return {
      p50: Math.min(...found.map(({ p50 }) => p50)),
      p99: Math.min(...found.map(({ p99 }) => p99)),
    }
  }

  close(): void {
    this.#agent.destroy()
  }

  #get(path: string, { headers }: Client): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    const options = { host: '127.0.0.1', port: this.#port, path, headers, agent: this.#agent }
    get(options, async (answer) => {
      let text = ''
      for await (const chunk of answer.setEncoding('utf8')) text += chunk
      if (answer.statusCode === 200) resolve(text)
      else reject(new Error(`${path}: ${answer.statusCode} ${text}`))
    }).on('error', reject)
    return promise
  }
}

function printHead(tenants: readonly number[]): void {
  print(
    'tenants',
    tenants.flatMap((count) => [String(count), '']),
  )
  print(
    '',
    tenants.flatMap(() => ['p50', 'p99']),
  )
}

function printLine({ list, latencies }: Line): void {
  print(
    list,
    latencies.flatMap(({ p50, p99 }) => [p50.toFixed(2), p99.toFixed(2)]),
  )
}

function print(title: string, cells: readonly string[]): void {
  process.stdout.write(`${title.padEnd(28)}${cells.map((cell) => cell.padStart(7)).join('')}\n`)
}

await main()
