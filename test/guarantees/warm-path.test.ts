import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { mainFile } from '../support/checkout.ts'
import { dropAll } from '../support/database.ts'
import { Caller, createStage, environmentOf, type TestTenant } from '../support/gateway.ts'
import type { Question, Ran } from './warm-path/recorder.ts'

// The files of src/ that a reader must follow to understand a warm request: those in which a function ran, counted by V8's
// coverage in a gateway process. Files that only timers use do not run in each of several requests.

const WARM_UPS = 30
const REQUESTS = 5
/** The limits may be lowered, and never raised. */
const MOST_FILES = { GET: 24, POST: 28 } as const

let gateway: ChildProcess
let caller: Caller
let tenant: TestTenant
let output = ''

beforeAll(async () => {
  const stage = await createStage()
  const { PATH = '', HOME = '/' } = process.env
  gateway = fork(mainFile, {
    execArgv: ['--import', fileURLToPath(new URL('warm-path/recorder.ts', import.meta.url))],
    env: {
      ...{ PATH, HOME },
      ...environmentOf(stage, { HEALTH_CHECK_CRON: '0 0 0 1 1 *', ACQUIRE_TIMEOUT_MS: '15000' }),
    },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  for (const stream of [gateway.stdout, gateway.stderr])
    stream?.on('data', (chunk) => {
      output += chunk
    })
  caller = new Caller(`http://127.0.0.1:${await portOf(gateway)}`, stage.operatorToken)
  tenant = await caller.createTenant()
})
afterAll(async () => {
  if (gateway?.exitCode === null && gateway.signalCode === null) {
    const ended = once(gateway, 'close')
    gateway.kill('SIGTERM')
    await ended
  }
  await dropAll()
})

const REQUEST = {
  GET: () => caller.call('GET', '/api/v1/places?limit=20', { token: tenant.token }),
  POST: () =>
    caller.call('POST', '/api/v1/places', { token: tenant.token, body: { name: 'Warm', kind: 'land' } }),
}

test.each(['GET', 'POST'] as const)('a warm %s runs in no more files than allowed', async (method) => {
  const send = async () => {
    const { status, text } = await REQUEST[method]()
    expect(status, text).toBe(method === 'GET' ? 200 : 201)
  }
  for (let i = 0; i < WARM_UPS; i++) await send()
  const functions = await ranInEach(send)
  await ask({ ask: 'watch', functions })
  await send()
  const order = await ask<number[]>({ ask: 'order' })
  const files = filesInOrder(functions, order)
  console.info(
    [
      `a warm ${method} runs in ${files.size} files:`,
      ...[...files].map(([file, names]) => `  ${file}: ${names.join(', ')}`),
    ].join('\n'),
  )
  expect(files.size).toBeLessThanOrEqual(MOST_FILES[method])
  const described = await readFile(new URL('../../docs/explanation/code-paths.md', import.meta.url), 'utf8')
  expect([...files.keys()].filter((file) => !described.includes(`\`src/${file}\``))).toEqual([])
})

/** The functions that ran in each of several requests. */
async function ranInEach(send: () => Promise<void>): Promise<Ran[]> {
  let common: Ran[] | null = null
  for (let i = 0; i < REQUESTS; i++) {
    await ask({ ask: 'counts' })
    await send()
    const ran = await ask<Ran[]>({ ask: 'counts' })
    const keys = new Set(ran.map(keyOf))
    common = common === null ? ran : common.filter((each) => keys.has(keyOf(each)))
  }
  return common ?? []
}

function keyOf({ file, start, end }: Ran): string {
  return `${file}:${start}-${end}`
}

/** The files in the order in which they were first entered, each with its functions. */
function filesInOrder(functions: readonly Ran[], order: readonly number[]): Map<string, string[]> {
  const files = new Map<string, string[]>()
  for (const i of new Set([...order, ...functions.keys()])) {
    const { file, name, count } = functions[i] as Ran
    files.set(file, [
      ...(files.get(file) ?? []),
      `${name || '(anonymous)'}${count === 1 ? '' : ` ×${count}`}`,
    ])
  }
  return files
}

async function ask<T>(question: Question): Promise<T> {
  const answered = once(gateway, 'message')
  gateway.send(question)
  const [answer] = (await answered) as [T & { error?: string }]
  if (answer?.error !== undefined) throw new Error(answer.error)
  return answer
}

async function portOf(child: ChildProcess): Promise<string> {
  for (;;) {
    const [, port] = /"port":(\d+),"host":"[^"]*","msg":"listening"/.exec(output) ?? []
    if (port !== undefined) return port
    if (child.exitCode !== null) throw new Error(`the gateway ended:\n${output}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
