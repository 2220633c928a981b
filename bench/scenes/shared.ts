import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { WireRequest } from '../load/order.ts'
import type { Bench } from '../measure/bench.ts'
import { ALONE, type Cell, type Group, isGateway, type Row } from '../measure/group.ts'
import { loadCell, type Requests } from '../measure/load-generator.ts'
import { Baselines, type Service, startGateways, stopAll } from '../measure/services.ts'
import { RowLocks } from './locked-rows.ts'
import { comparePgbench } from './pgbench.ts'
import {
  COLLECTIONS,
  createSharedStage,
  PLAIN_DATABASE,
  SHARED_DATABASE,
  type SharedStage,
} from './shared-stage.ts'

/** Connections that each service may hold: what the gateway's default settings allow it for one server. */
const POOL_SIZE = 50
const LIST_LIMIT = 20
const LOCKED_ROWS = 8
const HAND_WRITTEN = 'hand-written'
const FEW = 10
const MANY = 200

export const SHARED_ROWS: readonly Row[] = [
  ['point read', 'shared'],
  ['list of 20', 'shared'],
  ['insert', 'shared'],
  ['update', 'shared'],
  ['point read beside a slow statement', 'shared'],
  ['point read beside 8 slow statements', 'shared'],
  ['update beside locked rows', 'shared'],
]

/** A tenant among others in the shared database, against services that have the same rows in a plain one. */
export async function measureShared(bench: Bench): Promise<void> {
  if (!SHARED_ROWS.some((row) => bench.wants(...row))) return
  const stage = await createSharedStage(bench.options.flushMs)
  try {
    const services = await startServices(stage, bench)
    try {
      for (const service of services) await assertSameAnswers(stage, service)
      const scene = new SharedScene(bench, stage, services)
      for (const group of scene.groups()) await bench.measure(group)
    } finally {
      await stopAll(services)
    }
  } finally {
    await stage.dispose()
  }
}

async function startServices(stage: SharedStage, { options }: Bench): Promise<Service[]> {
  const baselines = new Baselines()
  await baselines.sign([stage.tenant])
  const started = await startGateways(stage.environments, options.settings)
  const start = async (name: string, script: string, more: Record<string, string>) => {
    started.push(await baselines.start(name, script, { POOL_SIZE: String(POOL_SIZE), ...more }))
  }
  try {
    await start(HAND_WRITTEN, 'hand-written.ts', { DATABASE_URL: stage.ownerUrl })
    await start('hand-written with RLS', 'hand-written-rls.ts', { DATABASE_URL: stage.subjectUrl })
    await start('drizzle', 'drizzle.ts', { DATABASE_URL: stage.subjectUrl })
    if (hasPlatformatic(options.platformatic)) {
      const more = { DATABASE_URL: stage.ownerUrl, PLATFORMATIC: options.platformatic }
      await start('platformatic', 'platformatic.ts', more)
    }
    return started
  } catch (error) {
    await stopAll(started)
    throw error
  }
}

function hasPlatformatic(folder: string): boolean {
  return existsSync(join(folder, 'node_modules/@platformatic/sql-mapper/package.json'))
}

/** Compared services must do the same work: they return the same rows. */
async function assertSameAnswers({ tenant, placeIds }: SharedStage, service: Service): Promise<void> {
  const get = async (path: string) => {
    const headers = { authorization: `Bearer ${service.tokenOf(tenant)}` }
    const response = await fetch(`http://127.0.0.1:${service.server.port}${path}`, { headers })
    return (await response.json()) as {
      createdAt?: string
      updatedAt?: string
      data?: { id: string }[]
      nextCursor?: unknown
    }
  }
  const [id = ''] = placeIds
  const found = await get(`${COLLECTIONS.fast}/${id}`)
  const { data, nextCursor } = await get(`${COLLECTIONS.fast}?limit=${LIST_LIMIT}`)
  const expected = {
    ...{ id, name: 'Garden Court 1', kind: 'land', latitude: 52.0001, longitude: 4.0001 },
    address: { line1: '1 Long Lane', postalCode: '10001', city: 'Delft', country: 'NL' },
  }
  // Times are left out: the gateway gives microseconds, and the others what a JavaScript Date can hold.
  const { createdAt, updatedAt, ...rest } = found
  assert.deepEqual(rest, expected, `${service.name} answers something else`)
  assert.ok(createdAt !== undefined && updatedAt !== undefined, service.name)
  assert.deepEqual(
    data?.map((row) => row.id),
    placeIds.slice(0, LIST_LIMIT),
    service.name,
  )
  assert.notEqual(nextCursor ?? null, null, service.name)
}

/** A request without its token, which depends on the service. */
type Draft = Omit<WireRequest, 'token'>

class SharedScene {
  readonly #bench: Bench
  readonly #stage: SharedStage
  readonly #services: readonly Service[]

  constructor(bench: Bench, stage: SharedStage, services: readonly Service[]) {
    this.#bench = bench
    this.#stage = stage
    this.#services = services
  }

  groups(): Group[] {
    const { connections } = this.#bench.options
    const { find, list, insert, update } = this.#drafts()
    const all = this.#services
    const two = all.filter(({ name }) => isGateway(name) || name === HAND_WRITTEN)
    const base = { placement: 'shared', connections, notes: this.#notes() } as const
    const few = { ...base, row: 'point read', notes: [] } as const
    const pointReads = this.#cells(all, find, connections)
    const conclude = () => comparePgbench(this.#stage, POOL_SIZE, pointReads)
    return [
      { ...base, row: 'point read', cells: pointReads, conclude },
      { ...few, connections: FEW, cells: this.#cells(two, find, FEW) },
      { ...few, connections: MANY, cells: this.#cells(two, find, MANY) },
      { ...base, row: 'list of 20', cells: this.#cells(all, list, connections) },
      { ...base, row: 'insert', cells: this.#cells(all, insert, connections) },
      { ...base, row: 'update', cells: this.#cells(all, update, connections) },
      { ...few, row: 'point read beside a slow statement', cells: this.#besideSlow(two, find, 1) },
      { ...few, row: 'point read beside 8 slow statements', cells: this.#besideSlow(two, find, 8) },
      { ...few, row: 'update beside locked rows', cells: this.#besideLocked(two, update) },
    ]
  }

  #notes(): string[] {
    const { platformatic } = this.#bench.options
    if (hasPlatformatic(platformatic)) return []
    const install = `npm install --ignore-scripts --prefix ${platformatic} @platformatic/sql-mapper`
    return [`platformatic: not installed. To measure it: ${install}`]
  }

  #drafts(): Readonly<Record<'find' | 'list' | 'insert' | 'update', readonly Draft[]>> {
    const { placeIds } = this.#stage
    const paths = placeIds.map((id) => `${COLLECTIONS.fast}/${id}`)
    const address = { line1: '1 Long Lane', postalCode: '10001', city: 'Delft', country: 'NL' }
    const place = { name: 'Garden Court', kind: 'building', address, latitude: 52.01, longitude: 4.35 }
    return {
      find: paths.map((path) => ({ method: 'GET', path })),
      list: [{ method: 'GET', path: `${COLLECTIONS.fast}?limit=${LIST_LIMIT}` }],
      insert: [{ method: 'POST', path: COLLECTIONS.fast, body: JSON.stringify(place) }],
      // The last rows stay free for the row locks.
      update: paths
        .slice(0, -LOCKED_ROWS)
        .map((path, i) => ({ method: 'PATCH', path, body: JSON.stringify({ name: `Garden Court ${i}` }) })),
    }
  }

  #requests(service: Service, drafts: readonly Draft[], connections: number): Requests {
    const { port, pid } = service.server
    const token = service.tokenOf(this.#stage.tenant)
    const requests = drafts.map((draft) => ({ ...draft, token }))
    return { port, pid, postmasters: this.#stage.postmasters, requests, connections }
  }

  #cells(services: readonly Service[], drafts: readonly Draft[], connections: number): Cell[] {
    return services.map((service) =>
      loadCell(this.#bench.load, service.name, this.#requests(service, drafts, connections)),
    )
  }

  /** Each service with and without slow statements at the same time. */
  #besideSlow(services: readonly Service[], drafts: readonly Draft[], count: number): Cell[] {
    const { slowIds, tenant } = this.#stage
    return services.flatMap((service) => {
      const requests = this.#requests(service, drafts, this.#bench.options.connections)
      const paths = isGateway(service.name)
        ? slowIds.map((id) => `${COLLECTIONS.slow}/${id}`)
        : slowIds.map(() => '/api/v1/sleep')
      const beside = paths
        .slice(0, count)
        .map((path) => ({ method: 'GET', path, token: service.tokenOf(tenant) }) as const)
      const cell = loadCell(this.#bench.load, service.name, { ...requests, beside })
      return this.#withAlone(service, cell, requests)
    })
  }

  /** Each service with and without requests for rows that other sessions lock at the same time. */
  #besideLocked(services: readonly Service[], drafts: readonly Draft[]): Cell[] {
    const { server, placeIds, tenant } = this.#stage
    const ids = placeIds.slice(-LOCKED_ROWS)
    return services.flatMap((service) => {
      const locked = isGateway(service.name)
        ? { database: SHARED_DATABASE, table: 'public.places', ids }
        : { database: PLAIN_DATABASE, table: 'app.places', ids }
      const requests = this.#requests(service, drafts, this.#bench.options.connections)
      const body = JSON.stringify({ name: 'Locked Court' })
      const beside = ids.map((id) => ({
        ...({ method: 'PATCH', path: `${COLLECTIONS.fast}/${id}`, body } as const),
        token: service.tokenOf(tenant),
      }))
      const cell = loadCell(this.#bench.load, service.name, { ...requests, beside })
      const measure: Cell['measure'] = async (slot) => {
        const locks = new RowLocks(server, locked)
        return cell.measure(slot).finally(() => locks.release())
      }
      return this.#withAlone(service, { ...cell, measure }, requests)
    })
  }

  #withAlone(service: Service, cell: Cell, undisturbed: Requests): Cell[] {
    return [cell, loadCell(this.#bench.load, service.name + ALONE, undisturbed)]
  }
}
