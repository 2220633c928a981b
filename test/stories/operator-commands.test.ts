import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkout } from '../support/checkout.ts'
import { dropAll } from '../support/database.ts'
import { createStage, startGateway, type TestGateway } from '../support/gateway.ts'
import { GatewayProcess, quickStart } from '../support/gateway-process.ts'

const BIN = join(checkout, 'bin/freehold.js')
const CODE = 'acme-corp'
let gateway: TestGateway
let directory: string
let token: string
let redirecting: Server
const redirected: string[] = []

beforeAll(async () => {
  const stage = await createStage()
  token = stage.operatorToken
  gateway = await startGateway(stage)
  directory = await mkdtemp(join(tmpdir(), 'freehold-commands-'))
  await writeFile(join(directory, 'token'), `${token}\n`, { mode: 0o600 })
  await writeFile(join(directory, 'password'), 'correct horse battery staple\n', { mode: 0o600 })
  redirecting = createServer((request, response) => {
    redirected.push(`${request.url}`)
    response.writeHead(302, { location: `${gateway.url}/api/v1/tenants` }).end()
  }).listen(0, '127.0.0.1')
  await once(redirecting, 'listening')
})
afterAll(async () => {
  redirecting.close()
  await gateway.close()
  await dropAll()
  await rm(directory, { recursive: true, force: true })
})

async function freehold(args: readonly string[], more: Record<string, string> = {}) {
  const env = { FREEHOLD_URL: gateway.url, FREEHOLD_TOKEN: token, ...more }
  const ran = new GatewayProcess({ command: [process.execPath, BIN, ...args], cwd: directory, env })
  const code = await ran.ended
  return { code, stdout: ran.stdout, stderr: ran.stderr }
}
const json = async (...args: string[]) => {
  const ran = await freehold([...args, '--json'])
  expect(ran, ran.stderr).toMatchObject({ code: 0, stderr: '' })
  return JSON.parse(ran.stdout)
}

describe('an operator at a terminal', () => {
  test('creates a tenant, finds it by its code, and suspends it', async () => {
    const admin = ['--admin-email', 'ada@acme.example', '--admin-password-file', 'password']
    const made = await json('tenants', 'create', CODE, '--name', 'Acme Corporation', ...admin)
    expect(made).toMatchObject({ code: CODE, placement: 'shared' })
    expect(await json('tenants', 'get', CODE.toUpperCase())).toMatchObject({ id: made.id })
    expect(await json('tenants', 'get', made.id)).toMatchObject({ code: CODE })
    expect((await freehold(['tenants', 'list'])).stdout).toMatch(
      /^CODE +STATUS .*\nacme-corp +ACTIVE +shared/,
    )
    expect(await json('tenants', 'suspend', CODE)).toMatchObject({ status: 'INACTIVE' })
    expect(await json('tenants', 'activate', CODE)).toMatchObject({ status: 'ACTIVE' })
  })

  test('manages the people and keys of a tenant', async () => {
    const email = ['--email', 'bob@acme.example', '--password-file', 'password']
    const user = await json('users', 'create', CODE, ...email, '--name', 'Bob')
    expect(await json('users', 'update', CODE, user.id, '--name', 'Robert')).toMatchObject({ name: 'Robert' })
    expect((await json('users', 'list', CODE, '--limit', '1')).data).toHaveLength(1)
    expect((await json('users', 'list', CODE, '--all')).data).toHaveLength(2)
    const key = await freehold([
      'client-keys',
      'create',
      CODE,
      '--name',
      'Import',
      '--permissions',
      'users:read',
    ])
    expect(key.stdout).toMatch(/^key +fhk_\S{20,}$/m)
    const unconfirmed = await freehold(['users', 'remove', CODE, user.id])
    expect(unconfirmed).toMatchObject({ code: 4, stdout: '', stderr: expect.stringMatching(/^.*--yes\n$/) })
    expect(await freehold(['users', 'remove', CODE, user.id, '--yes'])).toMatchObject({ code: 0, stdout: '' })
    expect((await json('users', 'list', CODE, '--all')).data).toHaveLength(1)
  })

  test('runs migrations to their end', async () => {
    expect(await json('migrations', 'run')).toMatchObject({ status: 'succeeded' })
    expect((await freehold(['migrations', 'status'])).stdout).toMatch(/^databases\.behind +0$/m)
  })

  test('sees health and the audit log', async () => {
    expect(await json('health')).toMatchObject({ status: 'ok' })
    expect(await json('audit', 'verify')).toMatchObject({ ok: true })
    const { data } = await json('audit', 'list', '--tenant', CODE, '--action', 'tenant.create')
    expect(data).toHaveLength(1)
  })
})

describe('what is wrong ends with one line and no stack', () => {
  const refused = async (args: readonly string[], env: Record<string, string> = {}) => {
    const ran = await freehold(args, env)
    expect(ran.stdout).toBe('')
    expect(ran.stderr).toMatch(/^[^\n]+\n$/)
    expect(ran.stderr).not.toMatch(/\n +at |node:internal|\.ts:\d/)
    return ran
  }
  const LIST = ['tenants', 'list']

  test('a port where nothing listens', async () => {
    const ran = await refused(LIST, { FREEHOLD_URL: 'http://127.0.0.1:1' })
    expect(ran).toMatchObject({ code: 1, stderr: expect.stringContaining('FREEHOLD_URL') })
  })

  test('plain http to another machine', async () => {
    const ran = await refused([...LIST, '--url', 'http://gateway.example.com'])
    expect(ran).toMatchObject({ code: 1, stderr: expect.stringContaining('https://') })
  })

  test('a redirect, which the token does not follow', async () => {
    const { port } = redirecting.address() as AddressInfo
    const ran = await refused(LIST, { FREEHOLD_URL: `http://127.0.0.1:${port}` })
    expect(ran).toMatchObject({ code: 1, stderr: expect.stringContaining('redirect') })
    expect(redirected).toHaveLength(1)
  })

  test("a tenant's token", async () => {
    const tenant = await gateway.createTenant()
    const ran = await refused(LIST, { FREEHOLD_TOKEN: tenant.token })
    expect(ran).toMatchObject({ code: 1, stderr: expect.stringContaining('OPERATOR_REQUIRED') })
  })

  test('no token, or one in a file that is missing or that others can read', async () => {
    expect(await refused(LIST, { FREEHOLD_TOKEN: '' })).toMatchObject({ code: 2 })
    expect(await refused([...LIST, '--token-file', 'nothing'])).toMatchObject({ code: 1 })
    expect(await freehold([...LIST, '--token-file', 'token'], { FREEHOLD_TOKEN: '' })).toMatchObject({
      code: 0,
    })
    await chmod(join(directory, 'token'), 0o640)
    const ran = await refused([...LIST, '--token-file', 'token'])
    expect(ran).toMatchObject({ code: 1, stderr: expect.stringContaining('chmod 600') })
  })

  test('a tenant, a file or a number that is not there', async () => {
    expect(await refused(['tenants', 'get', 'no-such-tenant'])).toMatchObject({ code: 1 })
    expect(
      await refused(['users', 'create', CODE, '--email', 'a@b.example', '--password-file', 'no']),
    ).toMatchObject({
      code: 1,
    })
    expect(await refused([...LIST, '--limit', 'many'])).toMatchObject({ code: 2 })
  })

  test('a connection string in the wrong form, which is not repeated', async () => {
    const text = 'postgresql://user:canary-of-a-password@host.example/db?unknown=1'
    await writeFile(join(directory, 'string'), text, { mode: 0o600 })
    const ran = await refused(['databases', 'set', CODE, '--connection-string-file', 'string'])
    expect(ran).toMatchObject({ code: 1, stderr: expect.stringContaining('VALIDATION_FAILED') })
    expect(ran.stderr).not.toContain('canary')
  })

  test("with --json the error is the gateway's own document", async () => {
    const ran = await refused(['jobs', 'get', 'no-such-job', '--json'])
    expect(ran.code).toBe(1)
    expect(JSON.parse(ran.stderr)).toMatchObject({
      code: 'NOT_FOUND',
      status: 404,
      requestId: expect.any(String),
    })
  })

  test('a closed pipe', async () => {
    const { PATH = '' } = process.env
    const child = spawn(process.execPath, [BIN, 'tenants', 'list', '--json'], {
      env: { PATH, ...quickStart, FREEHOLD_URL: gateway.url, FREEHOLD_TOKEN: token },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    child.stdout.destroy()
    let stderr = ''
    child.stderr.on('data', (chunk) => {
      stderr += chunk
    })
    const [code] = await once(child, 'close')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  })
})
