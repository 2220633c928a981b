import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eachPlacement, type TestGateway, testGateway } from '../../src/testing/index.ts'
import { property } from '../support/application.ts'
import { query, superuserUrl } from '../support/database.ts'
import { quickStart } from '../support/gateway-process.ts'
import { bookings } from './bookings/application.ts'
import { rooms } from './bookings/tables.ts'

const databaseUrl = superuserUrl()
const PLACES = '/api/v1/places'
let t: TestGateway

beforeAll(async () => {
  t = await testGateway(property, { databaseUrl })
})
afterAll(() => t?.close())

test('a tenant lives in the requested database, and its requests are answered', async () => {
  await eachPlacement(async (placement) => {
    const tenant = await t.tenant({ placement })
    const owner = tenant.as(['properties:read', 'properties:write'])
    const made = await owner.inject({ method: 'POST', url: PLACES, payload: { name: `In ${placement}` } })
    expect([made.statusCode, made.json().name]).toEqual([201, `In ${placement}`])
    const listed = await tenant.as('properties:read').inject({ method: 'GET', url: PLACES })
    expect(listed.json().data.map(({ name }: { name: string }) => name)).toEqual([`In ${placement}`])
    const told = await t.operator.inject({ method: 'GET', url: `/api/v1/tenants/${tenant.id}` })
    expect(told.json()).toMatchObject({ code: tenant.code, placement })
  })
})

test('a caller has the requested permissions and no others', async () => {
  const tenant = await t.tenant({ code: 'few-permissions' })
  const reader = tenant.as(['properties:read'])
  const refused = await reader.inject({ method: 'POST', url: PLACES, payload: { name: 'No' } })
  expect([refused.statusCode, refused.json().code]).toEqual([403, 'PERMISSION_DENIED'])
})

test('work without a request reaches the rows of the tenant, in any application', async () => {
  const other = await testGateway(bookings, { databaseUrl })
  try {
    await eachPlacement(async (placement) => {
      const [mine, theirs] = [await other.tenant({ placement }), await other.tenant()]
      await mine.run(({ db }) => db.insert(rooms).values({ name: 'Blue' }))
      expect(await mine.run(({ db }) => db.select().from(rooms))).toMatchObject([{ name: 'Blue' }])
      expect(await theirs.run(({ db }) => db.select().from(rooms))).toEqual([])
    })
  } finally {
    await other.close()
  }
})

test('the serving role owns nothing in the shared database', async () => {
  const [{ user } = { user: '' }] = await query<{ user: string }>(
    t.databases.sharedUrl,
    'SELECT current_user AS user',
  )
  const [{ owned } = { owned: -1 }] = await query<{ owned: number }>(
    t.databases.sharedUrl,
    'SELECT count(*)::int AS owned FROM pg_class WHERE relowner = $1::regrole',
    [user],
  )
  expect(owned).toBe(0)
})

test('the port is open, for clients that need a socket', async () => {
  const answer = await fetch(`${t.url}/api/v1/places`)
  expect(answer.status).toBe(401)
})

test('a second gateway has its own databases', async () => {
  const other = await testGateway(property, { databaseUrl })
  try {
    await other.tenant({ code: 'few-permissions' })
    const found = await other.operator.inject({ method: 'GET', url: '/api/v1/tenants' })
    expect(found.json().data).toHaveLength(1)
  } finally {
    await other.close()
  }
})

test('settings can be passed', async () => {
  const limited = await testGateway(property, { databaseUrl, env: { RATE_LIMIT_PER_MINUTE: '2' } })
  try {
    const tenant = await limited.tenant()
    const ask = () => tenant.as('properties:read').inject({ method: 'GET', url: PLACES })
    expect([await ask(), await ask(), await ask()].map(({ statusCode }) => statusCode)).toEqual([
      200, 200, 429,
    ])
  } finally {
    await limited.close()
  }
})

describe('after it is closed', () => {
  test('its databases and roles are gone', async () => {
    const closed = await testGateway(property, { databaseUrl })
    const { databaseUrl: dedicatedUrl } = await closed.tenant({ placement: 'dedicated' })
    const { catalogUrl, sharedUrl } = closed.databases
    const databases = [catalogUrl, sharedUrl, dedicatedUrl].map((url) => new URL(url).pathname.slice(1))
    const present = () => query(databaseUrl, 'SELECT FROM pg_database WHERE datname = ANY($1)', [databases])
    expect(await present()).toHaveLength(3)
    await closed.close()
    expect(await present()).toEqual([])
    const role = new URL(dedicatedUrl).username
    expect(await query(databaseUrl, 'SELECT FROM pg_roles WHERE rolname = $1', [role])).toEqual([])
    // A second close does nothing.
    await closed.close()
  })

  // Node's own test runner and an embedded server, so that neither the runner nor the server of this suite is involved.
  test('nothing keeps the process running, also with an embedded server', async () => {
    const script = `
      import { testGateway } from '${new URL('../../src/testing/index.ts', import.meta.url)}'
      import { property } from '${new URL('../../src/applications/property/application.ts', import.meta.url)}'
      const [t, other] = await Promise.all([testGateway(property), testGateway(property)])
      const tenant = await t.tenant({ placement: 'dedicated' })
      const answer = await tenant.as('properties:read').inject({ method: 'GET', url: '/api/v1/places' })
      console.log(answer.statusCode, other.url !== t.url)
      await Promise.all([t.close(), other.close()])
    `
    const { PATH = '', HOME = '/' } = process.env
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--input-type=module', '--eval', script],
      { env: { PATH, HOME, ...quickStart }, timeout: 60_000 },
    )
    expect(stdout).toBe('200 true\n')
  })
})
