import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freshUrl } from '../http/database-calls.ts'
import { moveToOwnDatabase } from '../http/support.ts'
import { dropAll } from '../support/database.ts'
import { createStage, startGateway, type TestGateway } from '../support/gateway.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { Wiretap } from '../support/wiretap.ts'

/** A round trip takes twice this long. */
const ONE_WAY_MS = 40
/** Round trips of a first registration on its three open connections. Each migration is one of them. */
const MOST_ROUND_TRIPS = 64
/** Round trips of a registration whose schema is up to date. */
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

describe('a server with a round-trip time of 80 ms', () => {
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

  test('has the full time for a validation after the connection is open, because connecting has its own limit', async () => {
    const url = await moveToOwnDatabase(gateway, (await gateway.createTenant()).id)
    const { id } = await gateway.createTenant()
    const proxy = await TcpProxy.start({ port: Number(new URL(url).port) })
    // Opening the connection takes nine seconds. No connection may take as long as a whole validation.
    await proxy.setMode({ delayMs: 1_100 })
    const fresh = Object.assign(new URL(await freshUrl()), { port: String(proxy.port) }).href
    const begun = performance.now()
    const put = { connectionString: fresh, connectionTimeoutSeconds: 60 }
    expect((await gateway.operator('PUT', `/tenants/${id}/database`, put)).status).toBe(202)
    while (proxy.open === 0 || performance.now() - begun < 8_000)
      await new Promise((resolve) => setTimeout(resolve, 50))
    await proxy.setMode({ delayMs: 5 })
    expect(await gateway.waitForDatabase(id)).toMatchObject({ status: 'active', lastError: null })
    await proxy.close()
  }, 60_000)
})

test('a registration needs few round trips', async () => {
  const { id } = await gateway.createTenant()
  const tap = await Wiretap.start(await freshUrl())
  expect(await gateway.registerDatabase(id, tap.url)).toMatchObject({ status: 'active', lastError: null })
  const validations = () => gateway.log().match(new RegExp(`${id}[^\n]*"database validated"`, 'g'))?.length
  await expect.poll(validations).toBe(1)
  // One connection to check, one to migrate, and one to move the tenant there.
  expect(tap.accepted).toBe(3)
  expect(tap.roundTrips).toBeLessThanOrEqual(MOST_ROUND_TRIPS)
  const before = tap.roundTrips
  await gateway.operator('POST', `/tenants/${id}/database/validate`)
  await expect.poll(validations).toBe(2)
  expect(tap.roundTrips - before).toBeLessThanOrEqual(MOST_WITHOUT_MIGRATIONS)
  tap.close()
}, 30_000)
