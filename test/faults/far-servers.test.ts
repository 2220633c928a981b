import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freshUrl } from '../http/database-calls.ts'
import { moveToOwnDatabase } from '../http/support.ts'
import { dropAll } from '../support/database.ts'
import { createStage, startGateway, type TestGateway } from '../support/gateway.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { Wiretap } from '../support/wiretap.ts'

/** To and fro, it is twice as long. */
const ONE_WAY_MS = 40
/** Round trips of a first registration, on its three connections, once they are open; each migration is one of them. */
const MOST_ROUND_TRIPS = 64
/** Of one that finds its schema up to date. */
const MOST_WITHOUT_MIGRATIONS = 16

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startGateway(await createStage(), { HEALTH_CHECK_CRON: '0 0 0 1 1 *' })
})
afterAll(async () => {
  await gateway?.close()
  await dropAll()
})

async function farAway(url: string): Promise<TcpProxy> {
  const proxy = await TcpProxy.start({ port: Number(new URL(url).port) })
  await proxy.setMode({ delayMs: ONE_WAY_MS })
  return proxy
}

describe('a server with 80 ms to and fro', () => {
  test('is validated, migrations included', async () => {
    const url = await freshUrl()
    const proxy = await farAway(url)
    const { id } = await gateway.createTenant()
    expect(await gateway.registerDatabase(id, proxy.urlFor(url))).toMatchObject({
      ...{ status: 'active', placement: 'dedicated' },
      lastError: null,
    })
    await proxy.close()
  }, 30_000)

  test('is waited for from the moment at which the connection is open, which has a limit of its own', async () => {
    const url = await moveToOwnDatabase(gateway, (await gateway.createTenant()).id)
    const { id } = await gateway.createTenant()
    const proxy = await TcpProxy.start({ port: Number(new URL(url).port) })
    // Nine seconds until it is open, and no connection may be as long on its way as a whole validation.
    await proxy.setMode({ delayMs: 1_100 })
    const fresh = Object.assign(new URL(await freshUrl()), { port: String(proxy.port) }).href
    const begun = performance.now()
    const put = { connectionString: fresh, connectionTimeoutSeconds: 60 }
    expect((await gateway.operator('PUT', `/tenants/${id}/database`, put)).status).toBe(202)
    while (proxy.open === 0 || performance.now() - begun < 8_000)
      await new Promise((resolve) => setTimeout(resolve, 50))
    await proxy.setMode({ delayMs: 5 })
    expect(await gateway.settledDatabase(id, 20_000)).toMatchObject({ status: 'active', lastError: null })
    await proxy.close()
  }, 60_000)
})

test('a registration asks a server only so often', async () => {
  const { id } = await gateway.createTenant()
  const tap = await Wiretap.start(await freshUrl())
  expect(await gateway.registerDatabase(id, tap.url)).toMatchObject({ status: 'active', lastError: null })
  const validations = () => gateway.log().match(new RegExp(`${id}[^\n]*"database validated"`, 'g'))?.length
  await expect.poll(validations, { timeout: 10_000 }).toBe(1)
  // To look, to migrate, and to move in.
  expect(tap.accepted).toBe(3)
  expect(tap.roundTrips).toBeLessThanOrEqual(MOST_ROUND_TRIPS)
  const before = tap.roundTrips
  await gateway.operator('POST', `/tenants/${id}/database/validate`)
  await expect.poll(validations, { timeout: 10_000 }).toBe(2)
  expect(tap.roundTrips - before).toBeLessThanOrEqual(MOST_WITHOUT_MIGRATIONS)
  tap.close()
}, 30_000)
