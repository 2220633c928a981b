import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { checkout } from '../support/checkout.ts'
import { dropAll } from '../support/database.ts'
import { Caller, createStage, type Stage, type TestTenant } from '../support/gateway.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import { PLACES, startProcess } from './support.ts'

const DELAY_SECONDS = 3
const SETTINGS = {
  SHUTDOWN_DELAY_SECONDS: String(DELAY_SECONDS),
  SHUTDOWN_GRACE_SECONDS: String(DELAY_SECONDS * 3),
}
const HAPROXY = '/usr/sbin/haproxy'
const CLIENTS = 4

const running: GatewayProcess[] = []
let stage: Stage

beforeAll(async () => {
  stage = await createStage()
})
afterAll(async () => {
  for (const { child } of running) child.kill('SIGKILL')
  await Promise.all(running.map(({ ended }) => ended))
  await dropAll()
})

async function start() {
  const started = await startProcess(stage, SETTINGS)
  running.push(started.process)
  return started
}

/** A status, or why there was none. Each call opens a new connection, as a proxy does. */
async function ask(url: string, headers: Record<string, string> = {}): Promise<number | string> {
  try {
    const answer = await fetch(url, { headers: { connection: 'close', ...headers } })
    await answer.arrayBuffer()
    return answer.status
  } catch (error) {
    return String((error as { cause?: { code?: string } }).cause?.code ?? error)
  }
}

const places = (url: string, { token }: TestTenant) =>
  ask(`${url}${PLACES}`, { authorization: `Bearer ${token}` })

describe('a gateway that is told to stop', () => {
  test('still serves during the delay while it reports that it is not ready', async () => {
    const { process: gateway, caller } = await start()
    const tenant = await caller.createTenant()
    const signalledAt = performance.now()
    gateway.child.kill('SIGTERM')
    await expect.poll(() => ask(`${caller.url}/readyz`), { interval: 5 }).toBe(503)
    expect(await (await fetch(`${caller.url}/readyz`)).json()).toEqual({ status: 'draining' })
    expect(await places(caller.url, tenant)).toBe(200)
    expect(await gateway.ended).toBe(0)
    const tookMs = performance.now() - signalledAt
    expect(tookMs).toBeGreaterThanOrEqual(DELAY_SECONDS * 1_000)
    expect(tookMs).toBeLessThan(DELAY_SECONDS * 3_000 + 1_000)
  })
})

/** The proxy of `docker-compose.yml`, with the addresses of two gateways instead of Docker's name server. */
async function startProxy(gateways: readonly string[]): Promise<string> {
  const port = await freePort()
  const servers = gateways.map(
    (url, at) => `    server gateway-${at} ${new URL(url).host} check inter 1s fall 2 rise 1`,
  )
  const config = readFileSync(join(checkout, 'deploy/haproxy.cfg'), 'utf8')
    .replace(/\nresolvers docker\n(?: {4}.*\n)+/, '\n')
    .replace(/ {4}server-template .*/, servers.join('\n'))
    .replace('bind :8080', `bind 127.0.0.1:${port}`)
  const directory = await mkdtemp(join(tmpdir(), 'freehold-proxy-'))
  await writeFile(join(directory, 'haproxy.cfg'), config)
  const proxy: ChildProcess = spawn(HAPROXY, ['-db', '-f', join(directory, 'haproxy.cfg')], {
    stdio: 'ignore',
  })
  onTestFinished(async () => {
    proxy.kill('SIGKILL')
    await once(proxy, 'close')
    await rm(directory, { recursive: true })
  })
  return `http://127.0.0.1:${port}`
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

/** Sends requests without a pause until it is stopped. Returns their outcomes. */
function keepAsking(url: string, tenant: TestTenant) {
  const seen = new Map<number | string, number>()
  let stopping = false
  const work = async () => {
    while (!stopping) {
      const outcome = await places(url, tenant)
      seen.set(outcome, (seen.get(outcome) ?? 0) + 1)
    }
  }
  const done = Promise.all(Array.from({ length: CLIENTS }, work))
  return async () => {
    stopping = true
    await done
    return seen
  }
}

describe.skipIf(!existsSync(HAPROXY))('behind the proxy (needs haproxy)', () => {
  test('no request fails while one gateway after the other is replaced', async () => {
    const [one, other] = await Promise.all([start(), start()])
    const tenant = await one.caller.createTenant()
    const url = await startProxy([one.caller.url, other.caller.url])
    await expect.poll(() => ask(`${url}/livez`)).toBe(200)
    const stop = keepAsking(url, tenant)
    await delay(500)
    expect(await one.process.end('SIGTERM')).toBe(0)
    const seen = await stop()
    expect([...seen.keys()]).toEqual([200])
    expect(seen.get(200)).toBeGreaterThan(20)
  })

  test('callers keep the addresses that the proxy reports', async () => {
    const { process: gateway } = await startProcess(stage, { ...SETTINGS, TRUSTED_PROXIES: '127.0.0.0/8' })
    running.push(gateway)
    const url = await startProxy([await gateway.url()])
    await expect.poll(() => ask(`${url}/livez`)).toBe(200)
    const caller = new Caller(url, stage.operatorToken)
    const { code } = await caller.createTenant()
    const headers = { 'content-type': 'application/json', 'x-forwarded-for': '203.0.113.9' }
    const body = JSON.stringify({ tenantCode: code, email: 'a@b.example', password: 'not-the-password' })
    expect((await fetch(`${url}/api/v1/auth/login`, { method: 'POST', headers, body })).status).toBe(401)
    const addresses = async () => {
      const { body: log } = await caller.operator('GET', '/audit-log?action=auth.login-failed')
      return log.data.map(({ address }: { address: string }) => address)
    }
    await expect.poll(addresses).toContain('203.0.113.9')
  })
})
