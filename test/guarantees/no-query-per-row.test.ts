import { afterAll, beforeAll, expect, test } from 'vitest'
import { RESOURCES } from '../../src/applications/property/resources.ts'
import { dropAll, superuserUrl } from '../support/database.ts'
import { createStage, startGateway, type TestGateway, type TestTenant } from '../support/gateway.ts'
import { manyRows } from '../support/many-rows.ts'
import { withClient } from '../support/tenant-database.ts'
import { Wiretap } from '../support/wiretap.ts'

// A list costs one round trip to the tenant database, however many rows it shows and whatever they refer to.

let gateway: TestGateway
let tenant: TestTenant
let tap: Wiretap

beforeAll(async () => {
  const stage = await createStage()
  tap = await Wiretap.start(stage.sharedUrl)
  // No health rounds, because their connections go through the same proxy.
  const quiet = { HEALTH_CHECK_CRON: '0 0 0 1 1 *', ACQUIRE_TIMEOUT_MS: '15000' }
  gateway = await startGateway({ ...stage, sharedUrl: tap.url }, quiet)
  tenant = await gateway.createTenant()
  await withClient(superuserUrl(new URL(stage.sharedUrl).pathname.slice(1)), async (superuser) => {
    await superuser.query('SET session_replication_role = replica')
    for (const resource of RESOURCES) await superuser.query(manyRows(resource), [[tenant.id], 210])
  })
})
afterAll(async () => {
  await gateway?.close()
  tap?.close()
  await dropAll()
})

test.each(RESOURCES.map(({ name }) => name))('a list of %s is one round trip', async (name) => {
  const list = (limit: number) =>
    gateway.call('GET', `/api/v1/${name}?limit=${limit}`, { token: tenant.token })
  await list(1)
  for (const limit of [20, 200]) {
    const before = tap.roundTrips
    const { status, body } = await list(limit)
    expect([status, body.data.length]).toEqual([200, limit])
    expect(tap.roundTrips - before).toBe(1)
  }
})
