import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { checkout } from '../support/checkout.ts'
import { createDatabase, createRole, dropAll, query, urlFor } from '../support/database.ts'
import { GatewayProcess } from '../support/gateway-process.ts'

const NOTHING = { migrations: [] }
let directory: string
let env: Record<string, string>

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'freehold-migrate-'))
  const property = JSON.stringify(join(checkout, 'src/applications/property/application.ts'))
  await writeFile(join(directory, 'app.ts'), `export { property as default } from ${property}\n`)
  const role = await createRole()
  const url = async () => urlFor({ role, database: await createDatabase({ owner: role.name }) })
  env = {
    CATALOG_DATABASE_URL: await url(),
    SHARED_DATABASE_URL: await url(),
    ENCRYPTION_KEY: randomBytes(32).toString('hex'),
  }
})
afterAll(async () => {
  await dropAll()
  await rm(directory, { recursive: true, force: true })
})

async function freehold(args: readonly string[], more: Record<string, string> = {}) {
  const command = [process.execPath, join(checkout, 'bin/freehold.js'), ...args] as const
  const process_ = new GatewayProcess({ command, cwd: directory, env: { ...env, ...more } })
  const code = await process_.ended
  return { code, stdout: process_.stdout, stderr: process_.stderr }
}
const json = (text: string) => JSON.parse(text)

test('lists missing migrations, applies them once, and then finds nothing to do', async () => {
  const before = await freehold(['migrate', '--check', '--app', 'app.ts', '--json'])
  expect(before.code).toBe(1)
  expect(json(before.stdout).catalog.migrations).toContain('0000_catalog')
  expect(json(before.stdout).shared.migrations).toEqual(
    expect.arrayContaining([expect.stringMatching(/^core\//), expect.stringMatching(/^application\//)]),
  )
  expect(json(before.stderr)).toMatchObject({ code: 'SCHEMA_OUT_OF_DATE' })
  const [{ journal } = {}] = await query(
    env.CATALOG_DATABASE_URL ?? '',
    "SELECT to_regclass('public.freehold_migrations') AS journal",
  )
  expect(journal).toBeNull()

  const applied = await freehold(['migrate', '--app', 'app.ts', '--json'])
  expect(applied).toMatchObject({ code: 0, stderr: '' })
  expect(json(applied.stdout).shared.migrations).toEqual(json(before.stdout).shared.migrations)

  const after = await freehold(['migrate', '--check', '--app', 'app.ts', '--json'])
  expect(after).toMatchObject({ code: 0, stderr: '' })
  expect(json(after.stdout)).toMatchObject({ catalog: NOTHING, shared: NOTHING })
  expect((await freehold(['migrate', '--app', 'app.ts'])).stdout).toMatch(
    /^catalog: up to date \(.+\)\nshared: up to date/,
  )
})

test('names the wrong setting in one line, and repeats no part of its value', async () => {
  const url = new URL(env.SHARED_DATABASE_URL ?? '')
  url.password = 'canary-of-a-password'
  const wrong = await freehold(['migrate', '--app', 'app.ts'], { SHARED_DATABASE_URL: url.href })
  expect(wrong.code).toBe(1)
  expect(wrong.stderr).toMatch(/^SHARED_DATABASE_URL .*\(28P01\)\n$/)
  expect(wrong.stderr).not.toContain(url.password)
})

test('reports faults of settings and application together, and ends with 78', async () => {
  const wrong = await freehold(['start', '--app', 'nothing.ts'], { CATALOG_DATABASE_URL: '', PORT: 'x' })
  expect(wrong.code).toBe(78)
  expect(wrong.stderr.trimEnd().split('\n')).toEqual([
    expect.stringMatching(/^CATALOG_DATABASE_URL /),
    expect.stringMatching(/^PORT /),
    expect.stringMatching(/^nothing\.ts does not exist/),
  ])
})

test('an unknown command ends with 2 and names a known one', async () => {
  expect(await freehold(['strat'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('Did you mean start'),
  })
  expect(await freehold([])).toMatchObject({ code: 2 })
  expect(await freehold(['--help'])).toMatchObject({ code: 0, stderr: '' })
})

test('tells a fault that no command expects in one line, with what to do', async () => {
  const ran = await freehold(['init', 'x'.repeat(300)])
  expect(ran.code).toBe(1)
  expect(ran.stderr).toMatch(/^ENAMETOOLONG[^\n]+\. Use a shorter name\n$/)
})

test('reports a Node that is too old', async () => {
  const older = 'data:text/javascript,Object.defineProperty(process,"versions",{value:{node:"22.17.9"}})'
  const command = [
    process.execPath,
    '--import',
    older,
    join(checkout, 'bin/freehold.js'),
    '--version',
  ] as const
  const started = new GatewayProcess({ command })
  expect(await started.ended).toBe(78)
  expect(started.stderr).toMatch(/^Freehold needs Node 22\.18 or newer; this is .*\n$/)
})
