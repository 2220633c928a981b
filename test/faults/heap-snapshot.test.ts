import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDatabase, createRole, dropAll, query, superuserUrl, urlFor } from '../support/database.ts'
import { createStage, type Stage, type TestTenant } from '../support/gateway.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import { makePlace, register, startProcess } from './support.ts'

let stage: Stage
let directory: string
let gateway: GatewayProcess

beforeAll(async () => {
  stage = await createStage()
  directory = await mkdtemp(join(tmpdir(), 'heap-'))
})
afterAll(async () => {
  await gateway?.end('SIGKILL')
  await rm(directory, { recursive: true, force: true })
  await dropAll()
})

/** Makes the process write its memory to a file, and returns the file. */
async function snapshot(): Promise<string> {
  process.kill(gateway.pid, 'SIGUSR2')
  let size = -1
  const isWhole = async () => {
    const [name] = (await readdir(directory)).filter((file) => file.endsWith('.heapsnapshot'))
    const before = size
    size = name === undefined ? -1 : (await stat(join(directory, name))).size
    return size > 0 && size === before
  }
  await expect.poll(isWhole, { timeout: 60_000, interval: 500 }).toBe(true)
  return join(directory, (await readdir(directory))[0] ?? '')
}

async function isIn(file: string, text: string): Promise<boolean> {
  let rest = ''
  for await (const chunk of createReadStream(file, 'latin1')) {
    const read = rest + chunk
    if (read.includes(text)) return true
    rest = read.slice(-text.length)
  }
  return false
}

test('a heap snapshot holds no password of a connected tenant database', async () => {
  const role = await createRole()
  const password = `remembered-${randomBytes(12).toString('hex')}`
  await query(superuserUrl(), `ALTER ROLE "${role.name}" PASSWORD '${password}'`)
  const url = urlFor({ role: { ...role, password }, database: await createDatabase({ owner: role.name }) })
  const started = await startProcess(stage, {
    NODE_OPTIONS: `--heapsnapshot-signal=SIGUSR2 --diagnostic-dir=${directory}`,
    // Health rounds could open a connection at any time.
    HEALTH_CHECK_CRON: '0 0 0 1 1 *',
  })
  gateway = started.process
  await gateway.until(/"msg":"ready"/)
  const { caller } = started
  const tenant: TestTenant = await caller.createTenant()
  await register({ caller, tenantId: tenant.id, url })
  // The connections are open and idle.
  await Promise.all([1, 2, 3].map((n) => makePlace(caller, tenant, `Place ${n}`)))
  let holdsPassword = true
  // A connection may still refer to the request that sent the password, until it has served another request.
  for (let tries = 0; holdsPassword && tries < 4; tries += 1) {
    await Promise.all([1, 2, 3, 4].map(() => caller.call('GET', '/readyz')))
    const file = await snapshot()
    // A value that is kept on purpose shows that the search works.
    expect(await isIn(file, tenant.code)).toBe(true)
    holdsPassword = await isIn(file, password)
    await rm(file)
  }
  expect(holdsPassword).toBe(false)
}, 120_000)
