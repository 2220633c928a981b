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

// Tenants of both placements are served by a handful of connections, so that nearly every request comes after one of
// another tenant. What is asked when is drawn by lot; FREEHOLD_TEST_SEED draws the same again.

const seed = Number(process.env.FREEHOLD_TEST_SEED ?? randomInt(2 ** 31))
const SHARED_TENANTS = 8
const OWN_DATABASES = 4
const WORKERS = 24
const STEPS_EACH = 60
const FEW_CONNECTIONS = { MAX_CONNECTIONS: '6', MAX_CONNECTIONS_PER_SERVER: '4', ACQUIRE_TIMEOUT_MS: '30000' }

/** A tenant, and what it should have. */
interface Resident {
  readonly tenant: TestTenant
  readonly database: string
  readonly credentials: readonly Record<string, string>[]
  /** Rows that no request is changing just now. */
  readonly rows: Map<string, string>
  /** Ids of rows that it has deleted. */
  readonly gone: Set<string>
  /** Every name it has ever written, also in requests that were given up. */
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
  const draw = lots(seed)
  await Promise.all(Array.from({ length: WORKERS }, () => work(draw)))
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

type Draw = (below: number) => number

/** Mulberry32: small, and the same on every machine. */
function lots(start: number): Draw {
  let state = start
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

async function work(draw: Draw): Promise<void> {
  const names = Object.keys(DEEDS)
  for (let step = 0; step < STEPS_EACH; step++) {
    const me = pick(residents, draw)
    const name = names[draw(names.length)] ?? ''
    const headers = pick(me.credentials, draw)
    const send: Send = (method, path, body) =>
      gateway.call(method, `/api/v1${path}`, { headers, ...(body !== undefined && { body }) })
    await DEEDS[name]?.({ me, draw, send, headers })
    done.set(name, (done.get(name) ?? 0) + 1)
  }
}

// biome-ignore lint/suspicious/noExplicitAny: tests look into whatever comes back
type Send = (method: string, path: string, body?: unknown) => Promise<Answer<any>>

interface Turn {
  readonly me: Resident
  readonly draw: Draw
  readonly send: Send
  readonly headers: Record<string, string>
}

/** What a tenant does, each with what must come of it. Whatever throws here fails the whole run. */
const DEEDS: Record<string, (turn: Turn) => Promise<void>> = {
  async create({ me, send }) {
    const { status, body, text } = await send('POST', '/places', { name: newName(me) })
    expect(status, text).toBe(201)
    me.rows.set(body.id, body.name)
  },

  async list({ me, draw, send }) {
    const order = pick(['createdAt', '-createdAt', 'name', '-name'], draw)
    const { status, body, text } = await send('GET', `/places?limit=${1 + draw(200)}&sort=${order}`)
    expect(status, text).toBe(200)
    for (const row of body.data as Row[]) assertOwn(me, row)
    if (body.nextCursor === null) return
    const next = await send('GET', `/places?sort=${order}&cursor=${body.nextCursor}`)
    for (const row of next.body.data as Row[]) assertOwn(me, row)
    await refuseForeignCursor(me, { draw, order, cursor: body.nextCursor })
  },

  async read({ me, draw, send }) {
    const taken = takeRow(me, draw)
    if (taken === null) return
    const { status, body, text } = await send('GET', `/places/${taken.id}`)
    expect([status, body.name], text).toEqual([200, taken.name])
    me.rows.set(taken.id, taken.name)
  },

  async change({ me, draw, send }) {
    const taken = takeRow(me, draw)
    if (taken === null) return
    const name = newName(me)
    const { status, body, text } = await send('PATCH', `/places/${taken.id}`, { name })
    expect([status, body.name], text).toEqual([200, name])
    me.rows.set(taken.id, name)
  },

  async remove({ me, draw, send }) {
    const taken = takeRow(me, draw)
    if (taken === null) return
    expect((await send('DELETE', `/places/${taken.id}`)).status).toBe(204)
    expect((await send('GET', `/places/${taken.id}`)).status).toBe(404)
    me.gone.add(taken.id)
  },

  async trespass({ me, draw, send }) {
    const other = stranger(me, draw)
    const [id] = pick([...other.rows], draw) ?? []
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

  async 'claim to be another'({ me, draw, headers }) {
    const { tenant } = stranger(me, draw)
    const path = '/api/v1/places'
    const named = { ...headers, 'x-tenant-code': tenant.code }
    expect((await gateway.call('GET', path, { headers: named })).status).toBe(403)
    const acting = { ...headers, 'x-account-id': tenant.id }
    expect((await gateway.call('GET', path, { headers: acting })).status).toBe(403)
  },

  // An error inside the unit, after which the connection goes on to serve others.
  async fail({ me, send }) {
    const estate = { placeId: randomUUID(), name: newName(me) }
    expect((await send('POST', '/estates', estate)).body.code).toBe('REFERENCE_NOT_FOUND')
  },

  // The caller hangs up while the statement may be on its way: a row may or may not come of it.
  async 'give up'({ me, draw, headers }) {
    const url = `${gateway.url}/api/v1/places`
    const body = JSON.stringify({ name: newName(me) })
    const sent = { method: 'POST', headers: { ...headers, 'content-type': 'application/json' }, body }
    const signal = AbortSignal.timeout(1 + draw(8))
    const text = await fetch(url, { ...sent, signal }).then(
      (response) => response.text(),
      () => '',
    )
    if (text !== '') assertOwn(me, JSON.parse(text))
  },
}

async function refuseForeignCursor(
  me: Resident,
  { draw, order, cursor }: { draw: Draw; order: string; cursor: string },
): Promise<void> {
  const headers = pick(stranger(me, draw).credentials, draw)
  const path = `/api/v1/places?sort=${order}&cursor=${cursor}`
  expect((await gateway.call('GET', path, { headers })).body.code).toBe('INVALID_CURSOR')
}

function pick<T>(items: readonly T[], draw: Draw): T {
  return items[draw(items.length)] as T
}

function stranger(me: Resident, draw: Draw): Resident {
  return pick(
    residents.filter((other) => other !== me),
    draw,
  )
}

/** A name that tells whose it is, and that was not written before. */
function newName(me: Resident): string {
  const name = `${me.tenant.id} ${randomUUID()}`
  me.names.add(name)
  return name
}

/** Takes a row out of the model while a request works on it. */
function takeRow(me: Resident, draw: Draw): Row | null {
  const [id, name] = pick([...me.rows], draw) ?? []
  if (id === undefined || name === undefined) return null
  me.rows.delete(id)
  return { id, name }
}

function assertOwn(me: Resident, { id, name }: Row): void {
  if (!me.names.has(name)) throw new Error(`${me.tenant.id} was shown ${id} (${name}), seed ${seed}`)
}

describe(`after ${WORKERS * STEPS_EACH} requests by lot (FREEHOLD_TEST_SEED=${seed})`, () => {
  test('everything was tried', () => {
    expect([...done.keys()].sort()).toEqual(Object.keys(DEEDS).sort())
  })

  test('the connections were as few as they were allowed to be', async () => {
    const { text } = await gateway.call('GET', '/metrics')
    const open = Number(/^freehold_connections_open (\d+)$/m.exec(text)?.[1])
    expect(open).toBeGreaterThan(0)
    expect(open).toBeLessThanOrEqual(4)
  })

  test('each tenant still sees its own rows, all of them and no others', async () => {
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

  // As a superuser, whom no policy holds back.
  test('each database holds the rows of its own tenants, under their ids', async () => {
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

/** What is there must be what the tenant knows of, and besides at most what it gave up on. */
function assertRowsOf(me: Resident, found: ReadonlyMap<string, string>): void {
  for (const [id, name] of found) assertOwn(me, { id, name })
  expect(
    [...me.gone].filter((id) => found.has(id)),
    `seed ${seed}`,
  ).toEqual([])
  for (const [id, name] of me.rows) expect(found.get(id), `seed ${seed}`).toBe(name)
}
