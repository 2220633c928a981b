import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDatabase, createRole, dropAll, query, superuserUrl, urlFor } from '../support/database.ts'
import {
  type Answer,
  createStage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'
import { below, seededRandom } from '../support/seeded-random.ts'
import { type ChunkTest, TcpProxy } from '../support/tcp-proxy.ts'
import { withClient } from '../support/tenant-database.ts'
import { expectUnavailable, PLACES, register } from './support.ts'

const UNKNOWN = 'OUTCOME_UNKNOWN'
const UNAVAILABLE = 'TENANT_DATABASE_UNAVAILABLE'
const WORKERS = 8
const WRITES = 300
const SEED = 20

interface Home {
  readonly tenant: TestTenant
  /** A proxy between the gateway and the tenant's rows. */
  readonly proxy: TcpProxy
  readonly databaseUrl: string
}

let gateway: TestGateway
let catalogProxy: TcpProxy
const homes = new Map<string, Home>()
const homeOf = (name: string) => homes.get(name) as Home

const proxyFor = (url: string) => TcpProxy.start({ port: Number(new URL(url).port) })
const databaseOf = (url: string) => superuserUrl(new URL(url).pathname.slice(1))

beforeAll(async () => {
  const stage = await createStage()
  const sharedProxy = await proxyFor(stage.sharedUrl)
  catalogProxy = await proxyFor(stage.catalogUrl)
  const behind = {
    ...stage,
    catalogUrl: catalogProxy.urlFor(stage.catalogUrl),
    sharedUrl: sharedProxy.urlFor(stage.sharedUrl),
  }
  // No health rounds: every connection that is cut here serves a request.
  gateway = await startGateway(behind, { HEALTH_CHECK_CRON: '0 0 1 1 *' })
  homes.set('shared', {
    tenant: await gateway.createTenant(),
    proxy: sharedProxy,
    databaseUrl: databaseOf(stage.sharedUrl),
  })
  homes.set('own', await ownHome())
})
afterAll(async () => {
  await gateway?.close()
  for (const proxy of [catalogProxy, ...[...homes.values()].map((home) => home.proxy)]) await proxy?.close()
  await dropAll()
})

async function ownHome(): Promise<Home> {
  const [tenant, role] = [await gateway.createTenant(), await createRole()]
  const url = urlFor({ role, database: await createDatabase({ owner: role.name }) })
  const proxy = await proxyFor(url)
  await register({ caller: gateway, tenantId: tenant.id, url: proxy.urlFor(url) })
  return { tenant, proxy, databaseUrl: databaseOf(url) }
}

const isCommit: ChunkTest = (chunk) => chunk.includes('COMMIT\0')
const carries =
  (text: string): ChunkTest =>
  (chunk) =>
    chunk.includes(text)

/** Adds a place whose name is its key, if it has one. */
function post({ tenant }: Home, name: string, key?: string): Promise<Answer> {
  const headers = key === undefined ? {} : { 'idempotency-key': key }
  return gateway.call('POST', PLACES, { token: tenant.token, headers, body: { name } })
}

async function idsOf({ tenant, databaseUrl }: Home, name: string): Promise<string[]> {
  const text = 'SELECT id FROM places WHERE tenant_id = $1 AND name = $2'
  return (await query<{ id: string }>(databaseUrl, text, [tenant.id, name])).map(({ id }) => id)
}

const replayedOf = ({ headers }: Answer) => headers.get('idempotency-replayed')

describe.each(['shared', 'own'])('a POST whose connection is lost, in the %s database', (name) => {
  test('after it was done and before the answer: the row exists once, and no answer says otherwise', async () => {
    const [home, place] = [homeOf(name), randomUUID()]
    const cut = home.proxy.cutAfter(carries(place))
    expectUnavailable(await post(home, place), UNKNOWN)
    await cut
    expect(await idsOf(home, place)).toHaveLength(1)
  })

  test('before it reached the server: the outcome is unknown, and it is not done a second time', async () => {
    const [home, place] = [homeOf(name), randomUUID()]
    const cut = home.proxy.cutBefore(carries(place))
    expectUnavailable(await post(home, place), UNKNOWN)
    await cut
    expect(await idsOf(home, place)).toEqual([])
  })

  test('after its COMMIT: a repetition with its key gets the answer of the one execution', async () => {
    const [home, key] = [homeOf(name), randomUUID()]
    const cut = home.proxy.cutAfter(isCommit)
    expectUnavailable(await post(home, key, key), UNKNOWN)
    await cut
    const [id] = await idsOf(home, key)
    const again = await post(home, key, key)
    expect([again.status, again.body.id, replayedOf(again)]).toEqual([201, id, 'true'])
    expect(await idsOf(home, key)).toEqual([id])
  })

  test('before its COMMIT reached the server: its key is free, and a repetition is done', async () => {
    const [home, key] = [homeOf(name), randomUUID()]
    const cut = home.proxy.cutBefore(isCommit)
    expectUnavailable(await post(home, key, key), UNKNOWN)
    await cut
    expect(await idsOf(home, key)).toEqual([])
    const again = await post(home, key, key)
    expect([again.status, replayedOf(again)]).toEqual([201, null])
    expect(await idsOf(home, key)).toEqual([again.body.id])
  })

  test('within its transaction: the answer says that it was not done', async () => {
    const [home, key] = [homeOf(name), randomUUID()]
    const answer = await withClient(home.databaseUrl, async (client) => {
      await client.query('BEGIN; LOCK TABLE public.places IN SHARE MODE')
      const pending = post(home, key, key)
      const kill = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'insert into "places"%'`
      await expect.poll(async () => (await query(home.databaseUrl, kill)).length).toBe(1)
      return pending
    })
    expectUnavailable(answer, UNAVAILABLE)
    expect(await idsOf(home, key)).toEqual([])
    expect((await post(home, key, key)).status).toBe(201)
  })
})

describe('a connection that arrives in small pieces', () => {
  const [place, bytes] = [randomUUID(), randomBytes(600_000)]

  test('serves reads, writes and files', async () => {
    const home = homeOf('own')
    const { token } = home.tenant
    await home.proxy.setMode({ sliceBytes: 97 })
    try {
      const { status, body } = await post(home, place, place)
      expect([status, body.name]).toEqual([201, place])
      const found = await gateway.call('GET', `${PLACES}/${body.id}`, { token })
      expect([found.status, found.body.name]).toEqual([200, place])
      expect((await gateway.call('DELETE', `${PLACES}/${body.id}`, { token })).status).toBe(204)
      expect(await upAndDown(token)).toBe(createHash('sha256').update(bytes).digest('hex'))
    } finally {
      await home.proxy.setMode('pass')
    }
  })

  /** The digest of the returned bytes. */
  async function upAndDown(token: string): Promise<string> {
    const headers = { authorization: `Bearer ${token}` }
    const form = new FormData()
    form.set('file', new Blob([bytes]), 'scan.bin')
    const sent = await fetch(`${gateway.url}/api/v1/media`, { method: 'POST', headers, body: form })
    expect(sent.status).toBe(201)
    const { id } = (await sent.json()) as { id: string }
    const content = await fetch(`${gateway.url}/api/v1/media/${id}/content`, { headers })
    return createHash('sha256')
      .update(Buffer.from(await content.arrayBuffer()))
      .digest('hex')
  }
})

describe('a history of writes with keys, each repeated until it is answered, while connections are cut', () => {
  const answers = new Map<string, { id: string; replayed: boolean }>()
  const refusals: Answer[] = []
  let cuts = 0
  let isOver = false

  beforeAll(async () => {
    const home = homeOf('own')
    const cutting = keepCutting(home.proxy)
    const keys = Array.from({ length: WRITES }, (_, n) => `history ${n}`)
    await Promise.all(Array.from({ length: WORKERS }, () => workOff(home, keys)))
    isOver = true
    await cutting
  })

  async function workOff(home: Home, keys: string[]): Promise<void> {
    for (let key = keys.pop(); key !== undefined; key = keys.pop()) {
      for (let answer = await post(home, key, key); ; answer = await post(home, key, key)) {
        if (answer.status === 201) {
          answers.set(key, { id: answer.body.id as string, replayed: replayedOf(answer) === 'true' })
          break
        }
        refusals.push(answer)
        await sleep(25)
      }
    }
  }

  /**
   * Cuts at COMMIT or at any statement, before or after it. Never while connecting: that would open the breaker, which takes
   * time.
   */
  async function keepCutting(proxy: TcpProxy): Promise<void> {
    const random = seededRandom(SEED)
    while (!isOver) {
      await sleep(random() * 15)
      const [isLast, isAfter] = [random() < 0.4, random() < 0.6]
      let skipped = below(random, 8)
      // The first byte distinguishes messages with statements from those that open a connection.
      const isStatement: ChunkTest = (chunk) => 'PBQ'.includes(String.fromCharCode(chunk[0] ?? 0))
      const matches: ChunkTest = isLast ? isCommit : (chunk) => isStatement(chunk) && skipped-- <= 0
      const cut = isAfter ? proxy.cutAfter(matches) : proxy.cutBefore(matches)
      await Promise.race([cut, sleep(500)])
      cuts += 1
    }
    proxy.cancelCut()
  }

  test('contains the outcomes that it should test', () => {
    expect(cuts).toBeGreaterThan(15)
    expect(refusals.filter(({ body }) => body.code === UNKNOWN).length).toBeGreaterThan(3)
    expect([...answers.values()].some(({ replayed }) => replayed)).toBe(true)
  })

  test('has only refusals that are temporary', () => {
    const codes = new Set(refusals.map(({ status, body }) => `${status} ${body.code}`))
    const passing = [`503 ${UNKNOWN}`, `503 ${UNAVAILABLE}`, '503 NO_CONNECTION_AVAILABLE']
    expect([...codes].filter((code) => !passing.includes(code))).toEqual([])
  })

  test('has one row for each key, the one that its caller was told of', async () => {
    const { tenant, databaseUrl } = homeOf('own')
    const text = "SELECT name, id FROM places WHERE tenant_id = $1 AND name LIKE 'history %'"
    const rows = await query<{ name: string; id: string }>(databaseUrl, text, [tenant.id])
    const told = [...answers].map(([name, { id }]) => `${name} ${id}`)
    expect(rows.map(({ name, id }) => `${name} ${id}`).toSorted()).toEqual(told.toSorted())
    expect(told).toHaveLength(WRITES)
  })
})

describe('POST /tenants', () => {
  const newTenant = (code: string) => {
    const admin = { email: `admin@${code}.example`, password: 'correct horse battery staple' }
    return { admin, make: () => gateway.operator('POST', '/tenants', { code, name: code, admin }) }
  }
  const codeOf = () => `t-${randomBytes(6).toString('hex')}`
  const countOf = async (code: string) =>
    (await gateway.operator('GET', `/tenants?q=${code}`)).body.data.length as number

  test('whose COMMIT was not answered: the outcome is unknown, and the tenant exists with its residence', async () => {
    const code = codeOf()
    const { make, admin } = newTenant(code)
    const cut = catalogProxy.cutAfter(isCommit)
    expectUnavailable(await make(), UNKNOWN)
    await cut
    expect(await countOf(code)).toBe(1)
    expect(await gateway.login(code, admin)).toEqual(expect.any(String))
    expect(await make()).toMatchObject({ status: 409, body: { code: 'TENANT_CODE_TAKEN' } })
  })

  test('whose COMMIT did not arrive: the outcome is unknown, and it can be sent again', async () => {
    const code = codeOf()
    const { make, admin } = newTenant(code)
    const cut = catalogProxy.cutBefore(isCommit)
    expectUnavailable(await make(), UNKNOWN)
    await cut
    expect(await countOf(code)).toBe(0)
    expect((await make()).status).toBe(201)
    expect(await gateway.login(code, admin)).toEqual(expect.any(String))
  })

  test('whose administrator may exist already: the answer says that the tenant was not created', async () => {
    const code = codeOf()
    const { make } = newTenant(code)
    const cut = homeOf('shared').proxy.cutAfter(isCommit)
    expectUnavailable(await make(), UNAVAILABLE)
    await cut
    expect(await countOf(code)).toBe(0)
    expect((await make()).status).toBe(201)
  })
})

test('a changed user stays changed, even if other replicas could not be told', async () => {
  const { token } = homeOf('own').tenant
  const email = `${randomUUID()}@example.org`
  const cut = catalogProxy.cutAfter(isCommit)
  const user = { email, password: 'correct horse battery staple' }
  const answer = await gateway.call('POST', '/api/v1/users', { token, body: user })
  expectUnavailable(answer, 'CATALOG_UNAVAILABLE')
  await cut
  expect(answer.body.detail).toMatch(/^The change was made/)
  expect((await gateway.call('POST', '/api/v1/users', { token, body: user })).body.code).toBe('CONFLICT')
})
