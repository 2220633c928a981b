import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { places } from '../../src/applications/property/properties/places.ts'
import { PublicError } from '../../src/errors.ts'
import { dropAll, query, superuserUrl } from '../support/database.ts'
import { findPlace, type LaneTenant, LaneWorld, listPlaces } from '../support/lane-world.ts'

// Units of many tenants share lanes while the server's backends are killed. `LANE_ANSWERS` says how many answers of lanes are checked;
// `npm run test:lanes:long` checks ten million.

const ANSWERS = Number(process.env.LANE_ANSWERS ?? 4_000)
/** After the end of a lane, a pause follows in which other connections answer. Ends the test if lanes answer nothing. */
const MAX_CHECKED = 20 * ANSWERS
/** A machine that is busy with other tests opens few lanes a second, so backends are killed after a number of answers. */
const ANSWERS_BETWEEN = 1_000
const PAUSE_MS = ANSWERS > 100_000 ? 1_000 : 10
const TENANTS = 12
const READERS = 48
const REPORT_EVERY = 100_000
const HARMLESS = new Set(['TENANT_DATABASE_UNAVAILABLE', 'NO_CONNECTION_AVAILABLE'])

let world: LaneWorld
let checked = 0
let killed = 0
const wrong: string[] = []
const failures = new Map<string, number>()

beforeAll(
  async () => {
    world = await LaneWorld.open({ tenants: TENANTS })
    const readers = Promise.all(Array.from({ length: READERS }, (_, reader) => read(reader)))
    let isDone = false
    void readers.finally(() => {
      isDone = true
    })
    for (let killedAt = 0; !isDone; ) {
      await Promise.race([sleep(PAUSE_MS), readers])
      const { answered } = world.lanes.stats
      if (answered - killedAt < ANSWERS_BETWEEN) continue
      killedAt = answered
      killed += await kill()
    }
    await readers
  },
  6 * 60 * 60_000,
)
afterAll(async () => {
  await world?.pools.close()
  await dropAll()
})

/** Kills all backends at the same moment. `terminateBackends` would wait for the end of each before it kills the next. */
async function kill(): Promise<number> {
  const killing = 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1'
  return (await query(superuserUrl(), killing, [world.database])).length
}

/** Reads as one tenant after another, so that units of all tenants alternate on each lane. */
async function read(reader: number): Promise<void> {
  for (let n = reader; world.lanes.stats.answered < ANSWERS && checked < MAX_CHECKED; n += 1) {
    const tenant = world.tenants[n % TENANTS] as LaneTenant
    const other = world.tenants[(n + 1) % TENANTS] as LaneTenant
    try {
      await check(tenant, other, n)
      checked += 1
      if (checked % REPORT_EVERY === 0) console.info(report())
    } catch (error) {
      const code = error instanceof PublicError ? error.code : String(error)
      failures.set(code, (failures.get(code) ?? 0) + 1)
    }
  }
}

async function check(tenant: LaneTenant, other: LaneTenant, n: number): Promise<void> {
  const kind = n % 5
  if (kind === 0) {
    const names = await listPlaces(tenant)
    const isOwn = names.length === tenant.places.length && names.every((name) => isNameOf(tenant, name))
    if (!isOwn) wrong.push(`a list of ${tenant.id}: ${JSON.stringify(names)}`)
  } else if (kind === 1) {
    const found = await places
      .find({ id: tenant.id, db: tenant.session.db }, other.places[0] ?? '')
      .catch((error: unknown) => {
        if (error instanceof PublicError && error.code === 'NOT_FOUND') return null
        throw error
      })
    if (found !== null) wrong.push(`${tenant.id} sees a row of ${other.id}`)
  } else {
    const name = await findPlace(tenant, n)
    if (!isNameOf(tenant, name)) wrong.push(`a row of ${tenant.id}: ${String(name)}`)
  }
}

function isNameOf({ id }: LaneTenant, name: unknown): boolean {
  return typeof name === 'string' && name.startsWith(`${id} `)
}

function report(): string {
  const { answered } = world.lanes.stats
  const reruns = JSON.stringify(Object.fromEntries(world.reruns))
  const failed = JSON.stringify(Object.fromEntries(failures))
  return `${checked} answers checked, ${answered} by lanes, ${killed} backends killed, wrong ${wrong.length}, reruns ${reruns}, failures ${failed}`
}

test('every answer belongs to the tenant that asked, while backends are killed', () => {
  console.info(report())
  expect(wrong).toEqual([])
  expect(killed).toBeGreaterThan(0)
})

test('lanes answered reads all the time, and lost some', () => {
  expect(world.lanes.stats.answered).toBeGreaterThanOrEqual(ANSWERS)
  expect(world.rerunsFor('lost')).toBeGreaterThan(0)
})

test('a failure says that the database was not reached, and there are few', () => {
  expect([...failures.keys()].filter((code) => !HARMLESS.has(code))).toEqual([])
  const failed = [...failures.values()].reduce((sum, count) => sum + count, 0)
  expect(failed).toBeLessThanOrEqual(killed)
})

test('no unit is left behind', () => {
  expect(world.lanes.stats).toMatchObject({ inFlight: 0, waiting: 0 })
})
