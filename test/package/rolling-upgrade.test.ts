import { readFileSync } from 'node:fs'
import { cp, readFile, writeFile } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { makeThrowawayDirectory, removeThrowaway } from '../../src/testing/throwaway.ts'
import { Balancer } from '../support/balancer.ts'
import { checkout } from '../support/checkout.ts'
import { codeBlocks } from '../support/code-blocks.ts'
import { createDatabase, createRole, dropAll, query, superuserUrl, urlFor } from '../support/database.ts'
import { Caller, createStage, environmentOf, type Stage, type TestTenant } from '../support/gateway.ts'
import { GatewayProcess, quickStart } from '../support/gateway-process.ts'
import { installPackage, packedOnce, packNext } from '../support/package.ts'
import { Shell } from '../support/shell.ts'

const TIME_LIMIT_MS = 300_000
/** Of the page: the gateway of the new release that the proxy does not know. */
const FIRST_OF_THE_PAGE = 'http://127.0.0.1:8090'
const CHECK = 'npx freehold migrate --check'
const GATEWAYS = 2
/** Between two turns of a caller, so that the gateways and the commands of the page have the processor too. */
const PAUSE_MS = 50
const DEDICATED = 3
const OLD_COLUMN = "text('speciality')"
const NEW_COLUMN = "text('field_of_work')"

interface Release {
  readonly version: string
  /** The application's migration, as `docs/how-to/change-your-tables.md` has it, and Freehold's own. */
  readonly migrations: Readonly<Record<string, string>>
}

interface Home {
  readonly tenant: TestTenant
  readonly url: string
}

const guide = blocksOf('upgrade.md', 'sh')
const steps = blocksOf('change-your-tables.md', 'sql').filter((sql) => sql.includes('practitioners_both'))
const RELEASE_2: Release = {
  version: '0.99.0',
  migrations: {
    'migrations/0001_add-field-of-work.sql': steps[0] ?? '',
    'node_modules/freehold/tenant-migrations/core/9000_next-release.sql':
      "COMMENT ON TABLE public.users IS 'people of tenants';\n",
    'node_modules/freehold/catalog-migrations/9000_next-release.sql':
      "COMMENT ON TABLE tenants IS 'the tenants';\n",
  },
}
const RELEASE_3: Release = {
  version: '0.99.1',
  migrations: { ...RELEASE_2.migrations, 'migrations/0002_drop-speciality.sql': steps[1] ?? '' },
}

let directory: string
let stage: Stage
const serving: GatewayProcess[] = []
let homes: Home[]
const balancer = new Balancer()
const started: GatewayProcess[] = []

beforeAll(async () => {
  directory = await makeThrowawayDirectory()
  stage = await createStage({ empty: true })
  await cp(join(checkout, 'examples/clinic'), join(directory, 'clinic'), { recursive: true })
  await installPackage(join(directory, 'clinic'), await packedOnce(inject('runId')))
}, TIME_LIMIT_MS)
afterAll(async () => {
  await balancer.end()
  for (const { child } of started) child.kill('SIGKILL')
  await Promise.all(started.map(({ ended }) => ended))
  await dropAll()
  await removeThrowaway(directory)
})

/** The blocks of a page in one language, in order. */
function blocksOf(page: string, language: string): string[] {
  const text = readFileSync(join(checkout, 'docs/how-to', page), 'utf8')
  return codeBlocks(text)
    .filter((block) => block.language === language)
    .map((block) => block.text.trimEnd())
}

const settings = () =>
  environmentOf(stage, {
    MIGRATE_ON_START: 'false',
    SHUTDOWN_DELAY_SECONDS: '1',
    SHUTDOWN_GRACE_SECONDS: '6',
  })

async function start(folder: string): Promise<{ gateway: GatewayProcess; url: string }> {
  const command = [join(folder, 'node_modules/.bin/freehold'), 'start'] as const
  const gateway = new GatewayProcess({ command, cwd: folder, env: settings() })
  started.push(gateway)
  return { gateway, url: await gateway.url() }
}

async function stop(gateway: GatewayProcess): Promise<void> {
  const url = await gateway.url()
  expect(await gateway.end('SIGTERM')).toBe(0)
  balancer.remove(url)
}

/** A shell in the folder of a release, with the settings that the page asks for. */
function openShell(folder: string, url: string): Shell {
  const path = [join(folder, 'node_modules/.bin'), dirname(process.execPath), process.env.PATH ?? '']
  const operator = { FREEHOLD_URL: url, FREEHOLD_TOKEN: stage.operatorToken }
  return new Shell({
    cwd: folder,
    env: { ...settings(), ...quickStart, ...operator, PATH: path.join(delimiter), HOME: directory },
  })
}

/** The application of the next release in a folder of its own, with the package of the next release installed. */
async function install({ version, migrations }: Release): Promise<string> {
  const folder = join(directory, `clinic-${version}`)
  await cp(join(checkout, 'examples/clinic'), folder, { recursive: true })
  const current = await packedOnce(inject('runId'))
  await installPackage(folder, await packNext(current, { directory, version, change: async () => undefined }))
  for (const [name, sql] of Object.entries(migrations)) await writeFile(join(folder, name), sql)
  const tables = await readFile(join(folder, 'tables.ts'), 'utf8')
  expect(tables).toContain(OLD_COLUMN)
  await writeFile(join(folder, 'tables.ts'), tables.replace(OLD_COLUMN, NEW_COLUMN))
  return folder
}

/** One tenant's caller, without a pause until it is stopped: it writes, changes, reads and signs in through the balancer. */
function keepCalling({ tenant }: Home) {
  const written = new Map<string, string>()
  let isStopped = false
  const call = async (method: string, path: string, body?: object) => {
    const { token } = tenant
    const caller = new Caller(balancer.next(), stage.operatorToken)
    const answer = await caller.call(method, `/api/v1${path}`, { token, ...(body !== undefined && { body }) })
    expect([200, 201], `${method} ${path} at ${caller.url}: ${answer.text}`).toContain(answer.status)
    return answer.body
  }
  const work = async () => {
    for (let turn = 0; !isStopped; turn++) {
      const { id } = await call('POST', '/practitioners', { name: `Dr ${turn}`, speciality: `made ${turn}` })
      written.set(id, `made ${turn}`)
      if (turn % 2 === 0) {
        await call('PATCH', `/practitioners/${id}`, { speciality: `changed ${turn}` })
        written.set(id, `changed ${turn}`)
      }
      expect(await call('GET', `/practitioners/${id}`)).toMatchObject({ speciality: written.get(id) })
      await call('GET', '/practitioners')
      await sleep(PAUSE_MS)
      if (turn % 10 === 0) await call('POST', '/auth/login', { tenantCode: tenant.code, ...tenant.admin })
    }
  }
  // The error is thrown when the caller is stopped, and not where no test waits for it.
  const done = work().catch((error: unknown) => error)
  return async () => {
    isStopped = true
    const error = await done
    if (error !== undefined) throw error
    return written
  }
}

/** Follows the page from a release to the next. Every command of the page must succeed. */
async function upgrade(release: Release): Promise<void> {
  const folder = await install(release)
  const shell = openShell(folder, balancer.next())
  let first: { gateway: GatewayProcess; url: string } | null = null
  for (const block of guide) {
    if (block.includes(FIRST_OF_THE_PAGE)) first ??= await start(folder)
    const script = block.replaceAll(FIRST_OF_THE_PAGE, first?.url ?? '')
    if (block.startsWith('npx freehold migrations status') && first !== null) {
      await replaceAll(folder)
      await stop(first.gateway)
      // The address in the shell is that of a gateway that is gone.
      await shell.run(`export FREEHOLD_URL=${balancer.next()}`)
    }
    const printed = await shell.run(block === CHECK ? `${script} || test $? -eq 1` : script)
    if (block === CHECK)
      expect(printed).toContain(Object.keys(release.migrations)[0]?.match(/\d{4}_[\w-]+/)?.[0])
  }
  await shell.end()
}

async function replaceAll(folder: string): Promise<void> {
  for (const old of serving.splice(0)) {
    const next = await start(folder)
    await balancer.add(next.url)
    await stop(old)
    serving.push(next.gateway)
  }
}

const operator = () => new Caller(balancer.next(), stage.operatorToken)

async function openHomes(): Promise<Home[]> {
  const shared = { tenant: await operator().createTenant('cedar'), url: stage.sharedUrl }
  const dedicated = Array.from({ length: DEDICATED }, async (_, at) => {
    const role = await createRole()
    const url = urlFor({ role, database: await createDatabase({ owner: role.name }) })
    const tenant = await operator().createTenant(`willow-${at}`)
    expect(await operator().registerDatabase(tenant.id, url)).toMatchObject({ status: 'active' })
    return { tenant, url }
  })
  return [shared, ...(await Promise.all(dedicated))]
}

/** What the database itself holds, in the given column. */
async function storedIn({ url, tenant }: Home, column: string): Promise<Map<string, string>> {
  const rows = await query<{ id: string; value: string }>(
    superuserUrl(new URL(url).pathname.slice(1)),
    `SELECT id, ${column} AS value FROM practitioners WHERE tenant_id = '${tenant.id}'`,
  )
  return new Map(rows.map(({ id, value }) => [id, value]))
}

describe('two releases, two gateways, one after the other', { timeout: TIME_LIMIT_MS }, () => {
  test('the page names a command for each of its steps', () => {
    expect(guide.length).toBeGreaterThanOrEqual(7)
    expect(guide).toContain(CHECK)
    expect(steps).toHaveLength(2)
  })

  test('release 1 serves tenants in both placements', async () => {
    const clinic = join(directory, 'clinic')
    const shell = openShell(clinic, '')
    await shell.run('npx freehold migrate')
    await shell.end()
    for (let at = 0; at < GATEWAYS; at++) {
      const { gateway, url } = await start(clinic)
      await balancer.add(url)
      serving.push(gateway)
    }
    homes = await openHomes()
  })

  test.each([RELEASE_2, RELEASE_3])(
    'no request fails during the upgrade to $version, and no row is lost',
    async (release) => {
      const stops = homes.map(keepCalling)
      await upgrade(release)
      for (const [at, stopCalling] of stops.entries()) {
        const written = await stopCalling()
        expect(written.size).toBeGreaterThan(5)
        const stored = await storedIn(homes[at] as Home, 'field_of_work')
        for (const [id, value] of written) expect(stored.get(id)).toBe(value)
      }
      const { body } = await operator().call('GET', '/health')
      expect(body).toMatchObject({ version: release.version, status: 'ok' })
      const { body: fleet } = await operator().operator('GET', '/migrations')
      expect(fleet.databases).toMatchObject({ current: DEDICATED + 1, behind: 0, failed: 0 })
    },
  )

  test('afterwards the old column is gone from every database', async () => {
    for (const home of homes) await expect(storedIn(home, 'speciality')).rejects.toThrow('does not exist')
  })
})
