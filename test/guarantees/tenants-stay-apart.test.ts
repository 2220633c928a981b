import { randomInt, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDatabase, createRole, dropAll, query, superuserUrl, urlFor } from '../support/database.ts'
import {
  type Answer,
  createStage,
  type Stage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'
import { below, type Random, seededRandom } from '../support/seeded-random.ts'

// A few connections serve tenants of both placements, so nearly every request follows one of another tenant on its connection.
// The requests are random; FREEHOLD_TEST_SEED repeats a run.

const seed = Number(process.env.FREEHOLD_TEST_SEED ?? randomInt(2 ** 31))
const SHARED_TENANTS = 8
const OWN_DATABASES = 4
const WORKERS = 24
const STEPS_EACH = 60
const FEW_CONNECTIONS = { MAX_CONNECTIONS: '6', MAX_CONNECTIONS_PER_SERVER: '4', ACQUIRE_TIMEOUT_MS: '30000' }

/** A tenant, and the rows that it should have. */
interface Resident {
  readonly tenant: TestTenant
  readonly database: string
  readonly credentials: readonly Record<string, string>[]
  /** Rows that no running request changes. */
  readonly rows: Map<string, string>
  /** Ids of the rows that it has deleted. */
  readonly gone: Set<string>
  /** Every name that it has written, also in aborted requests. */
  readonly names: Set<string>
}

interface Row {
  readonly id: string
  readonly name: string
}

interface Page {
  readonly data: readonly Row[]
  readonly nextCursor: string | null
}

let stage: Stage
let gateway: TestGateway
const residents: Resident[] = []
const done = new Map<string, number>()

beforeAll(async () => {
  stage = await createStage()
  gateway = await startGateway(stage, FEW_CONNECTIONS)
  const shared = new URL(stage.sharedUrl).pathname.slice(1)
  const tenants = await Promise.all(
    Array.from({ length: SHARED_TENANTS + OWN_DATABASES }, () => gateway.createTenant()),
  )
  for (const [i, tenant] of tenants.entries()) {
    const database = i < SHARED_TENANTS ? shared : await giveDatabase(tenant)
    residents.push(await settle(tenant, database))
  }
  const random = seededRandom(seed)
  await Promise.all(Array.from({ length: WORKERS }, () => work(random)))
})
afterAll(async () => {
  await gateway?.close()
  await dropAll()
})

async function giveDatabase(tenant: TestTenant): Promise<string> {
  const role = await createRole()
  const database = await createDatabase({ owner: role.name })
  const url = urlFor({ role, database })
  const { placement } = await gateway.registerDatabase(tenant.id, url, { poolSize: 2 })
  expect(placement).toBe('dedicated')
  return database
}

async function settle(tenant: TestTenant, database: string): Promise<Resident> {
  const permissions = ['properties:read', 'properties:write']
  const { body } = await gateway.operator('POST', `/tenants/${tenant.id}/client-keys`, {
    ...{ name: 'mixed', permissions },
  })
  const credentials = [
    { authorization: `Bearer ${tenant.token}` },
    { 'x-client-key': body.key as string, 'x-tenant-code': tenant.code },
  ]
  return { tenant, database, credentials, rows: new Map(), gone: new Set(), names: new Set() }
}

async function work(random: Random): Promise<void> {
  const names = Object.keys(DEEDS)
  for (let step = 0; step < STEPS_EACH; step++) {
    const me = pick(residents, random)
    const name = names[below(random, names.length)] ?? ''
    const headers = pick(me.credentials, random)
    const send: Send = (method, path, body) =>
      gateway.call(method, `/api/v1${path}`, { headers, ...(body !== undefined && { body }) })
    await DEEDS[name]?.({ me, random, send, headers })
    done.set(name, (done.get(name) ?? 0) + 1)
  }
}

// biome-ignore lint/suspicious/noExplicitAny: tests look into whatever comes back
type Send = (method: string, path: string, body?: unknown) => Promise<Answer<any>>

interface Turn {
  readonly me: Resident
  readonly random: Random
  readonly send: Send
  readonly headers: Record<string, string>
}

/** The requests of a tenant, each with its expected result. Any error here fails the whole run. */
const DEEDS: Record<string, (turn: Turn) => Promise<void>> = {
  async create({ me, send }) {
    const { status, body, text } = await send('POST', '/places', { name: newName(me) })
    expect(status, text).toBe(201)
    me.rows.set(body.id, body.name)
  },

  async list({ me, random, send }) {
    const order = pick(['createdAt', '-createdAt', 'name', '-name'], random)
    const { status, body, text } = await send('GET', `/places?limit=${1 + below(random, 200)}&sort=${order}`)
    expect(status, text).toBe(200)
    for (const row of body.data as Row[]) assertOwn(me, row)
    if (body.nextCursor === null) return
    const next = await send('GET', `/places?sort=${order}&cursor=${body.nextCursor}`)
    for (const row of next.body.data as Row[]) assertOwn(me, row)
    await refuseForeignCursor(me, { random, order, cursor: body.nextCursor })
  },

  async read({ me, random, send }) {
    const taken = takeRow(me, random)
    if (taken === null) return
    const { status, body, text } = await send('GET', `/places/${taken.id}`)
    expect([status, body.name], text).toEqual([200, taken.name])
    me.rows.set(taken.id, taken.name)
  },

  async change({ me, random, send }) {
    const taken = takeRow(me, random)
    if (taken === null) return
    const name = newName(me)
    const { status, body, text } = await send('PATCH', `/places/${taken.id}`, { name })
    expect([status, body.name], text).toEqual([200, name])
    me.rows.set(taken.id, name)
  },

  async remove({ me, random, send }) {
    const taken = takeRow(me, random)
    if (taken === null) return
    expect((await send('DELETE', `/places/${taken.id}`)).status).toBe(204)
    expect((await send('GET', `/places/${taken.id}`)).status).toBe(404)
    me.gone.add(taken.id)
  },

  async trespass({ me, random, send }) {
    const other = stranger(me, random)
    const [id] = pick([...other.rows], random) ?? []
    if (id === undefined) return
    const estate = { placeId: id, name: newName(me) }
    const answers = [
      await send('GET', `/places/${id}`),
      await send('PATCH', `/places/${id}`, { name: newName(me) }),
      await send('DELETE', `/places/${id}`),
      await send('POST', '/estates', estate),
    ]
    expect(answers.map(({ status }) => status)).toEqual([404, 404, 404, 404])
  },

  async 'claim to be another'({ me, random, headers }) {
    const { tenant } = stranger(me, random)
    const path = '/api/v1/places'
    const named = { ...headers, 'x-tenant-code': tenant.code }
    expect((await gateway.call('GET', path, { headers: named })).status).toBe(403)
    const acting = { ...headers, 'x-account-id': tenant.id }
    expect((await gateway.call('GET', path, { headers: acting })).status).toBe(403)
  },

  // An error inside the unit. Afterwards the connection serves others.
  async fail({ me, send }) {
    const estate = { placeId: randomUUID(), name: newName(me) }
    expect((await send('POST', '/estates', estate)).body.code).toBe('REFERENCE_NOT_FOUND')
  },

  // The caller disconnects while the statement may have been sent, so a row may or may not exist afterwards.
  async 'give up'({ me, random, headers }) {
    const url = `${gateway.url}/api/v1/places`
    const body = JSON.stringify({ name: newName(me) })
    const sent = { method: 'POST', headers: { ...headers, 'content-type': 'application/json' }, body }
    const signal = AbortSignal.timeout(1 + below(random, 8))
    const text = await fetch(url, { ...sent, signal }).then(
      (response) => response.text(),
      () => '',
    )
    if (text !== '') assertOwn(me, JSON.parse(text))
  },
}

async function refuseForeignCursor(
  me: Resident,
  { random, order, cursor }: { random: Random; order: string; cursor: string },
): Promise<void> {
  const headers = pick(stranger(me, random).credentials, random)
  const path = `/api/v1/places?sort=${order}&cursor=${cursor}`
  expect((await gateway.call('GET', path, { headers })).body.code).toBe('INVALID_CURSOR')
}

function pick<T>(items: readonly T[], random: Random): T {
  return items[below(random, items.length)] as T
}

function stranger(me: Resident, random: Random): Resident {
  return pick(
    residents.filter((other) => other !== me),
    random,
  )
}

/** A new name that shows whose row it is. */
function newName(me: Resident): string {
  const name = `${me.tenant.id} ${randomUUID()}`
  me.names.add(name)
  return name
}

/** Removes a row from the model while a request works on it. */
function takeRow(me: Resident, random: Random): Row | null {
  const [id, name] = pick([...me.rows], random) ?? []
  if (id === undefined || name === undefined) return null
  me.rows.delete(id)
  return { id, name }
}

function assertOwn(me: Resident, { id, name }: Row): void {
  if (!me.names.has(name)) throw new Error(`${me.tenant.id} was shown ${id} (${name}), seed ${seed}`)
}

describe(`after ${WORKERS * STEPS_EACH} requests by lot (FREEHOLD_TEST_SEED=${seed})`, () => {
  test('every kind of request was tried', () => {
    expect([...done.keys()].sort()).toEqual(Object.keys(DEEDS).sort())
  })

  test('no more connections were open than allowed', async () => {
    const { text } = await gateway.call('GET', '/metrics')
    const open = Number(/^freehold_connections_open (\d+)$/m.exec(text)?.[1])
    expect(open).toBeGreaterThan(0)
    expect(open).toBeLessThanOrEqual(4)
  })

  test('each tenant still sees all its own rows and no others', async () => {
    for (const me of residents) {
      const [headers] = me.credentials
      const seen = new Map<string, string>()
      let after: string | null = ''
      while (after !== null) {
        const path: string = `/api/v1/places?limit=200${after}`
        const { body } = await gateway.call<Page>('GET', path, { headers: headers ?? {} })
        for (const row of body.data) seen.set(row.id, row.name)
        after = body.nextCursor === null ? null : `&cursor=${body.nextCursor}`
      }
      assertRowsOf(me, seen)
    }
  })

  // As a superuser, to whom no policy applies.
  test('each database holds only the rows of its own tenants, under their ids', async () => {
    const databases = new Set(residents.map(({ database }) => database))
    expect(databases.size).toBe(1 + OWN_DATABASES)
    for (const database of databases) {
      const rows = await query<Row & { tenantId: string }>(
        superuserUrl(database),
        'SELECT tenant_id AS "tenantId", id, name FROM places',
      )
      const here = residents.filter((resident) => resident.database === database)
      const owners = new Set(here.map(({ tenant }) => tenant.id))
      expect(rows.filter(({ tenantId }) => !owners.has(tenantId))).toEqual([])
      for (const me of here) {
        const own = rows.filter(({ tenantId }) => tenantId === me.tenant.id)
        assertRowsOf(me, new Map(own.map(({ id, name }) => [id, name])))
      }
    }
  })

  test('no row refers to a row of another tenant', async () => {
    for (const { database } of residents) {
      expect(await query(superuserUrl(database), 'SELECT FROM estates')).toEqual([])
    }
  })
})

/** The existing rows must be those of the model, plus at most those of aborted requests. */
function assertRowsOf(me: Resident, found: ReadonlyMap<string, string>): void {
  for (const [id, name] of found) assertOwn(me, { id, name })
  expect(
    [...me.gone].filter((id) => found.has(id)),
    `seed ${seed}`,
  ).toEqual([])
  for (const [id, name] of me.rows) expect(found.get(id), `seed ${seed}`).toBe(name)
}
