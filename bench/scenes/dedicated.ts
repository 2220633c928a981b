import assert from 'node:assert/strict'
import { seededRandom } from '../../test/support/seeded-random.ts'
import type { WireRequest } from '../load/order.ts'
import type { Bench } from '../measure/bench.ts'
import type { Cell, Group, Row } from '../measure/group.ts'
import { loadCell, type Requests } from '../measure/load-generator.ts'
import { type Service, startGateways, stopAll } from '../measure/services.ts'
import { uniformTrace, zipfTrace } from '../measure/traces.ts'
import { DedicatedStage, type DedicatedTenant, whyNoRoom } from './dedicated-stage.ts'
import { withOpens } from './opens.ts'
import { registrationGroups } from './registration.ts'
import { COLLECTIONS } from './shared-stage.ts'

const HAND_WRITTEN = 'hand-written'
/**
 * `fitting`: databases of the rows whose budget has room for all of them. `all`: databases of the row over budget, which allows
 * `capacity` connections, twice as many as there are requests at once. A short run has fewer databases, because creating them
 * takes most of its time.
 */
const SIZES = {
  full: { fitting: 200, all: 500, capacity: 100 },
  short: { fitting: 100, all: 300, capacity: 100 },
}
/** More requests than a service answers in a round. */
const TRACE_LENGTH = 20_000
/** Requests for each tenant before the first round, where all databases fit into the budget. */
const WARM_UP_REQUESTS = 10
/** First requests in a round, if there are enough tenants. */
const COLD_STARTS = 10

/** The same for both services. All databases are on one server. */
type Budget = Readonly<Record<'MAX_CONNECTIONS' | 'MAX_CONNECTIONS_PER_SERVER' | 'MAX_POOLS', string>>
const FITTING_BUDGET: Budget = { MAX_CONNECTIONS: '500', MAX_CONNECTIONS_PER_SERVER: '500', MAX_POOLS: '250' }

const HEALTH_NOTE = 'the gateway runs no health rounds meanwhile (HEALTH_CHECK_CRON)'

const FITTING_ROWS: readonly Row[] = [
  ['cold start', 'dedicated'],
  ['registration', 'dedicated'],
  ['point read', 'dedicated'],
  ['point read', 'dedicated zipf'],
]
const TIGHT_ROWS: readonly Row[] = [['point read', 'dedicated zipf over budget']]
export const DEDICATED_ROWS: readonly Row[] = [...FITTING_ROWS, ...TIGHT_ROWS]

/** Tenants with databases of their own, against a service that keeps a pg pool for each. */
export async function measureDedicated(bench: Bench): Promise<void> {
  const wanted = (rows: readonly Row[]) => rows.some((row) => bench.wants(...row))
  if (!wanted(DEDICATED_ROWS)) return
  const count = databasesOf(bench)
  const why = await whyNoRoom(count)
  if (why !== null) {
    bench.say(['', `dedicated: not measured. ${why}`])
    return
  }
  const stage = await DedicatedStage.create(count)
  try {
    if (wanted(FITTING_ROWS)) await measureFitting(bench, stage)
    if (wanted(TIGHT_ROWS)) await measureTight(bench, stage)
  } finally {
    await stage.dispose()
  }
}

function sizesOf({ options: { isShort } }: Bench) {
  return isShort ? SIZES.short : SIZES.full
}

/** No more than the wanted rows need. */
function databasesOf(bench: Bench): number {
  const { fitting, all } = sizesOf(bench)
  if (bench.wants('cold start', 'dedicated')) return all
  if (bench.wants('point read', 'dedicated zipf over budget')) return all
  return bench.wants('point read', 'dedicated') || bench.wants('point read', 'dedicated zipf') ? fitting : 1
}

async function measureFitting(bench: Bench, stage: DedicatedStage): Promise<void> {
  await withServices(bench, stage, FITTING_BUDGET, async (services) => {
    // First, because most pools are closed then.
    await bench.measure(coldStarts(bench, stage, services))
    for (const group of registrationGroups(bench, stage, services, notesOf(FITTING_BUDGET)))
      await bench.measure(group)
    const { fitting } = sizesOf(bench)
    const tenants = stage.tenants.slice(0, fitting)
    const base = { row: 'point read', connections: bench.options.connections } as const
    for (const [placement, traceOf] of [
      ['dedicated', (round: number) => uniformTrace(fitting, TRACE_LENGTH, seededRandom(round))],
      ['dedicated zipf', (round: number) => zipfTrace(fitting, TRACE_LENGTH, seededRandom(round))],
    ] as const) {
      const cells = services.map((service) => warmPointReads({ bench, stage, tenants, traceOf }, service))
      const detail = `${fitting} databases`
      await bench.measure({ ...base, placement, detail, cells, notes: notesOf(FITTING_BUDGET) })
    }
  })
}

async function measureTight(bench: Bench, stage: DedicatedStage): Promise<void> {
  const { all, capacity } = sizesOf(bench)
  const limit = String(capacity)
  const budget = { MAX_CONNECTIONS: limit, MAX_CONNECTIONS_PER_SERVER: limit, MAX_POOLS: limit }
  await withServices(bench, stage, budget, async (services) => {
    const traceOf = (round: number) => zipfTrace(all, TRACE_LENGTH, seededRandom(round))
    const opens = { countSessions: () => stage.countSessions(), traceOf, capacity }
    await bench.measure({
      ...{ row: 'point read', placement: 'dedicated zipf over budget', detail: `${all} databases` },
      connections: bench.options.connections,
      cells: services.map((service) =>
        withOpens(pointReads({ bench, stage, tenants: stage.tenants, traceOf }, service), opens),
      ),
      notes: notesOf(budget),
    })
  })
}

/** Each budget has services of its own: gateways of one catalog that run at once divide a budget. */
async function withServices(
  bench: Bench,
  stage: DedicatedStage,
  budget: Budget,
  work: (services: readonly Service[]) => Promise<void>,
): Promise<void> {
  const { first, second } = stage.environments
  const environments = { first: { ...first, ...budget }, second: { ...second, ...budget } }
  const services = await startGateways(environments, bench.options.settings)
  try {
    services.push(await stage.startBaseline(HAND_WRITTEN, budget))
    for (const service of services) await assertSameAnswer(stage, service)
    await work(services)
  } finally {
    await stopAll(services)
  }
}

/** Asks for the last tenant, which takes part in few rows. */
async function assertSameAnswer({ tenants }: DedicatedStage, { name, server, tokenOf }: Service) {
  const tenant = tenants.at(-1)
  assert.ok(tenant !== undefined)
  const response = await fetch(`http://127.0.0.1:${server.port}${pathOf(tenant)}`, {
    headers: { authorization: `Bearer ${tokenOf(tenant)}` },
  })
  const { id, name: found } = (await response.json()) as { id?: string; name?: string }
  assert.deepEqual([id, found], [tenant.placeId, 'Garden Court 1'], `${name} answers something else`)
}

interface PointReads {
  readonly bench: Bench
  readonly stage: DedicatedStage
  readonly tenants: readonly DedicatedTenant[]
  /** The tenants of a round's requests, the same for each service. */
  readonly traceOf: (round: number) => readonly number[]
}

function pointReads({ bench, stage, tenants, traceOf }: PointReads, service: Service): Cell {
  const { connections } = bench.options
  const requests = { ...requestsTo(stage, service, tenants), connections }
  return loadCell(bench.load, service.name, (round) => ({ ...requests, trace: traceOf(round) }))
}

/** All tenants are asked once and then as in a round, so that connections are open before the first round. */
function warmPointReads(reads: PointReads, service: Service): Cell {
  const { bench, stage, tenants, traceOf } = reads
  const { requests: each, ...target } = requestsTo(stage, service, tenants)
  const more = traceOf(0).slice(0, WARM_UP_REQUESTS * tenants.length)
  const requests = [...each, ...more.flatMap((index) => each[index] ?? [])]
  const order = { ...target, requests, isOnce: true, connections: bench.options.connections }
  const warmUp = async () => {
    await bench.load.run({ ...order, warmUpMs: 0, measureMs: 0 })
  }
  return { ...pointReads(reads, service), warmUp }
}

/** One request after another, each the first one of its tenant. Nothing of the tenant is in memory, and no pool is open. */
function coldStarts(bench: Bench, stage: DedicatedStage, services: readonly Service[]): Group {
  // The last tenant has been asked already.
  const unused = stage.tenants.slice(sizesOf(bench).fitting, -1)
  const each = Math.min(COLD_STARTS, Math.floor(unused.length / (bench.options.rounds + 1)))
  const cells = services.map((service) =>
    loadCell(bench.load, service.name, (round) => {
      const tenants = unused.slice(round * each, (round + 1) * each)
      return { ...requestsTo(stage, service, tenants), connections: 1, isOnce: true }
    }),
  )
  const notes = [`${each} tenants a round`, ...notesOf(FITTING_BUDGET)]
  return { row: 'cold start', placement: 'dedicated', connections: 1, cells, notes }
}

function requestsTo(
  { postmasters }: DedicatedStage,
  { server, tokenOf }: Service,
  tenants: readonly DedicatedTenant[],
): Omit<Requests, 'connections'> {
  const requests = tenants.map(
    (tenant): WireRequest => ({ method: 'GET', path: pathOf(tenant), token: tokenOf(tenant) }),
  )
  return { port: server.port, pid: server.pid, postmasters, requests }
}

function pathOf({ placeId }: DedicatedTenant): string {
  return `${COLLECTIONS.fast}/${placeId}`
}

function notesOf(budget: Budget): string[] {
  const settings = Object.entries(budget).map(([name, value]) => `${name}=${value}`)
  return [`both services: ${settings.join(' ')}; ${HEALTH_NOTE}`]
}
