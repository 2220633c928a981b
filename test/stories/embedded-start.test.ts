import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { access, chown, copyFile, readdir, readFile, stat, symlink } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { identifyProcess, runCommand } from '../../src/embedded/processes.ts'
import { makeThrowawayDirectory } from '../../src/testing/throwaway.ts'
import { checkout } from '../support/checkout.ts'
import { query } from '../support/database.ts'
import { Caller } from '../support/gateway.ts'
import { GatewayProcess, type ProcessOptions, removeDemo } from '../support/gateway-process.ts'

/** The longest time that a start may take, and the bound for a fast one. They take about three seconds and one. */
const SECOND_START_MS = 10_000
const nobodyUser = { uid: 65534, gid: 65534 }
const sh = promisify(execFile)

const running: GatewayProcess[] = []
let directory: string

beforeAll(async () => {
  directory = await makeThrowawayDirectory()
})
afterAll(async () => {
  for (const { child } of running) child.kill('SIGKILL')
  await Promise.all(running.map(({ ended }) => ended))
  await removeDemo(directory)
})

/** Runs the command of `npm start` in `cwd`, with no setting but the port. Resolves when it reports that it runs. */
async function start(cwd = directory, options: Omit<ProcessOptions, 'cwd'> = {}) {
  const gateway = launch(cwd, options)
  const [, url = '', token = ''] = await gateway.until(
    /Freehold is running at (\S+)\n\n {2}Operator token +(\S+)[\s\S]*Ctrl-C stops/,
  )
  return { gateway, url, token, caller: new Caller(url, token), postgres: await postmaster(cwd) }
}

function launch(cwd: string, { env, ...options }: Omit<ProcessOptions, 'cwd'> = {}): GatewayProcess {
  const gateway = new GatewayProcess({ cwd, env: { PORT: '0', ...env }, ...options })
  running.push(gateway)
  return gateway
}

type Demo = Awaited<ReturnType<typeof start>>

async function postmaster(cwd: string): Promise<{ pid: number; port: number }> {
  const lines = (await readFile(join(cwd, '.freehold/postgres/postmaster.pid'), 'utf8')).split('\n')
  return { pid: Number(lines[0]), port: Number(lines[3]) }
}

async function asSuperuser(cwd: string, sql: string) {
  const password = (await readFile(join(cwd, '.freehold/postgres.password'), 'utf8')).trim()
  const { port } = await postmaster(cwd)
  return query(`postgresql://postgres:${password}@127.0.0.1:${port}/postgres?sslmode=disable`, sql)
}

async function tenantsOf({ caller }: Demo) {
  const { status, body } = await caller.operator('GET', '/tenants')
  expect(status).toBe(200)
  return new Map<string, Record<string, unknown>>(
    body.data.map((tenant: { code: string }) => [tenant.code, tenant]),
  )
}

/** Signs in to each demo tenant and returns the names of its places. */
async function placesOf({ caller }: Demo): Promise<Record<string, string[]>> {
  const found: Record<string, string[]> = {}
  for (const code of ['acme-corp', 'globex', 'initech', 'umbrella', 'umbrella-north']) {
    const email = `admin@${code}.example`
    const token = await caller.login(code, { email, password: 'demo-password-please-change' })
    const { body } = await caller.call('GET', '/api/v1/places?sort=name', { token })
    found[code] = body.data.map(({ name }: { name: string }) => name)
  }
  return found
}

const SEEDED = {
  'acme-corp': ['Harbour House', 'Mill Lane Parking'],
  globex: ['Station Square 4'],
  initech: ['Old Brewery'],
  umbrella: [],
  'umbrella-north': ['Lighthouse Row'],
}

async function expectStopped({ gateway, postgres }: Pick<Demo, 'gateway' | 'postgres'>, cwd = directory) {
  expect(identifyProcess(gateway.pid)).toBeNull()
  expect(identifyProcess(postgres.pid)).toBeNull()
  const left = await readdir(join(cwd, '.freehold'))
  expect(left.filter((name) => /lock|draft|init-/.test(name))).toEqual([])
}

async function listen(port: number): Promise<Server> {
  const server = createServer()
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return server
}

describe('a start without settings', () => {
  let demo: Demo
  let tenants: Map<string, Record<string, unknown>>

  test('creates .freehold/ in the working directory, with secrets that no other account can read', async () => {
    demo = await start()
    const names = await readdir(join(directory, '.freehold'))
    expect(names).toEqual(
      expect.arrayContaining(['encryption-key', 'operator-token', 'postgres', 'postgres.password']),
    )
    for (const name of names.filter(
      (each) => !['postgres', 'postgres.log', 'postgres.lock'].includes(each),
    )) {
      expect([name, (await stat(join(directory, '.freehold', name))).mode & 0o077]).toEqual([name, 0])
    }
    expect((await readFile(join(directory, '.freehold/operator-token'), 'utf8')).trim()).toBe(demo.token)
    expect(demo.gateway.stdout).not.toContain(demo.token)
    expect(demo.gateway.log().filter(({ level }) => level !== 'info')).toEqual([])
  })

  test('prints commands that work as they are', async () => {
    const lines = demo.gateway.stderr.split('\n').filter((line) => /^ {2}( {2}[-|]|TOKEN=|curl )/.test(line))
    expect(lines).toHaveLength(5)
    const script = lines.map((line) => (line.startsWith('  curl') ? `${line}; echo` : line)).join('\n')
    const { stdout } = await sh('sh', ['-euc', script], { env: { PATH: process.env.PATH } })
    const [places, all] = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(places.data.map(({ name }: { name: string }) => name)).toEqual(['Old Brewery'])
    expect(all.data).toHaveLength(5)
  })

  test('creates two shared tenants, a dedicated one, and a parent with a child', async () => {
    tenants = await tenantsOf(demo)
    const homes = [...tenants.values()].map(({ code, placement }) => [code, placement])
    expect(Object.fromEntries(homes)).toEqual({
      'acme-corp': 'shared',
      globex: 'shared',
      initech: 'dedicated',
      umbrella: 'shared',
      'umbrella-north': 'dedicated',
    })
    expect(tenants.get('umbrella-north')?.parentId).toBe(tenants.get('umbrella')?.id)
    expect(tenants.get('initech')?.database).toMatchObject({ status: 'active', database: 'demo_initech' })
    expect(await placesOf(demo)).toEqual(SEEDED)
  })

  test('serves with ordinary roles only, none of which owns the shared tables', async () => {
    const serving = await asSuperuser(
      directory,
      `SELECT DISTINCT datname, usename, rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication AS mighty
         FROM pg_stat_activity JOIN pg_roles ON rolname = usename
        WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
          -- Makes and moves tenants, and may be here for that.
          AND usename <> 'freehold_shared_owner' ORDER BY datname`,
    )
    expect(serving).toEqual(
      ['demo_initech', 'demo_umbrella_north', 'freehold_catalog', 'freehold_shared'].map((name) => ({
        datname: name,
        usename: name,
        mighty: false,
      })),
    )
    const password = (await readFile(join(directory, '.freehold/postgres.password'), 'utf8')).trim()
    const { port } = demo.postgres
    const owners = await query(
      `postgresql://postgres:${password}@127.0.0.1:${port}/freehold_shared?sslmode=disable`,
      "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'",
    )
    expect(owners).toEqual([{ tableowner: 'freehold_shared_owner' }])
    expect(demo.gateway.stdout).not.toContain('the serving role can bypass the seals')
  })

  test('is refused a second time in the same directory, and the first gateway still serves', async () => {
    const second = launch(directory)
    expect(await second.ended).toBe(1)
    expect(second.stderr).toContain(`in use by process ${demo.gateway.pid}`)
    expect(second.stderr).not.toMatch(/^ +at /m)
    expect((await demo.caller.call('GET', '/readyz')).status).toBe(200)
  })

  test('ends with 0 at Ctrl-C, and stops its PostgreSQL', async () => {
    expect(await demo.gateway.end('SIGINT')).toBe(0)
    await expectStopped(demo)
  })

  test('finds all data when it is repeated, and starts fast', async () => {
    const begun = performance.now()
    const again = await start()
    expect(performance.now() - begun).toBeLessThan(SECOND_START_MS)
    expect(again.token).toBe(demo.token)
    expect([...(await tenantsOf(again)).values()].map(({ id }) => id)).toEqual(
      [...tenants.values()].map(({ id }) => id),
    )
    expect(await placesOf(again)).toEqual(SEEDED)
    expect(again.gateway.stdout).not.toContain('migration applied')
    demo = again
  })

  test('takes over the data of a gateway that was killed', async () => {
    await demo.gateway.end('SIGKILL')
    expect(identifyProcess(demo.postgres.pid)).not.toBeNull()
    const again = await start()
    expect(identifyProcess(demo.postgres.pid)).toBeNull()
    expect(await placesOf(again)).toEqual(SEEDED)
    expect(await again.gateway.end('SIGINT')).toBe(0)
    await expectStopped(again)
    demo = again
  })

  test('uses another port when the port of its PostgreSQL is taken, and updates the databases of the demo', async () => {
    // 54329 if no other process has it, and always the port that the catalog has stored.
    await listen(demo.postgres.port)
    if (demo.postgres.port !== 54_329) await listen(54_329).catch(() => undefined)
    const moved = await start()
    expect(moved.postgres.port).not.toBe(demo.postgres.port)
    const { database } = (await tenantsOf(moved)).get('initech') ?? {}
    expect(database).toMatchObject({ status: 'active', port: moved.postgres.port })
    expect(await placesOf(moved)).toEqual(SEEDED)
    demo = moved
  })

  test("keeps a database that an operator registered instead of the demo's", async () => {
    const { id } = (await tenantsOf(demo)).get('initech') ?? {}
    const url = await ownDatabase(demo, 'elsewhere')
    const made = await demo.caller.registerDatabase(String(id), url)
    const [current, candidate] = [made.database, made.candidate?.database]
    expect(await demo.gateway.end('SIGINT')).toBe(0)
    await expectStopped(demo)
    const after = await start()
    const { body } = await after.caller.operator('GET', `/tenants/${id}/database`)
    expect([body.database, body.candidate?.database]).toEqual([current, candidate])
    expect(await after.gateway.end('SIGINT')).toBe(0)
  })
})

/** As an operator would prepare it. */
async function ownDatabase({ postgres }: Demo, name: string): Promise<string> {
  await asSuperuser(directory, `CREATE ROLE ${name} LOGIN PASSWORD 'not-a-secret-of-anybody'`)
  await asSuperuser(directory, `CREATE DATABASE ${name} OWNER ${name}`)
  return `postgresql://${name}:not-a-secret-of-anybody@127.0.0.1:${postgres.port}/${name}`
}

type Moment = [when: string, reached: (gateway: GatewayProcess) => Promise<unknown>]

describe('a start that is not completed', () => {
  let place: string
  beforeAll(async () => {
    place = await makeThrowawayDirectory()
  })
  afterEach(async () => {
    const left = await readdir(join(place, '.freehold')).catch(() => [])
    expect(left.filter((name) => /lock|draft|init-/.test(name))).toEqual([])
    await expect(access(join(place, '.freehold/postgres/postmaster.pid'))).rejects.toThrow()
  })
  afterAll(() => removeDemo(place))

  // All are first starts, and each continues the one before.
  test.each<Moment>([
    ['PostgreSQL is being made', async () => until(join(place, '.freehold/postgres.lock'))],
    ['migrations are applied', (gateway) => gateway.until(/migration applied/)],
    ['the demo is seeded', (gateway) => gateway.until(/"listening"/)],
    ['a database is validated', (gateway) => gateway.until(/database validated/)],
  ])('is stopped by Ctrl-C while %s, and leaves no process running', async (_when, moment) => {
    const gateway = launch(place)
    await moment(gateway)
    expect(await gateway.end('SIGINT')).toBe(0)
    expect(gateway.stderr).not.toMatch(/Error/)
  })

  test('names the port that is taken without a stack trace, and stops its PostgreSQL', async () => {
    const squatter = await listen(0)
    const port = String((squatter.address() as { port: number }).port)
    const gateway = launch(place, { env: { PORT: port } })
    expect(await gateway.ended).toBe(1)
    expect(gateway.stderr).toContain(`port ${port} is in use already`)
    expect(gateway.stderr).not.toMatch(/^ +at /m)
  })

  test('is completed by the next start', async () => {
    const whole = await start(place)
    expect(await placesOf(whole)).toEqual(SEEDED)
    expect(await whole.gateway.end('SIGTERM')).toBe(0)
  })
})

async function until(path: string): Promise<void> {
  await expect
    .poll(
      () =>
        access(path).then(
          () => true,
          () => false,
        ),
      { timeout: 60_000, interval: 5 },
    )
    .toBe(true)
}

describe('several starts', () => {
  let clone: string
  beforeAll(async () => {
    clone = await cloneLike()
  })
  afterAll(() => removeDemo(clone))

  test('that were killed at any moment of seeding are completed by the next start', async () => {
    const place = await makeThrowawayDirectory()
    onTestFinished(() => removeDemo(place))
    for (const words of [/"listening"/, /database validated/]) {
      const gateway = launch(place)
      await gateway.until(words)
      await gateway.end('SIGKILL')
    }
    const whole = await start(place)
    expect(await placesOf(whole)).toEqual(SEEDED)
    expect(await whole.gateway.end()).toBe(0)
  })

  test('at the same time in an empty directory leave one gateway that serves', async () => {
    const both = [launch(clone), launch(clone)]
    const first = await Promise.race(both.map((gateway) => gateway.ended))
    expect(first).toBe(1)
    const winner = both.find(({ child }) => child.exitCode === null)
    await winner?.until(/Ctrl-C stops/)
    expect(await winner?.end('SIGINT')).toBe(0)
  })

  test('by npm find usable secrets, and end cleanly when the terminal interrupts all their processes, also twice', async () => {
    const npm = launch(clone, { command: ['npm', 'start'] })
    await npm.until(/Ctrl-C stops/)
    const postgres = await postmaster(clone)
    const [, pid] = await npm.until(/"listening"/).then(async () => {
      const lock = JSON.parse(await readFile(join(clone, '.freehold/postgres.lock'), 'utf8'))
      return [null, Number(lock.pid)] as const
    })
    process.kill(-npm.pid, 'SIGINT')
    // npm passes the signal on to its child. The child may be the gateway itself, if the shell has replaced itself by it.
    process.kill(pid, 'SIGINT')
    await npm.ended
    expect(npm.stdout).toContain('"stopped"')
    await expect.poll(() => identifyProcess(pid)).toBeNull()
    expect(identifyProcess(postgres.pid)).toBeNull()
  })
})

/** A directory with the parts of a clone that `npm start` needs, so that `.freehold/` is created here. */
async function cloneLike(): Promise<string> {
  const place = await makeThrowawayDirectory()
  await copyFile(join(checkout, 'package.json'), join(place, 'package.json'))
  for (const name of ['src', 'node_modules']) await symlink(join(checkout, name), join(place, name))
  return place
}

describe.runIf(process.getuid?.() === 0)('an ordinary user, after root has run the tests', () => {
  test('starts, stops and starts again in a directory that only this user may enter', async ({ skip }) => {
    const main = join(checkout, 'src/main.ts')
    const readable = await runCommand(process.execPath, ['--check', main], nobodyUser).catch(() => null)
    if (readable?.exitCode !== 0) return skip('an ordinary user cannot read this checkout')
    const place = await makeThrowawayDirectory()
    onTestFinished(() => removeDemo(place))
    await chown(place, nobodyUser.uid, nobodyUser.gid)
    const first = await start(place, { user: nobodyUser })
    expect((await stat(join(place, '.freehold'))).uid).toBe(nobodyUser.uid)
    expect(await placesOf(first)).toEqual(SEEDED)
    expect(await first.gateway.end('SIGINT')).toBe(0)
    await expectStopped(first, place)
    const second = await start(place, { user: nobodyUser })
    expect(second.token).toBe(first.token)
    expect(await second.gateway.end('SIGINT')).toBe(0)
  })
})
