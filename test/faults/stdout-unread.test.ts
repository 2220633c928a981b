import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeAll, expect, test } from 'vitest'
import { checkout } from '../support/checkout.ts'
import { createStage, environmentOf, type Stage } from '../support/gateway.ts'
import { gatewayProgram } from '../support/gateway-bundle.ts'
import { quickStart } from '../support/gateway-process.ts'

/** More than a pipe and its reader can hold before the writer must wait. */
const LINES = 2_500
const AT_ONCE = 20
/** The last flush takes a second; the rest is for a machine that is busy with other tests. */
const SOON_MS = 5_000
const TIME_LIMIT_MS = 90_000

let stage: Stage
let child: ChildProcess

beforeAll(async () => {
  stage = await createStage()
})
afterEach(() => {
  child.kill('SIGKILL')
})

/** Starts a gateway and reads its stdout until it listens. After that the stream stays open and is not read. */
async function startUnread(graceSeconds: number): Promise<string> {
  const { PATH = '', HOME = '/' } = process.env
  const env = {
    PATH,
    HOME,
    ...quickStart,
    ...environmentOf(stage, { SHUTDOWN_GRACE_SECONDS: String(graceSeconds) }),
  }
  child = spawn(process.execPath, [gatewayProgram()], {
    cwd: checkout,
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  let said = ''
  const listening = /"port":(\d+),"host":"[^"]*","msg":"listening"/
  for await (const chunk of child.stdout?.iterator({ destroyOnReturn: false }) ?? []) {
    said += chunk
    if (listening.test(said) && said.includes('"msg":"ready"')) break
  }
  child.stdout?.pause()
  return `http://127.0.0.1:${listening.exec(said)?.[1]}`
}

async function fillStdout(url: string): Promise<void> {
  const turns = Array.from({ length: LINES }, (_, n) => n).values()
  const ask = async () => {
    for (const _ of turns) await fetch(`${url}/nothing-is-here`).then((answer) => answer.text())
  }
  await Promise.all(Array.from({ length: AT_ONCE }, ask))
}

/** How the process ended, or null if it has not ended in time. */
function endWithin(ms: number): Promise<number | string | null> {
  const ended = once(child, 'exit').then(([code, signal]) => code ?? signal)
  return Promise.race([ended, delay(ms, null)])
}

test(
  'a process whose stdout is not read still serves, and stops when it is told to',
  async () => {
    const url = await startUnread(1)
    await fillStdout(url)
    expect((await fetch(`${url}/readyz`)).status).toBe(200)
    const ended = endWithin(1_000 + SOON_MS)
    child.kill('SIGTERM')
    expect(await ended).toBe(0)
  },
  TIME_LIMIT_MS,
)

test(
  'a second signal ends the process at once, even with requests running',
  async () => {
    const url = await startUnread(60)
    await fillStdout(url)
    const { hostname, port } = new URL(url)
    const unfinished = connect(Number(port), hostname).on('error', () => undefined)
    unfinished.write(
      'POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{',
    )
    await fetch(`${url}/readyz`)
    child.kill('SIGTERM')
    // A signal that follows at once counts as the same one, passed on by npm.
    expect(await endWithin(1_500)).toBe(null)
    const ended = endWithin(SOON_MS)
    child.kill('SIGTERM')
    expect(await ended).toBe(1)
    unfinished.destroy()
  },
  TIME_LIMIT_MS,
)
