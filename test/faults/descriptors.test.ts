import { existsSync, readdirSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { dropAll } from '../support/database.ts'
import { Caller, createStage, environmentOf, type TestTenant } from '../support/gateway.ts'
import { gatewayProgram } from '../support/gateway-bundle.ts'
import { GatewayProcess } from '../support/gateway-process.ts'
import { expectUnavailable, makePlace, PLACES } from './support.ts'

const DESCRIPTORS = 1_024
const SILENT = 1_100

let process: GatewayProcess
let caller: Caller
let tenant: TestTenant
const silent: Socket[] = []

beforeAll(async () => {
  const stage = await createStage()
  const limited = `ulimit -n ${DESCRIPTORS} && exec "$0" "$1"`
  process = new GatewayProcess({
    env: environmentOf(stage),
    command: ['sh', '-c', limited, globalThis.process.execPath, gatewayProgram()],
  })
  caller = new Caller(await process.url(), stage.operatorToken)
  await process.until(/"msg":"ready"/)
  tenant = await caller.createTenant()
})
afterAll(async () => {
  for (const socket of silent) socket.destroy()
  await process?.end('SIGKILL')
  await dropAll()
})

/** Null if the connection was reset. */
async function ask(path = PLACES) {
  // Opens a new connection. One that was opened before the others would be served.
  const call = { token: tenant.token, headers: { connection: 'close' } }
  return caller.call('GET', path, call).catch(() => null)
}

async function connectInSilence(): Promise<void> {
  const { hostname, port } = new URL(caller.url)
  for (let n = 0; n < SILENT; n += 1) {
    silent.push(connect(Number(port), hostname).on('error', () => undefined))
    if (n % 50 === 49) await delay(5)
  }
}

test('logs at the start how many callers may connect', () => {
  const limit = process.log().find(({ msg }) => msg === 'HTTP connections limited')
  // 100 for databases, and a reserve.
  expect(limit).toMatchObject({ level: 'info', most: 828, mark: 745 })
})

test('more silent connections than there are descriptors block callers only briefly and do not end the process', async () => {
  await connectInSilence()
  // Connections beyond the limit are reset at once, so that the process has descriptors for its own work.
  if (existsSync('/proc'))
    expect(readdirSync(`/proc/${process.pid}/fd`).length).toBeLessThan(DESCRIPTORS - 60)
  // Connections beyond the mark are closed first. Then there is room for an answer that says why.
  await expect.poll(async () => (await ask())?.body?.code).toBe('NO_CONNECTION_AVAILABLE')
  const refused = await ask()
  if (refused?.status === 503) {
    expectUnavailable(refused, 'NO_CONNECTION_AVAILABLE')
    expect(refused.headers.get('connection')).toBe('close')
  }
  await expect.poll(async () => (await ask('/livez'))?.status).toBe(200)
  // They have sent nothing for fifteen seconds, and Node checks every five.
  await expect.poll(async () => (await ask())?.status, { timeout: 60_000, interval: 200 }).toBe(200)
  const isOpen = (socket: Socket) => !socket.destroyed && !socket.readableEnded
  for (const socket of silent) socket.resume()
  await expect.poll(() => silent.filter(isOpen).length).toBe(0)
  await makePlace(caller, tenant, 'Afterwards')
  expect(process.log()).toContainEqual(
    expect.objectContaining({ level: 'warn', msg: 'too many HTTP connections', mark: 745 }),
  )
  expect(await process.end()).toBe(0)
  expect(process.stderr).toBe('')
}, 120_000)
