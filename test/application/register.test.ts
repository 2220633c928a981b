import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { checkout } from '../support/checkout.ts'

const run = promisify(execFile)

/** The programs say themselves, by `@ts-expect-error`, what must not compile. */
test('an application that augments Register has typed tables everywhere', async () => {
  const tsc = join(checkout, 'node_modules', 'typescript', 'bin', 'tsc')
  const types = join(checkout, 'test', 'application', 'types')
  const { stdout } = await run(process.execPath, [tsc, '-p', types]).catch((error) => error)
  expect(stdout).toBe('')
})
