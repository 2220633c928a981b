import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeThrowawayDirectory } from '../../src/testing/throwaway.ts'
import { checkout, GatewayProcess, quickStart, removeDemo } from '../support/gateway-process.ts'

const ADDRESS = 'http://127.0.0.1:8080'
const END_OF_BLOCK = '--- end of a block ---'
const run = promisify(execFile)

interface Step {
  readonly script: string
  /** What the block after it says that it prints. */
  readonly prints: string
}

const read = (path: string) => readFileSync(join(checkout, path), 'utf8')

/** A text's blocks of shell, each with the block of output that follows it, if one does before the next. */
function readSteps(document: string): Step[] {
  const steps: { script: string; prints: string }[] = []
  let isAnswered = true
  for (const [, language, text = ''] of document.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)) {
    const step = steps.at(-1)
    if (language === 'sh') steps.push({ script: text, prints: '' })
    else if (step !== undefined && !isAnswered) step.prints = text
    isAnswered = language !== 'sh'
  }
  return steps
}

const [, section = ''] = /^## A tour with curl$([\s\S]*?)^## /m.exec(read('README.md')) ?? []
const tour = readSteps(section)
/** Those that go on from the tour's first block, where names and credentials are set. */
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

/** Takes all steps in one shell, as a reader does who pastes block after block; gives what each block printed. */
async function take(steps: readonly Step[]): Promise<string[]> {
  const blocks = steps.map(({ script }) => `${script}echo '${END_OF_BLOCK}'\n`)
  const script = blocks.join('').replaceAll(ADDRESS, url)
  // Only the Node that runs this test is certain to be there; nothing else of the checkout is on a user's path.
  const path = [dirname(process.execPath), '/usr/local/bin', '/usr/bin', '/bin'].join(delimiter)
  const options = { cwd: directory, env: { PATH: path, HOME: directory, ...quickStart }, timeout: 60_000 }
  const { stdout, stderr } = await run('sh', ['-euc', script], options)
  expect(stderr).toBe('')
  return stdout.split(`${END_OF_BLOCK}\n`).slice(0, -1)
}

describe.each(documents)('$name', ({ steps, answered }) => {
  test('is what this test takes it for', () => {
    expect(steps.filter(({ prints }) => prints !== '')).toHaveLength(answered)
    const script = steps.map((step) => step.script).join('')
    expect(script.match(/\b(?:curl|api) /g)?.length).toBeGreaterThan(10)
    expect(script).toContain(ADDRESS)
    expect(script).not.toMatch(/\b(?:jq|python|npx)\b/)
  })

  test('prints what it says in every block, the first time and when it is taken again', async () => {
    const prints = steps.map((step) => step.prints)
    expect(await take(steps)).toEqual(prints)
    // What is made along the way is named by the second.
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    expect(await take(steps)).toEqual(prints)
  })
})

test('the commands to start and to test are scripts of the package', () => {
  const { scripts } = JSON.parse(read('package.json'))
  const named = [
    ...read('README.md').matchAll(
      /\bnpm (?:run )?(start|test|check|bench|format|demo:reset|client:generate)\b/g,
    ),
  ].map(([, name]) => name)
  expect(named).toEqual(expect.arrayContaining(['start', 'test']))
  expect(named.filter((name) => !(String(name) in scripts))).toEqual([])
})
