import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { newId } from '../../src/lib/ids.ts'
import { createDatabase, createRole, dropAll, query, superuserUrl, urlFor } from '../support/database.ts'
import {
  type Answer,
  createStage,
  type Stage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'
import { Wiretap } from '../support/wiretap.ts'

const HERD = 500
const POOL_SIZE = 5
const TENANTS = 10_000
const STARTS = 3

/** No health rounds: their connections and reads must not be counted here. */
const CALM = { HEALTH_CHECK_CRON: '0 0 0 1 1 *', ACQUIRE_TIMEOUT_MS: '30000' }

interface Listed {
  readonly data?: readonly { readonly name: string }[]
}

afterAll(dropAll)

describe(`${HERD} first requests at once for a tenant that this process has never served`, () => {
  const tenants = {} as Record<'shared' | 'dedicated', TestTenant>
  const taps = {} as Record<'catalog' | 'shared' | 'dedicated', Wiretap>
  let stage: Stage

  beforeAll(async () => {
    const direct = await createStage()
    const role = await createRole()
    const ownUrl = urlFor({ role, database: await createDatabase({ owner: role.name }) })
    taps.catalog = await Wiretap.start(direct.catalogUrl)
    taps.shared = await Wiretap.start(direct.sharedUrl)
    taps.dedicated = await Wiretap.start(ownUrl)
    stage = { ...direct, catalogUrl: taps.catalog.url, sharedUrl: taps.shared.url }
    const first = await startGateway(stage, CALM)
    tenants.shared = await first.createTenant()
    tenants.dedicated = await first.createTenant()
    const database = await first.registerDatabase(tenants.dedicated.id, taps.dedicated.url, {
      poolSize: POOL_SIZE,
    })
    expect(database).toMatchObject({ status: 'active', placement: 'dedicated' })
    for (const { token } of Object.values(tenants)) {
      const body = { name: 'Warren' }
      expect((await first.call('POST', '/api/v1/places', { token, body })).status).toBe(201)
    }
    await first.close()
  })
  afterAll(() => {
    for (const tap of Object.values(taps)) tap.close()
  })

  describe.each(['shared', 'dedicated'] as const)('in a %s database', (placement) => {
    let gateway: TestGateway
    let answers: Answer<Listed>[]
    let said: string[]
    let connections: number

    beforeAll(async () => {
      gateway = await startGateway(stage, { ...CALM, MAX_CONNECTIONS_PER_SERVER: String(POOL_SIZE) })
      const before = { said: taps.catalog.statements.length, accepted: taps[placement].accepted }
      const { token } = tenants[placement]
      const ask = () => gateway.call<Listed>('GET', '/api/v1/places', { token })
      answers = await Promise.all(Array.from({ length: HERD }, ask))
      said = taps.catalog.statements.slice(before.said)
      connections = taps[placement].accepted - before.accepted
    })
    afterAll(() => gateway?.close())

    test('are all answered', () => {
      const seen = new Set(answers.map(({ status, body }) => `${status} ${body.data?.[0]?.name}`))
      expect([...seen]).toEqual(['200 Warren'])
    })

    test('load the route once', () => {
      expect(said.filter((text) => /\bfrom "tenants"/.test(text))).toHaveLength(1)
    })

    // The string is read for each connection and never stored. A connection that is still being opened may not have read it yet.
    test('open the sealed connection string once a connection, not once a request', () => {
      const most = placement === 'dedicated' ? connections : 0
      const opened = said.filter((text) => text.includes('"sealed_connection_string"'))
      expect(opened.length).toBeLessThanOrEqual(most)
      expect(said.filter((text) => /\bfrom "data_keys"(?!.*<> all)/.test(text))).toHaveLength(
        Math.min(1, most),
      )
    })

    test('share one pool that is no larger than allowed', async () => {
      const { text } = await gateway.call('GET', '/metrics')
      expect(text).toMatch(/^freehold_pools_open 1$/m)
      expect(connections).toBeGreaterThan(0)
      expect(connections).toBeLessThanOrEqual(POOL_SIZE)
    })
  })
})

describe(`with ${TENANTS} tenants in the catalog, half of them with a database of their own`, () => {
  let stage: Stage
  let known: TestTenant
  let few: Start
  let many: Start
  let gateway: TestGateway | null = null

  beforeAll(async () => {
    stage = await createStage()
    const first = await startGateway(stage, CALM)
    known = await first.createTenant()
    await first.close()
    few = await measureStarts(stage)
    await fillCatalog(stage)
    many = await measureStarts(stage)
  })
  afterAll(() => gateway?.close())

  test('a start reads as few tenants as with one tenant', () => {
    expect(many.rowsRead).toBeLessThan(50)
    expect(few.rowsRead).toBeLessThan(50)
  })

  test('a start takes no longer than with one tenant', () => {
    expect(many.ms, `with one tenant ${few.ms} ms`).toBeLessThan(2 * few.ms + 1_000)
  })

  test('a request reads its own tenant only', async () => {
    const before = await rowsRead(stage)
    gateway = await startGateway(stage, CALM)
    const answer = await gateway.call('GET', '/api/v1/places', { token: known.token })
    expect(answer.status).toBe(200)
    expect((await gateway.call('GET', '/metrics')).text).toMatch(/^freehold_route_cache_size 1$/m)
    await gateway.close()
    const read = (await rowsRead(stage)) - before
    expect(read, 'or nothing is counted at all').toBeGreaterThan(0)
    expect(read).toBeLessThan(50)
  })
})

interface Start {
  /** How many rows of tenants and their databases one start reads, on average. */
  readonly rowsRead: number
  /** The median. */
  readonly ms: number
}

async function measureStarts(stage: Stage): Promise<Start> {
  const before = await rowsRead(stage)
  const times: number[] = []
  for (let i = 0; i < STARTS; i++) {
    const begun = performance.now()
    const started = await startGateway(stage, CALM)
    times.push(performance.now() - begun)
    await started.close()
  }
  const [, ms = Number.NaN] = times.toSorted((a, b) => a - b)
  return { rowsRead: ((await rowsRead(stage)) - before) / STARTS, ms }
}

/** How many rows of tenants and their databases were read so far. The gateways must be closed. */
async function rowsRead({ catalogUrl }: Stage): Promise<number> {
  const database = new URL(catalogUrl).pathname.slice(1)
  // A backend reports its counts before it leaves the list.
  const open = 'SELECT FROM pg_stat_activity WHERE datname = $1'
  const left = async () => expect(await query(superuserUrl(), open, [database])).toEqual([])
  await vi.waitFor(left, { timeout: 60_000 })
  const [row] = await query<{ rows: number }>(
    superuserUrl(database),
    `SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::int AS rows FROM pg_stat_user_tables
      WHERE relname IN ('tenants', 'tenant_databases')`,
  )
  return row?.rows ?? Number.NaN
}

/** Tenants as operators would have created them over years. */
async function fillCatalog({ catalogUrl }: Stage): Promise<void> {
  const ids = JSON.stringify(Array.from({ length: TENANTS }, () => newId()))
  const url = superuserUrl(new URL(catalogUrl).pathname.slice(1))
  await query(
    url,
    `INSERT INTO tenants (id, code, name, placement, auth_config)
     SELECT id::uuid, 'many-' || n, 'Tenant ' || n, CASE WHEN n % 2 = 0 THEN 'dedicated' ELSE 'shared' END,
            (SELECT auth_config FROM tenants LIMIT 1)
       FROM jsonb_array_elements_text($1::jsonb) WITH ORDINALITY AS made (id, n)`,
    [ids],
  )
  await query(
    url,
    `INSERT INTO tenant_databases (id, tenant_id, slot, host, port, database_name, user_name, ssl_mode,
            sealed_connection_string, pool_size, idle_timeout_seconds, connection_timeout_seconds,
            apply_migrations, status, last_checked_at)
     SELECT gen_random_uuid(), id, 'current', '127.0.0.1', 1, code, 'u', 'disable',
            '\\x00', 10, 60, 5, true, 'active', now()
       FROM tenants WHERE placement = 'dedicated';
     ANALYZE tenants, tenant_databases`,
  )
}
