import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { mainFile } from '../support/checkout.ts'
import { dropAll } from '../support/database.ts'
import { Caller, createStage, environmentOf, type TestTenant } from '../support/gateway.ts'
import { laneNumbers } from '../support/lanes.ts'
import type { Question, Ran } from './warm-path/recorder.ts'

// The files of src/ that a reader must follow to understand a warm request: those in which a function ran, counted by V8's
// coverage in a gateway process. Files that only timers use, or what happens now and then, do not run in each of several requests.

const WARM_UPS = 30
const REQUESTS = 5
/** On a busy machine a timer or a pause falls into each request, so they are counted again if there seem to be too many files. */
const PATIENCE_MS = 60_000
const ROWS = 15

interface Kind {
  readonly name: string
  readonly method: 'GET' | 'POST'
  readonly path: string
  /** The limits may be lowered, and never raised. */
  readonly mostFiles: number
}
const KINDS: readonly Kind[] = [
  { name: 'GET of an empty list', method: 'GET', path: 'estates?limit=20', mostFiles: 24 },
  { name: 'GET of a list', method: 'GET', path: 'places?limit=20', mostFiles: 24 },
  { name: 'GET of a page that another one follows', method: 'GET', path: 'places?limit=10', mostFiles: 29 },
  { name: 'POST', method: 'POST', path: 'places', mostFiles: 28 },
]

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
      ...environmentOf(stage, {
        HEALTH_CHECK_CRON: '0 0 0 1 1 *',
        ACQUIRE_TIMEOUT_MS: '15000',
        LANES: 'auto',
      }),
    },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  for (const stream of [gateway.stdout, gateway.stderr])
    stream?.on('data', (chunk) => {
      output += chunk
    })
  caller = new Caller(`http://127.0.0.1:${await portOf(gateway)}`, stage.operatorToken)
  tenant = await caller.createTenant()
  for (let row = 0; row < ROWS; row++) await request({ method: 'POST', path: 'places' })
})
afterAll(async () => {
  if (gateway?.exitCode === null && gateway.signalCode === null) {
    const ended = once(gateway, 'close')
    gateway.kill('SIGTERM')
    await ended
  }
  await dropAll()
})

async function request({ method, path }: Pick<Kind, 'method' | 'path'>): Promise<void> {
  const body = method === 'POST' ? { body: { name: 'Warm', kind: 'land' } } : {}
  const { status, text } = await caller.call(method, `/api/v1/${path}`, { token: tenant.token, ...body })
  expect(status, text).toBe(method === 'GET' ? 200 : 201)
}

test.each(KINDS)('a warm $name runs in no more files than allowed', async (kind) => {
  for (let i = 0; i < WARM_UPS; i++) await request(kind)
  const functions = await ranInEach(kind)
  await ask({ ask: 'watch', functions })
  await request(kind)
  const order = await ask<number[]>({ ask: 'order' })
  const files = filesInOrder(functions, order)
  console.info(
    [
      `a warm ${kind.name} runs in ${files.size} files:`,
      ...[...files].map(([file, names]) => `  ${file}: ${names.join(', ')}`),
    ].join('\n'),
  )
  expect(files.size).toBeLessThanOrEqual(kind.mostFiles)
  expect(files.has('sql/lanes/lane.ts')).toBe(kind.method === 'GET')
  const described = await readFile(new URL('../../docs/explanation/code-paths.md', import.meta.url), 'utf8')
  expect([...files.keys()].filter((file) => !described.includes(`\`src/${file}\``))).toEqual([])
})

/** The functions that ran in each of several requests. */
async function ranInEach(kind: Kind): Promise<Ran[]> {
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    let common = await ranIn(kind)
    for (let counted = 1; counted < REQUESTS; counted++) {
      const keys = new Set((await ranIn(kind)).map(keyOf))
      common = common.filter((each) => keys.has(keyOf(each)))
    }
    if (filesOf(common) <= kind.mostFiles || performance.now() > deadline) return common
  }
}

/** The functions that ran in a request. A read that no lane has answered is not warm, and another one is sent. */
async function ranIn(kind: Kind): Promise<Ran[]> {
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    const { reads } = await laneNumbers(caller)
    await ask({ ask: 'counts' })
    await request(kind)
    const ran = await ask<Ran[]>({ ask: 'counts' })
    const isWarm = kind.method === 'POST' || (await laneNumbers(caller)).reads > reads
    if (isWarm || performance.now() > deadline) return ran
  }
}

function filesOf(functions: readonly Ran[]): number {
  return new Set(functions.map(({ file }) => file)).size
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
