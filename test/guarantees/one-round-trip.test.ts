import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDatabase, createRole, dropAll, query, superuserUrl, urlFor } from '../support/database.ts'
import {
  type Answer,
  createStage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'
import { Wiretap } from '../support/wiretap.ts'

// A warm request costs one round trip to the tenant database and none to the catalog. The test counts what the gateway sends to
// the servers and, if the server can report it, also the executed statements.

const API = '/api/v1'
const REQUESTS = 60
const AT_ONCE = 15

/** To each of the two databases. */
const CONNECTIONS = 4
/** Statements that the gateway sends to its catalog regularly, with or without requests. */
const BY_THE_CLOCK = [
  /\bcatalog_changes\b/,
  /"replicas"/,
  /\bskip locked\b/,
  /^\s*update client_keys as k set last_used_at/,
  /^listen /i,
  /\baudit_seals\b|^select "seq", "hash" from "audit_log"/,
  // Rotations to run, and missing keys that are needed.
  /\bencryption_rotations\b/,
  /"data_keys" where "data_keys"."master_key_id" <> all/,
  // Audit entries of many requests, written four times a second.
  /^insert into "audit_log"/,
  // The run of migrations that is under way, to move it on.
  /^select "id" from "migration_runs" where \("migration_runs"."finished_at" is null and "migration_runs"."status" = \$1\)$/,
  // The identity of a new connection, opened because two of these statements met.
  /^SELECT pg_catalog\.pg_relation_filepath\(1259\)/,
]

interface Home {
  tenant: TestTenant
  tap: Wiretap
  database: string
  /** The kinds of credentials. */
  credentials: Record<'token' | 'client key' | 'parent that acts for it', Record<string, string>>
}

let gateway: TestGateway
let catalog: Wiretap
let statistics: string | null
const homes = {} as Record<'shared' | 'dedicated', Home>

beforeAll(async () => {
  const stage = await createStage()
  catalog = await Wiretap.start(stage.catalogUrl)
  const shared = await Wiretap.start(stage.sharedUrl)
  const role = await createRole()
  const own = await Wiretap.start(urlFor({ role, database: await createDatabase({ owner: role.name }) }))
  // No health rounds, because their connections go through the same proxies.
  gateway = await startGateway(
    { ...stage, catalogUrl: catalog.url, sharedUrl: shared.url },
    {
      ...{ HEALTH_CHECK_CRON: '0 0 0 1 1 *', ACQUIRE_TIMEOUT_MS: '15000' },
      MAX_CONNECTIONS_PER_SERVER: String(CONNECTIONS),
    },
  )
  homes.shared = await settle(await gateway.createTenant(), shared)
  const dedicated = await gateway.createTenant()
  await gateway.registerDatabase(dedicated.id, own.url)
  homes.dedicated = await settle(dedicated, own)
  await openConnections()
  statistics = await openStatistics()
})
afterAll(async () => {
  await gateway?.close()
  for (const tap of [catalog, homes.shared?.tap, homes.dedicated?.tap]) tap?.close()
  await dropAll()
})

async function settle(tenant: TestTenant, tap: Wiretap): Promise<Home> {
  const made = await gateway.operator('POST', `/tenants/${tenant.id}/client-keys`, {
    name: 'counted',
    permissions: ['properties:read', 'properties:write'],
  })
  const parent = await gateway.createTenant()
  await gateway.operator('PATCH', `/tenants/${tenant.id}`, { parentId: parent.id })
  return {
    ...{ tenant, tap, database: new URL(tap.url).pathname.slice(1) },
    credentials: {
      'parent that acts for it': { authorization: `Bearer ${parent.token}`, 'x-account-id': tenant.id },
      token: { authorization: `Bearer ${tenant.token}` },
      'client key': { 'x-client-key': made.body.key, 'x-tenant-code': tenant.code },
    },
  }
}

/** Opens all connections first, because each new connection is asked once for the identity of its database. */
async function openConnections(): Promise<void> {
  for (let open = 0; open < 2 * CONNECTIONS; ) {
    const lists = Object.values(homes).flatMap(({ credentials: { token } }) =>
      Array.from({ length: AT_ONCE }, () => gateway.call('GET', `${API}/places`, { headers: token })),
    )
    await Promise.all(lists)
    open = (await gateway.call('GET', '/health')).body.connections.open
  }
}

/** A database in which pg_stat_statements can be read. Null if the server has not loaded it. */
async function openStatistics(): Promise<string | null> {
  const [loaded] = await query<{ names: string }>(
    superuserUrl(),
    "SELECT current_setting('shared_preload_libraries') AS names",
  )
  if (!loaded?.names.includes('pg_stat_statements')) return null
  const url = superuserUrl(await createDatabase())
  await query(url, 'CREATE EXTENSION pg_stat_statements')
  return url
}

describe.each(['shared', 'dedicated'] as const)(
  'a warm request of a tenant in a %s database',
  (placement) => {
    describe.each(['token', 'client key', 'parent that acts for it'] as const)('by a %s', (credential) => {
      const send = (method: string, path: string, body?: unknown) => {
        const headers = homes[placement].credentials[credential]
        return gateway.call(method, `${API}${path}`, { headers, ...(body !== undefined && { body }) })
      }
      let ids: string[]
      let nextPage: string

      beforeAll(async () => {
        const made = await repeat(() => send('POST', '/places', { name: 'Warm', kind: 'land' }))
        ids = made.map(({ body }) => body.id as string)
        nextPage = (await send('GET', '/places?limit=20')).body.nextCursor
        await send('PATCH', `/places/${ids[0]}`, { name: 'Warmer' })
      })

      const idOf = (i: number) => ids[i % ids.length]
      const kinds: Record<string, { status: number; request: (i: number) => Promise<Answer> }> = {
        'reading a row': { status: 200, request: (i) => send('GET', `/places/${idOf(i)}`) },
        'reading a row that is not there': {
          status: 404,
          request: () => send('GET', '/places/01900000-0000-7000-8000-0000000000ff'),
        },
        'listing 20 rows': { status: 200, request: () => send('GET', '/places?limit=20') },
        'listing the next page': {
          status: 200,
          request: () => send('GET', `/places?limit=20&cursor=${nextPage}`),
        },
        'making a row': { status: 201, request: (i) => send('POST', '/places', { name: `Field ${i}` }) },
        'changing a row': {
          status: 200,
          request: (i) => send('PATCH', `/places/${idOf(i)}`, { name: `Field ${i}` }),
        },
        'deleting a row': { status: 204, request: (i) => send('DELETE', `/places/${ids[i]}`) },
      }

      test.each(Object.keys(kinds))('%s is one round trip, and none to the catalog', async (name) => {
        const kind = kinds[name]
        if (kind === undefined) throw new Error(name)
        const before = heard(homes[placement])
        const executedBefore = await executed(homes[placement])
        const answers = await repeat(kind.request)
        expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([kind.status]))
        const after = heard(homes[placement])
        expect(after.roundTrips - before.roundTrips).toBe(REQUESTS)
        // The tenant check and the statement, one after the other in the same round trip.
        expect(after.executions - before.executions).toBe(2 * REQUESTS)
        expect(after.elsewhere - before.elsewhere).toBe(0)
        expect(asked(before.catalog)).toEqual([])
        if (executedBefore !== null) {
          const counts = await executed(homes[placement])
          expect(differences(executedBefore, counts ?? {})).toEqual([REQUESTS, REQUESTS])
        }
      })
    })
  },
)

/** Sends `REQUESTS` requests: some one after another, most of them at once. */
async function repeat(request: (i: number) => Promise<Answer>): Promise<Answer[]> {
  const answers: Answer[] = []
  for (let i = 0; i < AT_ONCE; i++) answers.push(await request(i))
  for (let i = AT_ONCE; i < REQUESTS; i += AT_ONCE) {
    const some = Array.from({ length: AT_ONCE }, (_, k) => request(i + k))
    answers.push(...(await Promise.all(some)))
  }
  return answers
}

function heard({ tap }: Home) {
  const other = tap === homes.shared.tap ? homes.dedicated.tap : homes.shared.tap
  const { roundTrips, executions } = tap
  return { roundTrips, executions, elsewhere: other.roundTrips, catalog: catalog.statements.length }
}

/** Statements that reached the catalog since then, without the regular ones. */
function asked(since: number): string[] {
  return catalog.statements.slice(since).filter((text) => !BY_THE_CLOCK.some((known) => known.test(text)))
}

/** How often the server has executed each top-level statement in the tenant database. */
async function executed({ database }: Home): Promise<Record<string, number> | null> {
  if (statistics === null) return null
  const rows = await query<{ queryid: string; calls: number }>(
    statistics,
    `SELECT queryid::text, sum(calls)::int AS calls FROM pg_stat_statements AS s
      WHERE dbid = (SELECT oid FROM pg_database WHERE datname = $1) AND toplevel GROUP BY queryid`,
    [database],
  )
  return Object.fromEntries(rows.map(({ queryid, calls }) => [queryid, calls]))
}

function differences(before: Record<string, number>, after: Record<string, number>): number[] {
  return Object.entries(after)
    .map(([id, calls]) => calls - (before[id] ?? 0))
    .filter((calls) => calls !== 0)
}
