/** `npm run test:seeded`: takes one protection away at a time and shows which test fails. See docs/reliability.md. */
import { execFileSync, spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { SEEDED_FAULTS } from './faults.ts'
import type { SeededFault } from './seeded-fault.ts'

const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url))
/** A fault may make a test wait for ever. That counts as a failure too. */
const TIME_LIMIT_MS = 240_000
const AT_ONCE = 2

interface Outcome {
  /** The first test that failed. Null if none did. */
  readonly noticedBy: string | null
  readonly seconds: number
}

interface Report {
  readonly numFailedTests: number
  readonly success: boolean
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[]
  }[]
}

async function main(): Promise<number> {
  const { only } = parseArgs({ options: { only: { type: 'string' } } }).values
  const faults = SEEDED_FAULTS.filter(({ name }) => only === undefined || name.includes(only))
  const copies = Array.from({ length: AT_ONCE }, makeCopy)
  try {
    await expectAllPass(copies[0] ?? '', faults)
    const queue = [...faults]
    const missed: string[] = []
    await Promise.all(
      copies.map(async (copy) => {
        for (let fault = queue.shift(); fault !== undefined; fault = queue.shift()) {
          const outcome = await seed(copy, fault)
          if (outcome.noticedBy === null) missed.push(fault.name)
          process.stdout.write(lineOf(fault, outcome))
        }
      }),
    )
    process.stdout.write(`\n${faults.length - missed.length} of ${faults.length} faults were noticed\n`)
    return missed.length === 0 ? 0 : 1
  } finally {
    for (const copy of copies) rmSync(copy, { recursive: true, force: true })
  }
}

/** A copy of the checkout, with uncommitted changes, in which the fault is made. */
function makeCopy(): string {
  const copy = mkdtempSync(join(tmpdir(), 'freehold-seeded-'))
  const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '-z'], { cwd: CHECKOUT })
  for (const file of listed.toString().split('\0').filter(Boolean)) {
    mkdirSync(join(copy, dirname(file)), { recursive: true })
    cpSync(join(CHECKOUT, file), join(copy, file))
  }
  symlinkSync(join(CHECKOUT, 'node_modules'), join(copy, 'node_modules'))
  return copy
}

/** A test that fails without the fault proves nothing. */
async function expectAllPass(copy: string, faults: readonly SeededFault[]): Promise<void> {
  const tests = [...new Set(faults.flatMap((fault) => fault.tests))]
  const { noticedBy, seconds } = await runTests(copy, tests)
  if (noticedBy !== null) throw new Error(`without any fault a test fails: ${noticedBy}`)
  process.stdout.write(`without a fault all ${tests.length} files of tests pass (${seconds} s)\n\n`)
}

async function seed(copy: string, { file, find, replace, tests }: SeededFault): Promise<Outcome> {
  const path = join(copy, file)
  const sound = readFileSync(path, 'utf8')
  if (sound.split(find).length !== 2) throw new Error(`${file} does not hold exactly once: ${find}`)
  writeFileSync(
    path,
    sound.replace(find, () => replace),
  )
  try {
    return await runTests(copy, tests)
  } finally {
    writeFileSync(path, sound)
  }
}

async function runTests(copy: string, tests: readonly string[]): Promise<Outcome> {
  const begun = performance.now()
  const output = join(copy, 'seeded-report.json')
  rmSync(output, { force: true })
  const vitest = join(copy, 'node_modules/vitest/vitest.mjs')
  const args = ['run', ...tests, '--bail=1', '--maxWorkers=1', '--reporter=json', `--outputFile=${output}`]
  const child = spawn(process.execPath, [vitest, ...args], { cwd: copy, stdio: 'ignore' })
  const { promise: ended, resolve } = Promise.withResolvers<void>()
  child.once('close', () => resolve())
  const patience = setTimeout(() => child.kill('SIGTERM'), TIME_LIMIT_MS)
  await ended
  clearTimeout(patience)
  const seconds = Math.round((performance.now() - begun) / 1_000)
  return { noticedBy: child.exitCode === 0 ? null : firstFailure(output), seconds }
}

function firstFailure(output: string): string {
  let report: Report
  try {
    report = JSON.parse(readFileSync(output, 'utf8')) as Report
  } catch {
    return 'the tests did not come to an end'
  }
  const { testResults } = report
  const failed = testResults.flatMap((file) => file.assertionResults).find((test) => test.status === 'failed')
  if (failed !== undefined) return failed.fullName
  // Files that did not begin after this count as failed too, so the result says less.
  const broken = testResults.find((file) => file.status === 'failed')
  return broken ? `${broken.name.split('/test/').at(-1)} could not be set up` : 'an error outside of any test'
}

function lineOf({ name, file }: SeededFault, { noticedBy, seconds }: Outcome): string {
  const verdict = noticedBy === null ? 'NOT NOTICED' : `noticed by: ${noticedBy}`
  return `${name}\n  ${file}, ${seconds} s, ${verdict}\n`
}

process.exitCode = await main()
