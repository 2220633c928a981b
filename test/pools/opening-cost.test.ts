import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock } from '../../src/lib/clock.ts'
import { readIdentity } from '../../src/lib/postgres/database-identity.ts'
import type { ConnectionLimits, PhysicalIdentity } from '../../src/lib/postgres/pg.ts'
import { connectClient } from '../../src/lib/postgres/pg.ts'
import { ConnectionBudget } from '../../src/pools/budget.ts'
import { Breakers } from '../../src/pools/opening/breakers.ts'
import { TenantPool } from '../../src/pools/tenant-pool.ts'
import { dropAll } from '../support/database.ts'
import { addressOf, createTenantDatabase } from '../support/tenant-database.ts'
import { Wiretap } from '../support/wiretap.ts'

const LIMITS: ConnectionLimits = { connectTimeoutMs: 5_000, statementTimeoutMs: 5_000, plansOnce: true }

let tap: Wiretap
let identity: PhysicalIdentity

beforeAll(async () => {
  const { url } = await createTenantDatabase()
  const client = await connectClient(addressOf(url), LIMITS)
  identity = await readIdentity(client)
  await client.end()
  tap = await Wiretap.start(url)
})
afterAll(async () => {
  tap?.close()
  await dropAll()
})

function openPool(expected: PhysicalIdentity | null): TenantPool {
  return new TenantPool({
    address: { ...addressOf(tap.url), expected: () => expected },
    limits: { ...LIMITS, max: 1, idleTimeoutMs: 30_000 },
    acquireTimeoutMs: 5_000,
    budget: new ConnectionBudget({ max: 1, maxPerServer: 1, victims: () => [] }),
    attempts: new Breakers({ clock: systemClock }).attemptsTo('server', 'database'),
  })
}

// The identity may not travel together with the first unit: parameters and seal would reach a database that is not proven yet.
test('a new connection asks one question after its login, and may then be used', async () => {
  const pool = openPool(identity)
  const before = { accepted: tap.accepted, roundTrips: tap.roundTrips, executions: tap.executions }
  await pool.run(
    async () => undefined,
    () => true,
  )
  expect({
    accepted: tap.accepted - before.accepted,
    roundTrips: tap.roundTrips - before.roundTrips,
    executions: tap.executions - before.executions,
  }).toEqual({ accepted: 1, roundTrips: 1, executions: 1 })
  await pool.close()
})

test('a connection that is open asks nothing more before the next request', async () => {
  const pool = openPool(identity)
  await pool.run(
    async () => undefined,
    () => true,
  )
  const { roundTrips } = tap
  await pool.run(
    async () => undefined,
    () => true,
  )
  expect(tap.roundTrips).toBe(roundTrips)
  await pool.close()
})

test('nothing of a request is sent to a database that is not the expected one', async () => {
  const pool = openPool({ ...identity, databaseOid: identity.databaseOid + 1 })
  const { executions, named } = tap
  let isLent = false
  const lending = pool.run(
    async () => {
      isLent = true
    },
    () => true,
  )
  await expect(lending).rejects.toMatchObject({ code: 'TENANT_DATABASE_UNAVAILABLE' })
  // The question for its identity, and no more.
  expect([isLent, tap.executions - executions, tap.named - named]).toEqual([false, 1, 0])
  await pool.close()
})
