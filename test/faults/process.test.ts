import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { checkout } from '../support/checkout.ts'
import { createDatabase, createRole, dropAll, query, superuserUrl, urlFor } from '../support/database.ts'
import {
  Caller,
  createStage,
  environmentOf,
  type Stage,
  startGateway,
  type TestTenant,
} from '../support/gateway.ts'
import { GatewayProcess } from '../support/gateway-process.ts'

/** sysexits.h: EX_CONFIG. */
const REFUSED = 78
/** Each test waits for processes to start, some at once, and the machine may be busy. */
const TIME_LIMIT = { timeout: 60_000 }
const GRACE_SECONDS = 4
/** For a machine that is busy with other tests. */
const LATE_MS = 3_000
const CLIENTS = 8

const running: GatewayProcess[] = []
let stage: Stage
let tenant: TestTenant

beforeAll(async () => {
  stage = await createStage()
  const gateway = await startGateway(stage)
  tenant = await gateway.createTenant()
  await gateway.close()
})
afterAll(async () => {
  for (const { child } of running) child.kill('SIGKILL')
  await Promise.all(running.map(({ ended }) => ended))
  await dropAll()
})

function launch(env: Record<string, string>): GatewayProcess {
  const gateway = new GatewayProcess({ env })
  running.push(gateway)
  return gateway
}

async function start(more: Record<string, string> = {}): Promise<{ gateway: GatewayProcess; url: string }> {
  const grace = { SHUTDOWN_GRACE_SECONDS: String(GRACE_SECONDS) }
  const gateway = launch(environmentOf(stage, { ...grace, ...more }))
  return { gateway, url: await gateway.url() }
}

/** Ended by itself like a refused start: an exit code, some lines on stderr, and nothing that looks like a crash. */
async function refusalOf(env: Record<string, string>) {
  const gateway = launch(env)
  const code = await gateway.ended
  expect(gateway.stderr).not.toMatch(/^ +at /m)
  return { code, lines: gateway.stderr.trimEnd().split('\n'), said: gateway.stdout + gateway.stderr }
}

describe('settings that are wrong', TIME_LIMIT, () => {
  test('are all reported at once by name without their values, and end the process with 78', async () => {
    const canary = 'canary-4c1d9'
    const wrong = {
      CATALOG_DATABASE_URL: `postgresql://${canary}@127.0.0.1/x`,
      SHARED_DATABASE_URL: `mysql://u:${canary}@127.0.0.1/x`,
      ENCRYPTION_KEY: `${canary}${'='.repeat(31)}`,
      ENCRYPTION_KEYS_RETIRED: canary,
      OPERATOR_TOKEN: canary,
      PORT: `80${canary}`,
      HOST: `http://${canary}`,
      LOG_LEVEL: canary,
      MAX_CONNECTIONS: `-1${canary}`,
      HEALTH_CHECK_CRON: canary,
      DATABASE_HOSTS_ALLOWED: `${canary} b`,
      SHUTDOWN_GRACE_SECONDS: `1e9${canary}`,
    }
    const { code, lines, said } = await refusalOf(wrong)
    expect(code).toBe(REFUSED)
    expect(lines.map((line) => line.split(' ')[0]).sort()).toEqual(Object.keys(wrong).sort())
    expect(said).not.toContain(canary)
  })

  test.concurrent.each([
    ['missing', ''],
    ['short', randomBytes(16).toString('base64')],
    ['malformed', `${randomBytes(31).toString('hex')}zz`],
    ['all zero', Buffer.alloc(32).toString('base64')],
  ])('include a key that is %s', async (_what, key) => {
    const { code, lines, said } = await refusalOf(environmentOf(stage, { ENCRYPTION_KEY: key }))
    expect([code, lines.length, lines[0]?.split(' ')[0]]).toEqual([REFUSED, 1, 'ENCRYPTION_KEY'])
    if (key !== '') expect(said).not.toContain(key)
  })
})

describe('an installation without its migrations', TIME_LIMIT, () => {
  test('ends the process with 78', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'incomplete-'))
    onTestFinished(() => rm(directory, { recursive: true, force: true }))
    await cp(join(checkout, 'src'), join(directory, 'src'), { recursive: true })
    await cp(join(checkout, 'package.json'), join(directory, 'package.json'))
    await symlink(join(checkout, 'node_modules'), join(directory, 'node_modules'))
    const main = join(directory, 'src', 'main.ts')
    const gateway = new GatewayProcess({ env: environmentOf(stage), command: [process.execPath, main] })
    running.push(gateway)
    expect([await gateway.ended, gateway.stderr]).toEqual([
      REFUSED,
      expect.stringMatching(/catalog-migrations.*MIGRATIONS_MISSING/),
    ])
  })
})

test('npm start passes on the signal that ends it', TIME_LIMIT, async () => {
  const npm = new GatewayProcess({ env: environmentOf(stage), command: ['npm', 'start'] })
  running.push(npm)
  await npm.url()
  await npm.end('SIGTERM')
  expect(npm.stdout).toContain('"msg":"stopped"')
  // No process of its group is left.
  expect(() => process.kill(-npm.pid, 0)).toThrow(expect.objectContaining({ code: 'ESRCH' }))
})

describe('databases that must not be served from', TIME_LIMIT, () => {
  const role = (options: object) => async () => {
    const owner = await createRole(options)
    return {
      SHARED_DATABASE_URL: urlFor({ role: owner, database: await createDatabase({ owner: owner.name }) }),
    }
  }
  const cases: [string, string, () => Promise<Record<string, string>>][] = [
    [
      'a catalog that was sealed with another key',
      'ENCRYPTION_KEY.*WRONG_ENCRYPTION_KEY',
      async () => ({ ENCRYPTION_KEY: randomBytes(32).toString('base64') }),
    ],
    [
      'a superuser for the shared database',
      'SHARED_DATABASE_URL.*ROLE_BYPASSES_RLS',
      role({ superuser: true }),
    ],
    [
      'a role with BYPASSRLS for the shared database',
      'SHARED_DATABASE_URL.*ROLE_BYPASSES_RLS',
      role({ bypassrls: true }),
    ],
    ...['CATALOG_DATABASE_URL', 'SHARED_DATABASE_URL'].map((setting): (typeof cases)[number] => [
      `a ${setting} that is not UTF8`,
      `${setting}.*ENCODING_UNSUPPORTED`,
      async () => {
        const owner = await createRole()
        const database = await createDatabase({ owner: owner.name, encoding: 'LATIN1' })
        return { [setting]: urlFor({ role: owner, database }) }
      },
    ]),
    [
      'a wrong password',
      'CATALOG_DATABASE_URL.*28P01',
      async () => {
        const url = new URL(stage.catalogUrl)
        url.password = 'canary-of-a-password'
        return { CATALOG_DATABASE_URL: url.href }
      },
    ],
  ]

  test.concurrent.each(cases)('%s ends the process with 78', async (_what, words, wrong) => {
    const more = await wrong()
    const { code, lines, said } = await refusalOf(environmentOf(stage, more))
    expect(code).toBe(REFUSED)
    expect(lines).toEqual([expect.stringMatching(new RegExp(words))])
    for (const value of [...Object.values(more), 'canary-of-a-password']) expect(said).not.toContain(value)
  })
})

describe('an address that cannot be listened on', TIME_LIMIT, () => {
  test('is reported in one line, for a port that is taken and for a host that is elsewhere', async () => {
    const squatter = createServer()
    squatter.listen(0, '127.0.0.1')
    await once(squatter, 'listening')
    onTestFinished(() => void squatter.close())
    const { port } = squatter.address() as { port: number }
    const [taken, elsewhere] = await Promise.all([
      refusalOf(environmentOf(stage, { PORT: String(port) })),
      refusalOf(environmentOf(stage, { HOST: '192.0.2.1' })),
    ])
    expect([taken.code, taken.lines]).toEqual([1, [expect.stringContaining(`port ${port} is in use`)]])
    expect([elsewhere.code, elsewhere.lines]).toEqual([1, [expect.stringContaining('Set HOST')]])
  })
})

/** Makes every write to places wait until `lift` is called. */
async function block(): Promise<{ waiting: () => Promise<number>; lift: () => Promise<void> }> {
  const shared = superuserUrl(new URL(stage.sharedUrl).pathname.slice(1))
  const client = new Client({ connectionString: shared })
  await client.connect()
  onTestFinished(() => client.end())
  await client.query('BEGIN')
  await client.query('LOCK TABLE places IN SHARE MODE')
  const pid = Reflect.get(client, 'processID')
  const sql = 'SELECT pid FROM pg_stat_activity WHERE $1::int = ANY (pg_blocking_pids(pid))'
  return {
    waiting: async () => (await query(superuserUrl(), sql, [pid])).length,
    lift: async () => {
      await client.query('COMMIT')
    },
  }
}

const names = async () => {
  const url = superuserUrl(new URL(stage.sharedUrl).pathname.slice(1))
  const rows = await query<{ name: string }>(url, 'SELECT name FROM places ORDER BY name')
  return rows.map(({ name }) => name)
}

type Outcome = number | 'never sent' | 'cut off'

/** One request on a kept connection: it was answered, the gateway cannot have read it, or it was cut off. */
function post(url: string, agent: Agent, name: string): Promise<Outcome> {
  return new Promise((resolve) => {
    const headers = { authorization: `Bearer ${tenant.token}`, 'content-type': 'application/json' }
    const call = request(`${url}/api/v1/places`, { method: 'POST', agent, headers }, (answer) => {
      let text = ''
      answer.on('data', (chunk) => {
        text += chunk
      })
      answer.on('end', () => {
        resolve(answer.complete && text.endsWith('}') ? (answer.statusCode ?? 0) : 'cut off')
      })
      answer.on('error', () => resolve('cut off'))
    })
    call.on('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code === 'ECONNREFUSED' ? 'never sent' : 'cut off'),
    )
    call.end(JSON.stringify({ name }))
  })
}

function keepAliveAgent(): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  onTestFinished(() => agent.destroy())
  return agent
}

describe('SIGTERM', TIME_LIMIT, () => {
  test('under load loses no request: every write was answered, and the process ends with 0 in time', async () => {
    const { gateway, url } = await start()
    const made: string[] = []
    const outcomes = new Map<Outcome, number>()
    let ending = false
    const clients = Array.from({ length: CLIENTS }, async (_, client) => {
      const agent = keepAliveAgent()
      for (let i = 0; ; i++) {
        const name = `load ${client} ${i}`
        const outcome = await post(url, agent, name)
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
        if (outcome === 201) made.push(name)
        else if (ending) return
      }
    })
    await expect.poll(() => made.length).toBeGreaterThan(CLIENTS * 10)
    ending = true
    const begun = performance.now()
    expect(await gateway.end('SIGTERM')).toBe(0)
    expect(performance.now() - begun).toBeLessThan(GRACE_SECONDS * 1_000 + LATE_MS)
    await Promise.all(clients)
    expect([...outcomes.keys()].filter((one) => ![201, 503, 'never sent'].includes(one))).toEqual([])
    expect((await names()).filter((name) => name.startsWith('load'))).toEqual(made.sort())
  })

  test('lets running requests finish, also when it comes twice at once, and waits for no idle client', async () => {
    // Longer than a test may take.
    const { gateway, url } = await start({ SHUTDOWN_GRACE_SECONDS: '600' })
    const { waiting, lift } = await block()
    const under = Array.from({ length: CLIENTS }, (_, i) => post(url, keepAliveAgent(), `under way ${i}`))
    await expect.poll(waiting).toBe(CLIENTS)
    gateway.child.kill('SIGTERM')
    gateway.child.kill('SIGTERM')
    await gateway.until(/"stopping"/)
    await expect.poll(() => post(url, keepAliveAgent(), 'too late')).toBe('never sent')
    await lift()
    expect(await Promise.all(under)).toEqual(Array(CLIENTS).fill(201))
    expect(await gateway.ended).toBe(0)
    expect((await names()).filter((name) => /under|late/.test(name))).toHaveLength(CLIENTS)
  })

  test('ends the process within the grace period although a statement hangs', async () => {
    const { gateway, url } = await start({ SHUTDOWN_GRACE_SECONDS: '2' })
    const { waiting } = await block()
    const hanging = post(url, keepAliveAgent(), 'hangs')
    await expect.poll(waiting).toBe(1)
    const begun = performance.now()
    expect(await gateway.end('SIGTERM')).toBe(0)
    expect(performance.now() - begun).toBeLessThan(2_000 + LATE_MS)
    expect(await hanging).toBe('cut off')
  })

  test('that comes again after a second ends the process at once', async () => {
    const { gateway, url } = await start({ SHUTDOWN_GRACE_SECONDS: '600' })
    const { waiting } = await block()
    const hanging = post(url, keepAliveAgent(), 'hangs')
    await expect.poll(waiting).toBe(1)
    gateway.child.kill('SIGTERM')
    await gateway.until(/"stopping"/)
    // A terminal and npm send one Ctrl-C as two signals at nearly the same moment. A person presses it again only after a second.
    await delay(1_200)
    expect(await gateway.end('SIGTERM')).toBe(1)
    expect(await hanging).toBe('cut off')
  })
})

describe('stdout', TIME_LIMIT, () => {
  test('contains only lines of JSON with level, time and msg', async () => {
    const { gateway, url } = await start({ LOG_LEVEL: 'trace' })
    const caller = new Caller(url, stage.operatorToken)
    await caller.login(tenant.code, tenant.admin)
    await caller.call('POST', '/api/v1/places', { token: tenant.token, body: '{"na' })
    await caller.call('GET', '/api/v1/places', { token: 'nonsense' })
    await caller.call('GET', '/nowhere')
    expect(await gateway.end()).toBe(0)
    const log = gateway.log()
    expect(log.length).toBeGreaterThan(5)
    for (const line of log) {
      expect(line).toMatchObject({ level: expect.any(String), msg: expect.any(String) })
      expect(new Date(String(line.time)).toJSON()).toBe(line.time)
    }
    expect([log.at(-2)?.msg, log.at(-1)?.msg]).toEqual(['stopping', 'stopped'])
    expect(gateway.stderr).toBe('')
  })

  test('does not end the process or keep it busy when its reader closes it', async () => {
    const { gateway, url } = await start({ LOG_LEVEL: 'trace', HEALTH_CHECK_CRON: '0 0 1 1 *' })
    const caller = new Caller(url, stage.operatorToken)
    gateway.child.stdout?.destroy()
    gateway.child.stderr?.destroy()
    const list = async () => (await caller.call('GET', '/api/v1/places', { token: tenant.token })).status
    for (let i = 0; i < 20; i++) expect(await list()).toBe(200)
    const before = await cpuSeconds(caller)
    await delay(1_500)
    expect((await cpuSeconds(caller)) - before).toBeLessThan(0.4)
    expect(await list()).toBe(200)
    expect(await gateway.end()).toBe(0)
  })
})

async function cpuSeconds(caller: Caller): Promise<number> {
  const { text } = await caller.call('GET', '/metrics')
  return Number(/process_cpu_seconds_total ([\d.e+-]+)/.exec(text)?.[1])
}
