import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeThrowawayDirectory } from '../../src/testing/throwaway.ts'
import { checkout } from '../support/checkout.ts'
import { codeBlocks } from '../support/code-blocks.ts'
import { GatewayProcess, quickStart, removeDemo } from '../support/gateway-process.ts'

const ADDRESS = 'http://127.0.0.1:8080'
const END_OF_BLOCK = '--- end of a block ---'
const run = promisify(execFile)

interface Step {
  readonly script: string
  /** The output that the next block documents. */
  readonly prints: string
}

const read = (path: string) => readFileSync(join(checkout, path), 'utf8')

/** The shell blocks of a text, each with the output block that follows it, if there is one before the next shell block. */
function readSteps(document: string): Step[] {
  const steps: { script: string; prints: string }[] = []
  let isAnswered = true
  for (const { language, text } of codeBlocks(document)) {
    const step = steps.at(-1)
    if (language === 'sh') steps.push({ script: text, prints: '' })
    else if (step !== undefined && !isAnswered) step.prints = text
    isAnswered = language !== 'sh'
  }
  return steps
}

const [, section = ''] = /^## A tour with curl$([\s\S]*?)^## /m.exec(read('README.md')) ?? []
const tour = readSteps(section)
/** The blocks that continue the first block of the tour, which sets names and credentials. */
const documents = [
  { name: 'the tour of the README', steps: tour, answered: 5 },
  {
    name: 'docs/how-to/name-a-tenant.md',
    steps: [...tour.slice(0, 1), ...readSteps(read('docs/how-to/name-a-tenant.md'))],
    answered: 5,
  },
  {
    name: 'docs/how-to/call-the-api-well.md',
    steps: [...tour.slice(0, 1), ...readSteps(read('docs/how-to/call-the-api-well.md'))],
    answered: 7,
  },
]
let directory: string
let gateway: GatewayProcess
let url: string

beforeAll(async () => {
  directory = await makeThrowawayDirectory()
  gateway = new GatewayProcess({ cwd: directory, env: { PORT: '0' } })
  const [, found = ''] = await gateway.until(/Freehold is running at (\S+)[\s\S]*Ctrl-C stops/)
  url = found
})
afterAll(async () => {
  await gateway?.end('SIGINT')
  await removeDemo(directory)
})

/** Runs all steps in one shell, like a reader who pastes block after block. Returns the output of each block. */
async function take(steps: readonly Step[]): Promise<string[]> {
  const blocks = steps.map(({ script }) => `${script}echo '${END_OF_BLOCK}'\n`)
  const script = blocks.join('').replaceAll(ADDRESS, url)
  // Only the Node that runs this test certainly exists. Nothing else of the checkout is on a user's path.
  const path = [dirname(process.execPath), '/usr/local/bin', '/usr/bin', '/bin'].join(delimiter)
  const options = { cwd: directory, env: { PATH: path, HOME: directory, ...quickStart }, timeout: 60_000 }
  const { stdout, stderr } = await run('sh', ['-euc', script], options)
  expect(stderr).toBe('')
  return stdout.split(`${END_OF_BLOCK}\n`).slice(0, -1)
}

describe.each(documents)('$name', ({ steps, answered }) => {
  test('has the structure that this test expects', () => {
    expect(steps.filter(({ prints }) => prints !== '')).toHaveLength(answered)
    const script = steps.map((step) => step.script).join('')
    expect(script.match(/\b(?:curl|api) /g)?.length).toBeGreaterThan(10)
    expect(script).toContain(ADDRESS)
    expect(script).not.toMatch(/\b(?:jq|python|npx)\b/)
  })

  test('prints the documented output for each block, the first time and when repeated', async () => {
    const prints = steps.map((step) => step.prints)
    expect(await take(steps)).toEqual(prints)
    // Objects that earlier steps created are named by the second step.
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    expect(await take(steps)).toEqual(prints)
  })
})

test('the start and test commands are scripts of the package', () => {
  const { scripts } = JSON.parse(read('package.json'))
  const named = [
    ...read('README.md').matchAll(
      /\bnpm (?:run )?(start|test|check|bench|format|demo:reset|client:generate)\b/g,
    ),
  ].map(([, name]) => name)
  expect(named).toEqual(expect.arrayContaining(['start', 'test']))
  expect(named.filter((name) => !(String(name) in scripts))).toEqual([])
})
