import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { checkout } from '../support/checkout.ts'
import { dropAll, query, superuserUrl } from '../support/database.ts'
import { type Caller, createStage, type Stage, startGateway, type TestGateway } from '../support/gateway.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import { startProcess } from './support.ts'

const AHEAD_MS = 7_000
const TIME_LIMIT = { timeout: 60_000, interval: 50 }
const WARNING = `"msg":"this machine's clock differs from the catalog's"`
const SKEW = /^freehold_catalog_clock_skew_seconds (-?[\d.e-]+)$/m

let stage: Stage
let right: TestGateway
let wrong: { process: GatewayProcess; caller: Caller }
beforeAll(async () => {
  stage = await createStage()
  right = await startGateway(stage)
  const preload = join(checkout, 'test', 'support', 'wrong-clock.mjs')
  wrong = await startProcess(stage, {
    NODE_OPTIONS: `--import=${preload}`,
    WRONG_CLOCK_MS: String(AHEAD_MS),
  })
  await wrong.process.until(/"msg":"ready"/)
}, 60_000)
afterAll(async () => {
  await wrong?.process.end('SIGKILL')
  await right?.close()
  await dropAll()
})

const catalog = () => superuserUrl(new URL(stage.catalogUrl).pathname.slice(1))
const skewOf = async (caller: Caller) =>
  Number(SKEW.exec((await caller.call('GET', '/metrics')).text)?.[1] ?? Number.NaN)

test('a gateway with a wrong clock reports it once in log and metrics; a gateway with a right clock reports nothing', async () => {
  await expect.poll(() => skewOf(wrong.caller), TIME_LIMIT).toBeCloseTo(-AHEAD_MS / 1000, 0)
  await expect.poll(async () => Math.abs(await skewOf(right)), TIME_LIMIT).toBeLessThan(1)
  const beats = async () =>
    (await query(catalog(), 'SELECT min(heartbeat_at)::text AS at FROM replicas'))[0]?.at
  for (let beat = 0; beat < 3; beat += 1) {
    const last = await beats()
    await expect.poll(beats, TIME_LIMIT).not.toBe(last)
  }
  expect(wrong.process.stdout.split(WARNING)).toHaveLength(2)
  expect(right.log()).not.toContain(WARNING)
})

test('audit entries of a gateway with a wrong clock have the time of the catalog', async () => {
  const [{ before } = {}] = await query(catalog(), 'SELECT now() AS before')
  const tenant = await wrong.caller.createTenant()
  const body = { tenantCode: tenant.code, email: tenant.admin.email, password: 'not the password at all' }
  expect((await wrong.caller.call('POST', '/api/v1/auth/login', { body })).status).toBe(401)
  const rows = () =>
    query(
      catalog(),
      'SELECT action, at BETWEEN $1 AND now() AS is_right FROM audit_log WHERE at >= $1 OR at > now()',
      [before],
    )
  // One entry is written with its change, the other through the audit trail.
  await expect.poll(async () => (await rows()).length, TIME_LIMIT).toBeGreaterThanOrEqual(3)
  const found = await rows()
  expect(found.filter(({ is_right }) => is_right !== true)).toEqual([])
  expect(new Set(found.map(({ action }) => action)).size).toBeGreaterThan(1)
})
