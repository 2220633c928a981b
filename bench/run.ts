/** `npm run bench`: compares the gateway with hand-written services, in turns, on the same rows. See docs/performance.md. */
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { availableParallelism, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { SignJWT } from 'jose'
import pg from 'pg'
import { measureGates } from './gates.ts'
import type { Harvest, Order } from './load.ts'
import { forkScript, type ServerProcess, startGatewayProcess, startScript } from './processes.ts'
import { createStage, type Home, type Placement, POOL_SIZE, type Stage } from './stage.ts'
import { BASELINE, type BenchOptions, printTable, type Series } from './table.ts'

/** A measured service: the tenant whose rows it reads, and the service that it is compared with. */
interface Contender {
  readonly name: string
  readonly placement: Placement
  readonly server: ServerProcess
  readonly token: string
}

const FIRST_WARM_UP_MS = 1_000
const WARM_UP_MS = 120
const LIST_LIMIT = 20

const ROWS: readonly { readonly name: string; readonly pathsOf: (home: Home) => readonly string[] }[] = [
  { name: 'point read', pathsOf: ({ placeIds }) => placeIds.map((id) => `/api/v1/places/${id}`) },
  { name: 'list of 20', pathsOf: () => [`/api/v1/places?limit=${LIST_LIMIT}`] },
]

async function main(): Promise<void> {
  const options = readOptions()
  const [busy = 0] = loadavg()
  process.stdout.write(`${availableParallelism()} cores, load average ${busy.toFixed(2)} at the beginning\n`)
  const gates = await measureGates()
  const stage = await createStage()
  try {
    const contenders = await startContenders(stage)
    try {
      await assertSameAnswers(stage, contenders)
      const series = await compare(stage, contenders, options)
      printTable(series, gates, options)
    } finally {
      await Promise.all(contenders.map(({ server }) => server.stop()))
    }
  } finally {
    await stage.dispose()
  }
}

function readOptions(): BenchOptions {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '0.5' },
      connections: { type: 'string', default: '50' },
    },
  })
  const [rounds = 0, seconds = 0, connections = 0] = [values.rounds, values.seconds, values.connections].map(
    Number,
  )
  if (!(rounds >= 1 && seconds > 0 && connections >= 1)) {
    throw new Error('--rounds, --seconds and --connections take positive numbers')
  }
  return { rounds, seconds, connections }
}

async function startContenders({ homes, environment }: Stage): Promise<Contender[]> {
  const loud = await startGatewayProcess({ ...environment })
  const quiet = await startGatewayProcess({ ...environment, LOG_LEVEL: 'warn' })
  const found: Contender[] = []
  for (const placement of ['shared', 'dedicated'] as const) {
    const home = homes[placement]
    const byHand = (more: Record<string, string>) => startHandWritten(home, more)
    found.push(
      { name: BASELINE, placement, ...(await byHand({})) },
      { name: 'gateway', placement, server: loud, token: home.token },
    )
    if (placement === 'dedicated') continue
    // The gateway writes a log line for each request. To see the cost, each service is measured with and without.
    found.push(
      { name: 'gateway, LOG_LEVEL=warn', placement, server: quiet, token: home.token },
      { name: 'hand-written, logs requests', placement, ...(await byHand({ REQUEST_LOG: 'on' })) },
    )
  }
  return found
}

async function startHandWritten(home: Home, more: Record<string, string>) {
  const secret = randomBytes(32)
  const server = await startScript('hand-written.ts', {
    ...{ DATABASE_URL: home.plainUrl, TOKEN_SECRET: secret.toString('base64url') },
    ...{ POOL_SIZE: String(POOL_SIZE), ...more },
  })
  const token = await new SignJWT({ tenantId: home.tenantId, permissions: ['properties:read'] })
    .setProtectedHeader({ alg: 'HS256' })
    .setAudience('bench')
    .setExpirationTime('1h')
    .sign(await crypto.subtle.importKey('raw', secret, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']))
  return { server, token }
}

/** Compared services must do the same work: they return the same rows. */
async function assertSameAnswers({ homes }: Stage, contenders: readonly Contender[]): Promise<void> {
  for (const { name, placement, server, token } of contenders) {
    const home = homes[placement]
    const get = async (path: string) => {
      const url = `http://127.0.0.1:${server.port}${path}`
      const response = await fetch(url, { headers: { authorization: `Bearer ${token}` } })
      return (await response.json()) as { id?: string; data?: { id: string }[]; nextCursor?: unknown }
    }
    const [id = ''] = home.placeIds
    const one = await get(`/api/v1/places/${id}`)
    const many = await get(`/api/v1/places?limit=${LIST_LIMIT}`)
    const isPage = many.data?.[0]?.id === id && many.data.length === LIST_LIMIT && many.nextCursor !== null
    if (one.id !== id || !isPage) throw new Error(`${name} answers something else: ${JSON.stringify(one)}`)
  }
}

async function compare(
  { homes, servers }: Stage,
  contenders: readonly Contender[],
  { rounds, seconds, connections }: BenchOptions,
): Promise<Series[]> {
  const postmasters = await Promise.all(servers.map(({ superuserUrl }) => postmasterOf(superuserUrl)))
  const cells = ROWS.flatMap(({ name: row, pathsOf }) =>
    contenders.map(({ name: contender, placement, server, token }) => ({
      series: { row, placement, contender, samples: [] } as Series,
      order: {
        ...{ port: server.port, pid: server.pid, token, connections, postmasters },
        paths: pathsOf(homes[placement]),
      },
    })),
  )
  const load = forkScript('load.ts')
  try {
    for (const { order } of cells) await measure(load, { ...order, warmUpMs: FIRST_WARM_UP_MS, measureMs: 1 })
    for (let round = 0; round < rounds; round += 1) {
      // Forwards and backwards, so that no service always follows the same other one.
      for (const { series, order } of round % 2 === 0 ? cells : cells.toReversed()) {
        const slot = { warmUpMs: WARM_UP_MS, measureMs: seconds * 1_000 }
        series.samples.push(await measure(load, { ...order, ...slot }))
      }
    }
  } finally {
    load.kill()
  }
  return cells.map(({ series }) => series)
}

function measure(load: ChildProcess, order: Order): Promise<Harvest> {
  return new Promise((resolve, reject) => {
    const ended = () => reject(new Error('the load generator ended'))
    load.once('exit', ended).once('message', (harvest: Harvest) => {
      load.off('exit', ended)
      resolve(harvest)
    })
    load.send(order)
  })
}

/** The backends are its children, so their CPU time can be measured apart. */
async function postmasterOf(superuserUrl: string): Promise<number> {
  const client = new pg.Client({ connectionString: superuserUrl })
  await client.connect()
  const { rows } = await client.query(
    "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int AS pid",
  )
  await client.end()
  return rows[0].pid as number
}

await main()
