import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  createDatabase,
  createRole,
  dropAll,
  query,
  superuserUrl,
  type TestRole,
  uniqueName,
  urlFor,
} from '../support/database.ts'
import { type FakeServer, startFakeServer } from '../support/fake-server.ts'
import {
  createStage,
  type Stage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'
import { createTenantDatabase, withClient } from '../support/tenant-database.ts'

/** From the answer of the PUT to a final status. */
const DECIDED_WITHIN_MS = 10_000
const MOST_MEMORY_OF_A_FLOOD = 300 * 1024 * 1024

const fakes: Record<
  'hang' | 'mute' | 'garbage' | 'flood' | 'chatter' | 'liar' | 'rude' | 'clearText',
  FakeServer
> = {
  hang: await startFakeServer('hang'),
  mute: await startFakeServer('mute'),
  garbage: await startFakeServer('garbage'),
  flood: await startFakeServer('flood'),
  chatter: await startFakeServer('chatter'),
  liar: await startFakeServer({ kind: 'liar', serverVersion: '13.9' }),
  rude: await startFakeServer('rude-error'),
  clearText: await startFakeServer('clear-text'),
}
const counted = await startFakeServer('hang')
const refusedPort = await freePort()

let stage: Stage
let gateway: TestGateway
let bystander: TestTenant

beforeAll(async () => {
  stage = await createStage()
  const ports = [...Object.values(fakes), counted].map(({ port }) => port)
  const rules = [new URL(superuserUrl()).port, refusedPort, ...ports].map((port) => `127.0.0.1:${port}`)
  gateway = await startGateway(stage, { DATABASE_HOSTS_ALLOWED: rules.join(',') })
  bystander = await gateway.createTenant()
})
afterAll(async () => {
  await gateway?.close()
  for (const fake of [...Object.values(fakes), counted]) await fake.close()
  await dropAll()
})

async function freePort(): Promise<number> {
  const server = await startFakeServer('hang')
  await server.close()
  return server.port
}

/** A role with an empty database. */
async function emptyDatabase(role?: TestRole): Promise<string> {
  const owner = role ?? (await createRole())
  return urlFor({ role: owner, database: await createDatabase({ owner: owner.name }) })
}

async function spoiled(sql: string): Promise<string> {
  const { url } = await createTenantDatabase()
  await query(url, sql)
  return url
}

function over(
  url: string,
  changes: { host?: string; database?: string; password?: string; sslmode?: string },
) {
  const changed = new URL(url)
  if (changes.host !== undefined) changed.hostname = changes.host
  if (changes.database !== undefined) changed.pathname = `/${changes.database}`
  if (changes.password !== undefined) changed.password = changes.password
  if (changes.sslmode !== undefined) changed.searchParams.set('sslmode', changes.sslmode)
  return changed.href
}

interface BadDatabase {
  readonly code: string
  readonly url: () => string | Promise<string>
  readonly more?: object
}

const fakeUrl = (name: keyof typeof fakes) => () => fakes[name].urlFor('someone', 'secret-of-the-fake', 'db')
const impatient = { connectionTimeoutSeconds: 2 }

const BAD: Record<string, BadDatabase> = {
  'a server that accepts and hangs': { code: 'CONNECTION_TIMEOUT', url: fakeUrl('hang'), more: impatient },
  'a server that lets in and hangs': { code: 'CONNECTION_TIMEOUT', url: fakeUrl('mute') },
  'a server that talks garbage': { code: 'PROTOCOL_VIOLATION', url: fakeUrl('garbage') },
  'a server that floods with rows': { code: 'PROTOCOL_VIOLATION', url: fakeUrl('flood') },
  'a server that is ready, ready, ready': { code: 'PROTOCOL_VIOLATION', url: fakeUrl('chatter') },
  'a port where no process listens': {
    code: 'CONNECTION_REFUSED',
    url: () => `postgresql://u:p@127.0.0.1:${refusedPort}/db`,
  },
  'a server older than 14': { code: 'SERVER_VERSION_UNSUPPORTED', url: fakeUrl('liar') },
  'a server with a rude message': { code: 'AUTHENTICATION_FAILED', url: fakeUrl('rude') },
  'a server that asks for the password in clear': {
    code: 'AUTHENTICATION_FAILED',
    url: fakeUrl('clearText'),
  },
  'a wrong password': {
    code: 'AUTHENTICATION_FAILED',
    url: async () => over(await emptyDatabase(), { password: 'wrong' }),
  },
  'a database that is not there': {
    code: 'DATABASE_DOES_NOT_EXIST',
    url: async () => over(await emptyDatabase(), { database: 'not_there' }),
  },
  'a database that takes no connections': {
    code: 'CONNECTION_REFUSED',
    url: async () => {
      const role = await createRole()
      const database = await createDatabase({ owner: role.name })
      await query(superuserUrl(), `ALTER DATABASE "${database}" ALLOW_CONNECTIONS false`)
      return urlFor({ role, database })
    },
  },
  'a superuser': {
    code: 'ROLE_BYPASSES_RLS',
    url: async () => emptyDatabase(await createRole({ superuser: true })),
  },
  'a role with BYPASSRLS': {
    code: 'ROLE_BYPASSES_RLS',
    url: async () => emptyDatabase(await createRole({ bypassrls: true })),
  },
  'a role that may become a superuser': {
    code: 'ROLE_BYPASSES_RLS',
    url: async () => {
      const [role, superuser] = [await createRole(), await createRole({ superuser: true })]
      await query(superuserUrl(), `GRANT "${superuser.name}" TO "${role.name}"`)
      return emptyDatabase(role)
    },
  },
  'a role that may not create tables': {
    code: 'PERMISSION_MISSING',
    url: async () => urlFor({ role: await createRole(), database: await createDatabase() }),
  },
  'a role without connections': {
    code: 'TOO_MANY_CONNECTIONS',
    url: async () => emptyDatabase(await createRole({ connectionLimit: 0 })),
  },
  'an empty database that may not be migrated': {
    code: 'SCHEMA_OUT_OF_DATE',
    url: () => emptyDatabase(),
    more: { applyMigrations: false },
  },
  'a schema without one of its policies': {
    code: 'SCHEMA_DRIFTED',
    url: () =>
      spoiled(`DO $$ DECLARE p record; BEGIN
        FOR p IN SELECT policyname FROM pg_policies WHERE tablename = 'places'
        LOOP EXECUTE format('DROP POLICY %I ON places', p.policyname); END LOOP; END $$`),
  },
  'a schema whose journal was edited': {
    code: 'SCHEMA_DRIFTED',
    url: () => spoiled("UPDATE freehold_migrations SET hash = 'edited' WHERE id LIKE '0000%'"),
  },
  'the shared database under another name of its host': {
    code: 'HOST_NOT_ALLOWED',
    url: () => over(stage.sharedUrl, { host: 'localhost', sslmode: 'disable' }),
  },
  'the catalog under another name of its host': {
    code: 'HOST_NOT_ALLOWED',
    url: () => over(stage.catalogUrl, { host: 'localhost', sslmode: 'disable' }),
  },
  'a name that leads to an address not allowed': {
    code: 'HOST_NOT_ALLOWED',
    url: () => 'postgresql://u:p@localhost:1/db?sslmode=disable',
  },
  'a name that does not resolve': {
    code: 'DNS_FAILED',
    url: () => 'postgresql://u:p@something.invalid:5432/db',
  },
  'TLS of a server that has none': {
    code: 'TLS_FAILED',
    url: async () => over(await emptyDatabase(), { sslmode: 'require' }),
  },
}

describe('registering each kind of bad database', () => {
  const outcomes = new Map<string, { body: Record<string, unknown>; tookMs: number }>()
  const bystanders: { status: number; tookMs: number }[] = []
  let peakBytes = 0

  beforeAll(async () => {
    const entries = await Promise.all(
      Object.entries(BAD).map(async ([name, bad]) => ({ name, bad, url: await bad.url() })),
    )
    const tenants = await Promise.all(entries.map(() => gateway.createTenant()))
    let deciding = true
    const before = process.memoryUsage().rss
    const watch = (async () => {
      while (deciding) {
        const begun = performance.now()
        const { status } = await gateway.call('GET', '/api/v1/places', { token: bystander.token })
        bystanders.push({ status, tookMs: performance.now() - begun })
        peakBytes = Math.max(peakBytes, process.memoryUsage().rss - before)
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    })()
    const register = async ({ name, bad, url }: (typeof entries)[number], tenant: TestTenant | undefined) => {
      const begun = performance.now()
      const body = await gateway.registerDatabase(tenant?.id ?? '', url, bad.more)
      outcomes.set(name, { body, tookMs: performance.now() - begun })
    }
    // As many at a time as a gateway validates at a time. Those that hang are first.
    const begin = (at: number) =>
      entries.slice(at, at + 4).map((entry, i) => register(entry, tenants[at + i]))
    for (let at = 0; at < entries.length; at += 4) await Promise.all(begin(at))
    deciding = false
    await watch
  })

  test.each(Object.entries(BAD))('reports %s by its code, in time', (name, { code }) => {
    const outcome = outcomes.get(name)
    expect(outcome?.body).toMatchObject({ status: 'failed', lastError: { code }, placement: 'shared' })
    expect(outcome?.tookMs).toBeLessThan(DECIDED_WITHIN_MS)
  })

  test('does not disturb another tenant', () => {
    expect(bystanders.length).toBeGreaterThan(20)
    expect(bystanders.filter(({ status }) => status !== 200)).toEqual([])
    expect(Math.max(...bystanders.map(({ tookMs }) => tookMs))).toBeLessThan(3_000)
  })

  test('does not fill the memory with endless rows', () => {
    expect(peakBytes).toBeLessThan(MOST_MEMORY_OF_A_FLOOD)
  })

  test('reveals neither the server nor its password in the log or the answer', () => {
    expect(fakes.clearText.accepted()).toBeGreaterThan(0)
    expect(fakes.clearText.passwords).toEqual([])
    const said = gateway.log() + JSON.stringify([...outcomes.values()])
    expect(said).not.toContain('secret-of-the-fake')
    expect(said).not.toContain('\u001b')
  })

  test('leaves no connection counted except those to the shared database', async () => {
    const shared = new URL(stage.sharedUrl).pathname.slice(1)
    const difference = async () => {
      const counted = (await gateway.call('GET', '/metrics')).text.match(/^freehold_\S*connections\S* (\d+)/m)
      const [real] = await query<{ n: number }>(
        superuserUrl(),
        'SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = $1',
        [shared],
      )
      return Number(counted?.[1]) - (real?.n ?? 0)
    }
    await expect.poll(difference).toBe(0)
  })
})

describe('a connection string that is wrong in itself', () => {
  const at = (rest: string) => `postgresql://u:p@127.0.0.1:${counted.port}${rest}`
  const strings: [string, () => string][] = [
    ['no password', () => `postgresql://u@127.0.0.1:${counted.port}/db`],
    ['no database', () => at('')],
    ['another scheme', () => at('/db').replace('postgresql', 'mysql')],
    ['a host as parameter', () => at('/db?host=127.0.0.1')],
    ['options as parameter', () => at('/db?options=-csearch_path%3Dx')],
    ['an unknown sslmode', () => at('/db?sslmode=prefer')],
    ['two hosts', () => `postgresql://u:p@127.0.0.1:${counted.port},127.0.0.1:${counted.port}/db`],
    ['a socket', () => 'postgresql://u:p@%2Ftmp/db'],
    ['an address in hexadecimal', () => `postgresql://u:p@0x7f000001:${counted.port}/db`],
    ['an address as one number', () => `postgresql://u:p@2130706433:${counted.port}/db`],
    ['a short address', () => `postgresql://u:p@127.1:${counted.port}/db`],
    ['an encoded control character', () => at('/d%00b')],
    ['more than 2 KB', () => at(`/${'d'.repeat(2_100)}`)],
    ['an address not allowed', () => `postgresql://u:p@10.0.0.1:${counted.port}/db`],
    ['a port not allowed at that address', () => 'postgresql://u:p@127.0.0.1:1/db'],
    ['the metadata address', () => 'postgresql://u:p@169.254.169.254/db'],
    ['the shared database itself', () => stage.sharedUrl],
    ['the catalog itself', () => stage.catalogUrl],
    ['nothing', () => ''],
  ]

  test.each(strings)('with %s is refused at once, without a socket', async (_name, connectionString) => {
    const tenant = bystander.id
    const { status, body, text } = await gateway.operator('PUT', `/tenants/${tenant}/database`, {
      connectionString: connectionString(),
    })
    expect([status, body.code]).toEqual([400, 'VALIDATION_FAILED'])
    expect(text).not.toContain('u:p')
    expect((await gateway.operator('GET', `/tenants/${tenant}/database`)).status).toBe(404)
    expect(counted.accepted()).toBe(0)
  })
})

describe("another tenant's database", () => {
  test('is refused, and still serves its own tenant', async () => {
    const [owner, thief] = [await gateway.createTenant(), await gateway.createTenant()]
    const url = await emptyDatabase()
    expect(await gateway.registerDatabase(owner.id, url)).toMatchObject({
      status: 'active',
      placement: 'dedicated',
    })
    expect(await gateway.registerDatabase(thief.id, url)).toMatchObject({
      status: 'failed',
      lastError: { code: 'BELONGS_TO_ANOTHER_TENANT' },
    })
    const made = await gateway.call('POST', '/api/v1/places', { token: owner.token, body: { name: 'Mine' } })
    expect(made.status).toBe(201)
  })
})

describe('a database that was repaired', () => {
  const mended = async (url: string, mend: () => Promise<unknown>, before: string) => {
    const tenant = await gateway.createTenant()
    const failed = await gateway.registerDatabase(tenant.id, url)
    expect(failed).toMatchObject({ status: 'failed', lastError: { code: before } })
    await mend()
    const asked = await gateway.operator('POST', `/tenants/${tenant.id}/database/validate`)
    expect(asked.status).toBe(202)
    expect(await gateway.waitForDatabase(tenant.id)).toMatchObject({
      status: 'active',
      placement: 'dedicated',
      lastError: null,
    })
    expect((await gateway.call('GET', '/api/v1/places', { token: tenant.token })).status).toBe(200)
  }

  test('by setting the registered password becomes active when an operator validates it', async () => {
    const role = await createRole()
    const url = urlFor({
      role: { ...role, password: 'later' },
      database: await createDatabase({ owner: role.name }),
    })
    await mended(
      url,
      () => query(superuserUrl(), `ALTER ROLE "${role.name}" PASSWORD 'later'`),
      'AUTHENTICATION_FAILED',
    )
  })

  test('by creating it becomes active when an operator validates it', async () => {
    const role = await createRole()
    const database = uniqueName()
    await mended(
      urlFor({ role, database }),
      () => query(superuserUrl(), `CREATE DATABASE "${database}" OWNER "${role.name}"`),
      'DATABASE_DOES_NOT_EXIST',
    )
    await withClient(superuserUrl(database), (client) => client.query('SELECT 1'))
  })

  test('by removing BYPASSRLS becomes active when an operator validates it', async () => {
    const role = await createRole({ bypassrls: true })
    await mended(
      await emptyDatabase(role),
      () => query(superuserUrl(), `ALTER ROLE "${role.name}" NOBYPASSRLS`),
      'ROLE_BYPASSES_RLS',
    )
  })
})
