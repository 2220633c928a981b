import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { int16, int32, message, ready, zeroEnded } from '../support/backend-messages.ts'
import { dropAll } from '../support/database.ts'
import { type Caller, createStage, type TestTenant } from '../support/gateway.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import { type Attack, HostileProxy } from '../support/hostile-proxy.ts'
import { createTenantDatabase } from '../support/tenant-database.ts'
import { Bystander, expectUnavailable, makePlace, PLACES, register, startProcess } from './support.ts'

const UNAVAILABLE = 'TENANT_DATABASE_UNAVAILABLE'
const SLOW = 60_000

/** One proxy for the catalog, and one for the database of a tenant. */
let proxies: { readonly catalog: HostileProxy; readonly own: HostileProxy }
let process: GatewayProcess
let caller: Caller
let own: TestTenant
/** This tenant lives in the shared database. */
let neighbour: TestTenant

beforeAll(async () => {
  const stage = await createStage()
  const { url } = await createTenantDatabase()
  proxies = { catalog: await HostileProxy.start(stage.catalogUrl), own: await HostileProxy.start(url) }
  const settings = { CATALOG_DATABASE_URL: proxies.catalog.urlFor(stage.catalogUrl), LOG_LEVEL: 'info' }
  ;({ process, caller } = await startProcess(stage, settings))
  await process.until(/"msg":"ready"/)
  ;[own, neighbour] = [await caller.createTenant(), await caller.createTenant()]
  await register({ caller, tenantId: own.id, url: proxies.own.urlFor(url) })
})
afterAll(async () => {
  await process?.end('SIGKILL')
  proxies?.catalog.close()
  proxies?.own.close()
  await dropAll()
})

const databaseOf = async ({ id }: TestTenant) =>
  (await caller.operator('GET', `/tenants/${id}/database`)).body
const read = ({ token }: TestTenant) => caller.call('GET', PLACES, { token })

/** Replaces each message of a kind. */
const instead =
  (of: string, ...said: Buffer[]): Attack =>
  (whole, type) =>
    type === of ? said : [whole]

const ATTACKS: Record<string, Attack> = {
  'asks for GSSAPI': instead('R', message('R', int32(7))),
  'asks for what there is not': instead('R', message('R', int32(4_711))),
  'sends a row that is shorter than its columns': instead('D', message('D', int16(3))),
  'sends an error without its end': instead('C', message('E', zeroEnded('SERROR'), Buffer.from('Mno'))),
  'sends a notice without its end': instead('C', message('N', zeroEnded('SNOTICE'), Buffer.from('Mno'))),
  'is ready unasked': instead('Z', ready(), ready()),
  'wants a copy': instead('C', message('G', Buffer.alloc(1), int16(0))),
  'says what there is not': instead('C', message('!', Buffer.alloc(40))),
  'announces two gigabytes': instead('C', Buffer.from([0x43, 0x7f, 0xff, 0xff, 0xff])),
}

async function whileAttacked(attack: Attack, work: () => Promise<void>): Promise<void> {
  proxies.own.attack = attack
  try {
    await work()
  } finally {
    proxies.own.attack = null
  }
  await expect.poll(async () => (await read(own)).status).toBe(200)
  await expect.poll(async () => (await databaseOf(own)).lastError).toBe(null)
}

describe("a tenant's server that", () => {
  test.each(Object.entries(ATTACKS))(
    '%s loses its connections, and no other tenant loses anything',
    async (_, attack) => {
      const bystander = new Bystander(caller, neighbour)
      await whileAttacked(attack, async () => {
        // The start of a connection is attacked too.
        proxies.own.cut()
        expectUnavailable(await read(own), UNAVAILABLE)
        const written = await caller.call('POST', PLACES, { token: own.token, body: { name: 'Hall' } })
        expectUnavailable(written, written.body.code === 'OUTCOME_UNKNOWN' ? 'OUTCOME_UNKNOWN' : UNAVAILABLE)
        const code = async () => (await databaseOf(own)).lastError?.code
        await expect.poll(code).toBe('PROTOCOL_VIOLATION')
      })
      await bystander.expectUndisturbed()
    },
    SLOW,
  )

  test('breaks the protocol in one answer only is marked by the request that met it', async () => {
    const place = await makePlace(caller, own, 'Poison')
    const poisoned: Attack = (whole, type) =>
      type === 'D' && whole.includes('Poison') ? [message('D', int16(1))] : [whole]
    await whileAttacked(poisoned, async () => {
      expectUnavailable(await read(own), UNAVAILABLE)
      const found = async () => {
        await read(own)
        return (await databaseOf(own)).lastError?.code
      }
      await expect.poll(found, { timeout: 60_000, interval: 20 }).toBe('PROTOCOL_VIOLATION')
      expect((await databaseOf(own)).status).toBe('active')
    })
    expect(process.log()).toContainEqual(
      expect.objectContaining({
        ...{ level: 'error', msg: 'a database server broke the protocol' },
        ...{ tenantId: own.id, code: 'PROTOCOL_VIOLATION' },
      }),
    )
    expect((await caller.call('DELETE', `${PLACES}/${place}`, { token: own.token })).status).toBe(204)
  })

  test('loses the connection that carries the answer to a write makes the outcome of the write unknown', async () => {
    const attack: Attack = (whole, type) =>
      type === 'C' && whole.includes('INSERT') ? [message('C', Buffer.from('INSERT'))] : [whole]
    await whileAttacked(attack, async () => {
      const body = { name: 'Yard' }
      const written = await caller.call('POST', PLACES, { token: own.token, body })
      expectUnavailable(written, 'OUTCOME_UNKNOWN')
    })
  })

  test('answers COMMIT with something else makes the outcome of the transaction unknown', async () => {
    const attack: Attack = (whole, type) =>
      type === 'C' && whole.includes('COMMIT') ? [message('C', zeroEnded('COMMENT'))] : [whole]
    await whileAttacked(attack, async () => {
      const written = await caller.call('POST', PLACES, {
        token: own.token,
        headers: { 'idempotency-key': 'once' },
        body: { name: 'Yard' },
      })
      expectUnavailable(written, 'OUTCOME_UNKNOWN')
    })
  })

  test('breaks the protocol from the start cannot be registered', async () => {
    const { url } = await createTenantDatabase()
    const proxy = await HostileProxy.start(url)
    proxy.attack = instead('R', message('R', int32(7)))
    const tenant = await caller.createTenant()
    const { status, lastError } = await caller.registerDatabase(tenant.id, proxy.urlFor(url))
    expect({ status, code: lastError?.code }).toEqual({ status: 'failed', code: 'PROTOCOL_VIOLATION' })
    proxy.close()
  })
})

test.each(Object.entries(ATTACKS))(
  'a catalog that %s does not end the process, and is used again when it recovers',
  async (_, attack) => {
    proxies.catalog.attack = attack
    proxies.catalog.cut()
    for (let n = 0; n < 5; n += 1) {
      const { status, body } = await caller.operator('GET', '/tenants')
      if (status !== 200) expect([status, body.code]).toEqual([503, 'CATALOG_UNAVAILABLE'])
      expect((await caller.call('GET', '/livez')).status).toBe(200)
    }
    proxies.catalog.attack = null
    proxies.catalog.cut()
    const listed = async () => (await caller.operator('GET', '/tenants')).status
    await expect.poll(listed).toBe(200)
    expect((await read(neighbour)).status).toBe(200)
  },
  SLOW,
)

test('the process shuts down in order after all these violations', async () => {
  expect(await process.end()).toBe(0)
  expect(process.stderr).toBe('')
})
