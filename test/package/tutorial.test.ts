import { readdirSync, readFileSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, inject, onTestFinished, test } from 'vitest'
import { makeThrowawayDirectory } from '../../src/testing/throwaway.ts'
import { checkout } from '../support/checkout.ts'
import { codeBlocks } from '../support/code-blocks.ts'
import { GatewayProcess, quickStart, removeDemo } from '../support/gateway-process.ts'
import { packedOnce } from '../support/package.ts'
import { Shell } from '../support/shell.ts'

type Step =
  | { readonly kind: 'file'; readonly name: string; readonly text: string }
  | { readonly kind: 'run'; readonly script: string; prints: string }

const TIME_LIMIT_MS = 300_000
const ADDRESS = 'http://127.0.0.1:8080'
const SERVE = 'npx freehold dev'

/** The blocks of the page in order: files, each named last in the text before it, and commands with their output. */
function readTutorial(): Step[] {
  const page = readFileSync(join(checkout, 'docs/tutorial.md'), 'utf8')
  const steps: Step[] = []
  for (const { language, text, before } of codeBlocks(page)) {
    const last = steps.at(-1)
    if (language === 'ts') steps.push({ kind: 'file', name: fileIn(before), text })
    else if (language === 'sh') steps.push({ kind: 'run', script: text.trimEnd(), prints: '' })
    else if (last?.kind === 'run') last.prints = text
  }
  return steps
}

function fileIn(words: string): string {
  return [...words.matchAll(/`([\w.-]+\.ts)`/g)].at(-1)?.[1] ?? ''
}

const steps = readTutorial()
const files = steps.filter((step) => step.kind === 'file')
let directory: string
let tarball: string

beforeAll(async () => {
  directory = await makeThrowawayDirectory()
  tarball = await packedOnce(inject('runId'))
}, TIME_LIMIT_MS)
afterAll(async () => {
  await removeDemo(join(directory, 'clinic'))
  await rm(directory, { recursive: true, force: true })
})

/** npm, but without downloads. */
function openShell(): Shell {
  const path = [dirname(process.execPath), process.env.PATH ?? ''].join(delimiter)
  const install = join(checkout, 'test/support/npm-install.ts')
  const shell = new Shell({
    cwd: directory,
    env: {
      PATH: path,
      HOME: directory,
      ...quickStart,
      TEST_DATABASE_URL: inject('superuserUrl'),
      npm_config_update_notifier: 'false',
    },
  })
  void shell.run(`npm() {
    if [ "$1" = install ]; then node ${install} ${tarball} "$@"; else command npm "$@"; fi
  }`)
  return shell
}

test('the page has the structure that this test expects', () => {
  expect(files.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['tables.ts', 'clinic.test.ts', 'server.ts']),
  )
  const runs = steps.filter((step) => step.kind === 'run')
  expect(runs.map(({ script }) => script)).toContain(SERVE)
  expect(runs.filter(({ prints }) => prints !== '').length).toBeGreaterThanOrEqual(3)
})

test('examples/clinic equals what the page creates', () => {
  const clinic = join(checkout, 'examples/clinic')
  for (const { name, text } of files) expect(readFileSync(join(clinic, name), 'utf8'), name).toBe(text)
  const there = readdirSync(clinic).filter((name) => name.endsWith('.ts'))
  expect(there.toSorted()).toEqual(files.map(({ name }) => name).toSorted())
})

test('every block of the page works as described, starting in an empty folder', {
  timeout: TIME_LIMIT_MS,
}, async () => {
  const shell = openShell()
  const clinic = join(directory, 'clinic')
  let gateway: GatewayProcess | null = null
  let url = ADDRESS
  onTestFinished(async () => {
    await gateway?.end('SIGINT')
    await shell.end()
  })
  for (const step of steps) {
    if (step.kind === 'file') {
      await mkdir(clinic, { recursive: true })
      await writeFile(join(clinic, step.name), step.text)
    } else if (step.script === SERVE) {
      gateway = new GatewayProcess({
        command: [join(clinic, 'node_modules/.bin/freehold'), 'dev'],
        cwd: clinic,
        env: { PORT: '0' },
      })
      url = (await gateway.until(/Freehold is running at (\S+)[\s\S]*Ctrl-C stops/))[1] ?? ''
    } else {
      const printed = await shell.run(step.script.replaceAll(ADDRESS, url))
      if (step.prints !== '') expect(printed).toBe(step.prints)
    }
  }
  const migration = 'migrations/0000_clinic.sql'
  expect(readFileSync(join(clinic, migration), 'utf8')).toBe(
    readFileSync(join(checkout, 'examples/clinic', migration), 'utf8'),
  )
})
