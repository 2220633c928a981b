import { newId } from '../../src/lib/ids.ts'
import { readClocks, spentBetween } from '../load/cpu.ts'
import type { Harvest } from '../load/order.ts'
import type { Bench } from '../measure/bench.ts'
import { type Cell, type Group, isGateway } from '../measure/group.ts'
import type { Service } from '../measure/services.ts'
import { Operator } from '../operator.ts'
import { latencyQuantiles } from '../statistics.ts'
import { type DatabaseKind, type DedicatedStage, registerByHand } from './dedicated-stage.ts'

const EACH = { full: 4, short: 2 }
const DETAILS: Readonly<Record<DatabaseKind, string>> = { migrated: 'tables there', empty: 'with migrations' }
const POLLED = 'until the database is active; the gateway is asked for its status every 5 ms'

/** Registers databases, one after another: databases that have all tables, and empty ones. */
export function registrationGroups(
  { options: { isShort } }: Bench,
  stage: DedicatedStage,
  services: readonly Service[],
  notes: readonly string[],
): Group[] {
  const each = isShort ? EACH.short : EACH.full
  return (['migrated', 'empty'] as const).map((kind) => ({
    ...({ row: 'registration', placement: 'dedicated', connections: 1 } as const),
    detail: DETAILS[kind],
    cells: services.map((service) => registrationCell({ stage, service, kind, each })),
    notes: [`${each} databases a round, ${POLLED}`, ...notes],
  }))
}

interface Registration {
  readonly stage: DedicatedStage
  readonly service: Service
  readonly kind: DatabaseKind
  readonly each: number
}

function registrationCell(registration: Registration): Cell {
  const { service, each } = registration
  const measure = async () => {
    const harvests: Harvest[] = []
    for (let i = 0; i < each; i += 1) harvests.push(await registerOne(registration))
    return together(harvests)
  }
  return { service: service.name, measure, samples: [] }
}

/** Creating the tenant and its database is not measured. */
async function registerOne({ stage, service, kind }: Registration): Promise<Harvest> {
  const connectionString = await stage.createDatabase(kind)
  const register = await prepare(stage, service, connectionString)
  const processes = { pid: service.server.pid, postmasters: stage.postmasters }
  const before = readClocks(processes)
  await register()
  const after = readClocks(processes)
  const ms = after.ms - before.ms
  return { ...spentBetween(before, after, 1), p50: ms, p99: ms, p999: ms, sent: 1 }
}

/** Creates a tenant, and returns what is to be measured. */
async function prepare(
  { baselines, environments }: DedicatedStage,
  service: Service,
  connectionString: string,
): Promise<() => Promise<void>> {
  const id = newId()
  if (!isGateway(service.name)) {
    // This service knows tenants from tokens only.
    await baselines.sign([{ id }])
    return () => registerByHand(service, baselines.tokenOf(id), connectionString)
  }
  const operator = new Operator(service.server, environments.first.OPERATOR_TOKEN ?? '')
  const tenant = await operator.createTenant(`tenant-${id}`)
  return () => operator.giveDatabase(tenant.id, { connectionString })
}

/** The figures of several registrations, one after another. */
function together(harvests: readonly Harvest[]): Harvest {
  const mean = (pick: (harvest: Harvest) => number | null) => {
    const sum = harvests.reduce((total, harvest) => total + (pick(harvest) ?? Number.NaN), 0)
    return Number.isFinite(sum) ? sum / harvests.length : null
  }
  return {
    perSecond: 1_000 / (mean(({ p50 }) => p50) ?? Number.NaN),
    ...latencyQuantiles(harvests.map(({ p50 }) => p50)),
    nodeCpu: mean(({ nodeCpu }) => nodeCpu),
    postgresCpu: mean(({ postgresCpu }) => postgresCpu),
    sent: harvests.length,
  }
}
