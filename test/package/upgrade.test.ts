import { readdirSync } from 'node:fs'
import { cp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { makeThrowawayDirectory, removeThrowaway } from '../../src/testing/throwaway.ts'
import { checkout } from '../support/checkout.ts'
import { createDatabase, createRole, dropAll, urlFor } from '../support/database.ts'
import { Caller, createStage, environmentOf, type Stage, type TestTenant } from '../support/gateway.ts'
import { GatewayProcess } from '../support/gateway-process.ts'
import { installPackage, packedOnce, packNext } from '../support/package.ts'
import { runIn } from '../support/project.ts'

const TIME_LIMIT_MS = 300_000
const NEXT_VERSION = '0.99.0'
const NEXT_MIGRATION = '9000_next-release'
const NINE = { startsAt: '2031-05-06T09:00:00Z', endsAt: '2031-05-06T09:30:00Z' }

let directory: string
let clinic: string
let stage: Stage
let env: Record<string, string>
let tenants: Record<'shared' | 'dedicated', TestTenant>
const running: GatewayProcess[] = []

beforeAll(async () => {
  directory = await makeThrowawayDirectory()
  clinic = join(directory, 'clinic')
  await cp(join(checkout, 'examples/clinic'), clinic, { recursive: true })
  await installPackage(clinic, await packedOnce(inject('runId')))
  stage = await createStage({ empty: true })
  env = environmentOf(stage)
}, TIME_LIMIT_MS)
afterAll(async () => {
  for (const { child } of running) child.kill('SIGKILL')
  await Promise.all(running.map(({ ended }) => ended))
  await dropAll()
  await removeThrowaway(directory)
})

function launch(...command: [string, ...string[]]): GatewayProcess {
  const gateway = new GatewayProcess({ command, cwd: clinic, env })
  running.push(gateway)
  return gateway
}

async function start(): Promise<{ gateway: GatewayProcess; caller: Caller }> {
  const gateway = launch(join(clinic, 'node_modules/.bin/freehold'), 'start')
  return { gateway, caller: new Caller(await gateway.url(), stage.operatorToken) }
}

async function book(caller: Caller, { code, admin }: TestTenant): Promise<{ status: number; code?: string }> {
  const token = await caller.login(code, admin)
  const call = (method: string, path: string, body?: object) =>
    caller.call(method, `/api/v1${path}`, { token, ...(body !== undefined && { body }) })
  const idIn = async (path: string, name: string) => {
    const { body } = await call('GET', path)
    return body.data[0]?.id ?? (await call('POST', path, { name })).body.id
  }
  const practitionerId = await idIn('/practitioners', 'Dr Osei')
  const patientId = await idIn('/patients', 'Ada Byron')
  const { status, body } = await call('POST', '/bookings', { practitionerId, patientId, ...NINE })
  return { status, code: body.code }
}

describe('an application in a package of its own', { timeout: TIME_LIMIT_MS }, () => {
  test('is served by freehold start, on both placements', async () => {
    const { gateway, caller } = await start()
    const role = await createRole()
    const url = urlFor({ role, database: await createDatabase({ owner: role.name }) })
    tenants = { shared: await caller.createTenant('cedar'), dedicated: await caller.createTenant('willow') }
    expect(await caller.registerDatabase(tenants.dedicated.id, url)).toMatchObject({ status: 'active' })
    for (const tenant of Object.values(tenants)) {
      expect(await book(caller, tenant)).toMatchObject({ status: 201 })
      expect(await book(caller, tenant)).toMatchObject({ status: 409, code: 'SLOT_TAKEN' })
    }
    expect(await gateway.end()).toBe(0)
  })

  test('runs inside its own Fastify', async () => {
    const server = launch(process.execPath, 'server.ts')
    const [, url = ''] = await server.until(/The clinic is at (http:\S+)/)
    expect(await (await fetch(url)).text()).toBe('The clinic')
    const caller = new Caller(url, stage.operatorToken)
    for (const tenant of Object.values(tenants))
      expect(await book(caller, tenant)).toMatchObject({ status: 409, code: 'SLOT_TAKEN' })
    server.child.kill('SIGKILL')
  })

  test('works without HTTP', async () => {
    for (const { code } of Object.values(tenants)) {
      const { stdout, stderr, ...ended } = await runIn(clinic, [process.execPath, 'remind-now.ts', code], env)
      expect({ ...ended, stderr }).toEqual({ code: 0, stderr: '' })
      expect(stdout).toMatch(/0 reminded$/m)
    }
  })

  test('still works after the next release is installed, for shared and dedicated tenants', async () => {
    const change = (folder: string) =>
      writeFile(
        join(folder, 'tenant-migrations/core', `${NEXT_MIGRATION}.sql`),
        "COMMENT ON TABLE public.users IS 'people of tenants';\n",
      )
    const current = await packedOnce(inject('runId'))
    await installPackage(clinic, await packNext(current, { directory, version: NEXT_VERSION, change }))
    expect(readdirSync(join(clinic, 'node_modules/freehold/tenant-migrations/core'))).toContain(
      `${NEXT_MIGRATION}.sql`,
    )
    const { gateway, caller } = await start()
    expect((await caller.call('GET', '/health')).body).toMatchObject({ version: NEXT_VERSION, status: 'ok' })
    for (const tenant of Object.values(tenants))
      expect(await book(caller, tenant)).toMatchObject({ status: 409, code: 'SLOT_TAKEN' })
    const path = `/tenants/${tenants.dedicated.id}/database`
    const version = async () => (await caller.operator('GET', path)).body.schemaVersion
    expect(await version()).toMatchObject({ application: '0000_clinic' })
    expect((await caller.operator('POST', '/migrations/runs', {})).status).toBe(202)
    await expect.poll(version).toMatchObject({ core: NEXT_MIGRATION })
    expect(await book(caller, tenants.dedicated)).toMatchObject({ status: 409 })
    expect(await gateway.end()).toBe(0)
  })
})
