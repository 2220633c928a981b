import { execFile, execFileSync } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { dropAll } from '../support/database.ts'
import { createStage, environmentOf, type Stage } from '../support/gateway.ts'

const run = promisify(execFile)

/** An image made of this checkout: `npm run test:containers` builds one and names it. */
const image = process.env.TEST_IMAGE ?? ''
const TIME_LIMIT = { timeout: 60_000 }

let stage: Stage
const started: string[] = []

beforeAll(async () => {
  if (image !== '') stage = await createStage()
})
afterEach(() => {
  for (const id of started.splice(0)) execFileSync('docker', ['rm', '-f', id], { stdio: 'ignore' })
})
afterAll(dropAll)

/** On the host's network, where the test's server listens. */
async function startContainer(env: Record<string, string>, ...options: string[]): Promise<string> {
  const settings = Object.entries(env).flatMap(([name, value]) => ['-e', `${name}=${value}`])
  const { stdout } = await run('docker', ['run', '-d', '--network', 'host', ...settings, ...options, image])
  const id = stdout.trim()
  started.push(id)
  return id
}

async function inspect(id: string, format: string): Promise<string> {
  return (await run('docker', ['inspect', '-f', `{{${format}}}`, id])).stdout.trim()
}

async function logOf(id: string): Promise<string> {
  const { stdout, stderr } = await run('docker', ['logs', id])
  return stdout + stderr
}

/** The exit code, when it has come to an end. */
async function endOf(id: string): Promise<number> {
  return Number((await run('docker', ['wait', id])).stdout)
}

describe.skipIf(image === '')('the image (needs TEST_IMAGE)', TIME_LIMIT, () => {
  test('lists the missing settings, and ends with 78', async () => {
    const id = await startContainer({})
    expect(await endOf(id)).toBe(78)
    const lines = (await logOf(id)).trim().split('\n')
    expect(lines.map((line) => line.split(' ')[0]).sort()).toEqual([
      ...['CATALOG_DATABASE_URL', 'ENCRYPTION_KEY', 'SHARED_DATABASE_URL'],
    ])
  })

  test('serves, reports healthy, and stops in order', async () => {
    const id = await startContainer({ ...environmentOf(stage), HOST: '127.0.0.1', PORT: '8099' })
    await expect.poll(() => inspect(id, '.State.Health.Status')).toBe('healthy')
    const readiness = await fetch('http://127.0.0.1:8099/readyz')
    expect(readiness.status).toBe(200)
    await run('docker', ['kill', '-s', 'TERM', id])
    expect(await endOf(id)).toBe(0)
    expect(await logOf(id)).toContain('"msg":"stopped"')
  })

  test.each([0, 20, 60, 120, 250])('stops at a SIGTERM %i ms after its start', async (afterMs) => {
    const id = await startContainer({ ...environmentOf(stage), SHUTDOWN_DELAY_SECONDS: '0' })
    await delay(afterMs)
    await run('docker', ['kill', '-s', 'TERM', id])
    // 143: before there was a handler; the process has ended all the same.
    const late = delay(10_000, 'still running', { ref: false })
    expect([0, 143]).toContain(await Promise.race([endOf(id), late]))
  })

  test('runs with a read-only file system and without capabilities, as in docker-compose.yml', async () => {
    const options = [
      '--read-only',
      '--tmpfs',
      '/tmp',
      '--cap-drop',
      'ALL',
      '--security-opt',
      'no-new-privileges',
    ]
    const id = await startContainer({ ...environmentOf(stage), PORT: '0' }, ...options)
    await expect.poll(() => logOf(id)).toContain('"msg":"listening"')
  })
})
