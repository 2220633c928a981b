import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeThrowawayDirectory } from '../../src/testing/throwaway.ts'
import { checkout } from '../support/checkout.ts'
import { Caller } from '../support/gateway.ts'
import { GatewayProcess, removeDemo } from '../support/gateway-process.ts'

const PASSWORD = 'demo-password-please-change'

let directory: string
let gateway: GatewayProcess
let caller: Caller

beforeAll(async () => {
  directory = await makeThrowawayDirectory()
  gateway = new GatewayProcess({ cwd: directory, env: { PORT: '0' } })
  const [, url = '', token = ''] = await gateway.until(
    /Freehold is running at (\S+)\n\n {2}Operator token +(\S+)[\s\S]*Ctrl-C stops/,
  )
  caller = new Caller(url, token)
})
afterAll(async () => {
  gateway?.child.kill('SIGKILL')
  await gateway?.ended
  await removeDemo(directory)
})

/** Does what `npm run demo:reset` does, for the directory of the demo. */
async function reset() {
  const command = [process.execPath, join(checkout, 'src/embedded/reset.ts')] as const
  const run = new GatewayProcess({ cwd: directory, command: [...command] })
  return { code: await run.ended, said: `${run.stdout}${run.stderr}` }
}

const isThere = () =>
  access(join(directory, '.freehold')).then(
    () => true,
    () => false,
  )

describe.each(['acme-corp', 'globex', 'initech', 'umbrella-north'])('the demo tenant %s', (code) => {
  let token: string
  beforeAll(async () => {
    token = await caller.login(code, { email: `admin@${code}.example`, password: PASSWORD })
  })
  const list = async (path: string) => {
    const { status, body, text } = await caller.call('GET', `/api/v1/${path}`, { token })
    expect(status, text).toBe(200)
    return body.data
  }

  test('has rows in every collection but media', async () => {
    const counts: Record<string, number> = {}
    for (const name of [
      ...['places', 'estates', 'rooms', 'equipment', 'owners', 'lessees', 'contacts', 'leases', 'charges'],
      ...['documents', 'signatures', 'proofs', 'credits', 'payments'],
    ])
      counts[name] = (await list(`${name}?limit=200`)).length
    expect(Object.entries(counts).filter(([, count]) => count === 0)).toEqual([])
    const all = Object.values(counts).reduce((sum, count) => sum + count, 0)
    expect(all).toBeGreaterThan(40)
    expect(all).toBeLessThan(400)
  })

  test('has leases that can be printed, and a balance', async () => {
    const [document] = await list('documents?limit=1')
    const { status, headers } = await caller.call('GET', `/api/v1/documents/${document.id}/pdf`, { token })
    expect([status, headers.get('content-type')]).toEqual([200, 'application/pdf'])
    const { body } = await caller.call('GET', '/api/v1/credits/balance', { token })
    expect(body.balance).toBeGreaterThan(0)
  })
})

describe('demo:reset', () => {
  test('does not delete a demo whose gateway runs', async () => {
    const { code, said } = await reset()
    expect([code, said]).toEqual([75, expect.stringContaining('in use')])
    expect((await caller.call('GET', '/readyz')).status).toBe(200)
    expect(await isThere()).toBe(true)
  })

  test('deletes a stopped demo, and has nothing to do the second time', async () => {
    expect(await gateway.end('SIGINT')).toBe(0)
    expect((await reset()).code).toBe(0)
    expect(await isThere()).toBe(false)
    expect(await reset()).toEqual({ code: 0, said: 'There is no demo data here.\n' })
    expect(await isThere()).toBe(false)
  })
})
