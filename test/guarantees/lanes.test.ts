import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { RESOURCES } from '../../src/applications/property/resources.ts'
import type { Resource } from '../../src/collections/define-resource.ts'
import { createDatabase, createRole, dropAll, superuserUrl, urlFor } from '../support/database.ts'
import { createStage, startGateway, type TestGateway, type TestTenant } from '../support/gateway.ts'
import { laneNumbers, ridesLane } from '../support/lanes.ts'
import { manyRows } from '../support/many-rows.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { withClient } from '../support/tenant-database.ts'

// Two gateways serve the same tenants, one with lanes and one without. Their answers must be the same, byte for byte.

const API = '/api/v1'
const NO_ROUNDS = { HEALTH_CHECK_CRON: '0 0 0 1 1 *', ACQUIRE_TIMEOUT_MS: '15000' }
const ROWS = 45
/** What JSON, UTF-8 and the texts of PostgreSQL write in a way of their own. */
const STRANGE = `'"\\{}[],: é 漢字 😀 ' || chr(1) || chr(10) || chr(8232) || ' null'`

let proxy: TcpProxy
let laned: TestGateway
let plain: TestGateway
const tenants = {} as Record<'shared' | 'dedicated', TestTenant>

beforeAll(async () => {
  const stage = await createStage()
  proxy = await TcpProxy.start({ port: Number(new URL(stage.sharedUrl).port) })
  // One lane to each database.
  const few = { MAX_CONNECTIONS_PER_SERVER: '5', MAX_CONNECTIONS: '20' }
  laned = await startGateway(
    { ...stage, sharedUrl: proxy.urlFor(stage.sharedUrl) },
    { ...NO_ROUNDS, ...few, LANES: 'auto' },
  )
  plain = await startGateway(stage, { ...NO_ROUNDS, LANES: '0' })
  tenants.shared = await plain.createTenant()
  tenants.dedicated = await plain.createTenant()
  const [role, shared] = [await createRole(), new URL(stage.sharedUrl).pathname.slice(1)]
  const own = await createDatabase({ owner: role.name })
  const { placement } = await plain.registerDatabase(tenants.dedicated.id, urlFor({ role, database: own }))
  expect(placement).toBe('dedicated')
  await fill(shared, tenants.shared)
  await fill(own, tenants.dedicated)
})
afterAll(async () => {
  await Promise.all([laned?.close(), plain?.close()])
  await proxy?.close()
  await dropAll()
})

/** Rows of every collection, and some places whose values are strange. */
function fill(database: string, { id }: TestTenant): Promise<void> {
  return withClient(superuserUrl(database), async (superuser) => {
    await superuser.query('SET session_replication_role = replica')
    for (const resource of RESOURCES) await superuser.query(manyRows(resource), [[id], ROWS])
    await superuser.query(
      `UPDATE places SET name = name || ${STRANGE}, latitude = n.latitude, longitude = n.longitude, address = n.address
         FROM (VALUES (1, 0.1::float8, -1e-7::float8, null::jsonb),
                      (2, '-0', 100::float8 / 7, '{"line1": "\\u0001 ä \\"", "city": null, "other": 9007199254740993}'),
                      (3, null, null, '{}')) AS n (row, latitude, longitude, address)
        WHERE tenant_id = $1 AND name LIKE '% ' || n.row`,
      [id],
    )
  })
}

/** The bytes of an answer and what a caller can tell of it. */
async function ask(gateway: TestGateway, path: string, tenant: TestTenant, headers = {}) {
  const {
    status,
    text,
    headers: heard,
  } = await gateway.call('GET', `${API}/${path}`, {
    ...{ token: tenant.token, headers },
  })
  const body = status < 400 ? text : JSON.parse(text).code
  return { status, body, etag: heard.get('etag'), type: heard.get('content-type') }
}

/** Asks both gateways, whose answers must be equal. */
async function askBoth(path: string, tenant: TestTenant, headers = {}) {
  const [withLanes, without] = await Promise.all([
    ask(laned, path, tenant, headers),
    ask(plain, path, tenant, headers),
  ])
  expect(withLanes, path).toEqual(without)
  return without
}

/** The lists of a collection: each order, each filter alone, and all together. */
function listsOf({ name, schemas }: Resource, row: Record<string, unknown>): string[] {
  const { sort, limit: _, cursor: __, ...filters } = schemas.listQuery.properties as Record<string, object>
  const { enum: orders } = sort as { enum: readonly string[] }
  const values = Object.keys(filters)
    .filter((field) => row[field] !== null && row[field] !== undefined)
    .map((field) => `${field}=${encodeURIComponent(String(row[field]))}`)
  return ['', ...orders.map((order) => `sort=${order}`), ...values, values.join('&')].map(
    (query) => `${name}?limit=20&${query}`,
  )
}

describe.each(['shared', 'dedicated'] as const)('a tenant in a %s database', (placement) => {
  beforeAll(() => ridesLane(laned, () => ask(laned, 'places?limit=1', tenants[placement])))

  test.each(RESOURCES.map((resource) => [resource.name, resource] as const))(
    'reads %s with lanes as without them: lists, pages, rows and entity tags',
    async (name, resource) => {
      const tenant = tenants[placement]
      const before = await laneNumbers(laned)
      const { body } = await askBoth(`${name}?limit=3`, tenant)
      const rows = JSON.parse(body).data as (Record<string, unknown> & { id: string })[]
      expect(rows).toHaveLength(3)
      let asked = 1
      for (const list of listsOf(resource, rows[0] ?? {})) {
        let cursor: string | null = ''
        while (cursor !== null) {
          const page = await askBoth(cursor === '' ? list : `${list}&cursor=${cursor}`, tenant)
          expect(page.status, list).toBe(200)
          cursor = JSON.parse(page.body).nextCursor
          asked += 1
        }
      }
      for (const { id } of rows) {
        const { etag } = await askBoth(`${name}/${id}`, tenant)
        const { status } = await askBoth(`${name}/${id}`, tenant, { 'if-none-match': etag ?? '' })
        expect(status).toBe(304)
        asked += 2
      }
      const after = await laneNumbers(laned)
      // A busy machine exceeds the time limit of a lane now and then.
      expect(after.reads - before.reads).toBeGreaterThan(asked / 2)
      expect(after.reruns.refused).toBe(before.reruns.refused)
      expect(after.reruns.unfit).toBe(before.reruns.unfit)
    },
  )

  test('gets the same errors: a row of another tenant, an id that no row has, a value that no column takes', async () => {
    const tenant = tenants[placement]
    const other = placement === 'shared' ? tenants.dedicated : tenants.shared
    const { body } = await ask(plain, 'places?limit=1', other)
    const { id } = JSON.parse(body).data[0]
    for (const path of [
      `places/${id}`,
      'places/01900000-0000-7000-8000-0000000000ff',
      'places?cursor=AAAA',
    ]) {
      const { status } = await askBoth(path, tenant)
      expect(status).toBeGreaterThanOrEqual(400)
    }
  })
})

test("a tenant's burst leaves room on a lane for another tenant", async () => {
  const busy = tenants.shared
  const other = await plain.createTenant()
  await ridesLane(laned, () => ask(laned, 'places?limit=1', other))
  const { open } = await laneNumbers(laned)
  expect(open).toBeGreaterThan(0)
  await proxy.setMode({ delayMs: 1_500 })
  try {
    const burst = Array.from({ length: 60 }, () => ask(laned, 'places?limit=1', busy))
    await expect.poll(async () => (await laneNumbers(laned)).units).toBe(12)
    const late = ask(laned, 'places?limit=1', other)
    await expect.poll(async () => (await laneNumbers(laned)).units).toBe(13)
    await proxy.setMode('pass')
    expect((await late).status).toBe(200)
    expect(new Set((await Promise.all(burst)).map(({ status }) => status))).toEqual(new Set([200]))
  } finally {
    await proxy.setMode('pass')
  }
})

test('the reads of many tenants share one connection', async () => {
  const others = await Promise.all(Array.from({ length: 6 }, () => plain.createTenant()))
  for (const [n, { token }] of others.entries())
    await plain.call('POST', `${API}/places`, { token, body: { name: `Of ${n}` } })
  const { reads } = await laneNumbers(laned)
  for (let round = 0; round < 10; round += 1) {
    const answers = await Promise.all(others.map((tenant) => ask(laned, 'places', tenant)))
    const names = answers.map(({ body }) => JSON.parse(body).data.map(({ name }: { name: string }) => name))
    expect(names).toEqual(others.map((_, n) => [`Of ${n}`]))
  }
  expect((await laneNumbers(laned)).reads).toBeGreaterThan(reads)
})
