import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Route, RouteDatabase } from '../../src/catalog/directory.ts'
import { newId } from '../../src/lib/ids.ts'
import { PoolManager } from '../../src/pools/pool-manager.ts'
import { dropAll } from '../support/database.ts'
import { type FakeServer, startFakeServer } from '../support/fake-server.ts'
import { addressOf, createTenantDatabase } from '../support/tenant-database.ts'

/** A turn of the event loop takes this long. A connection needs about ten turns, so longer than its timeout. */
const TURN_MS = 150
const CONNECT_TIMEOUT_MS = 600
const ACQUIRE_TIMEOUT_MS = 700

let url: string
let silent: FakeServer
let pools: PoolManager
let isBusy = false
beforeAll(async () => {
  url = (await createTenantDatabase()).url
  silent = await startFakeServer('hang')
})
afterEach(async () => {
  isBusy = false
  await pools.close()
})
afterAll(async () => {
  await silent.close()
  await dropAll()
})

/** Keeps this process busy in every turn of its event loop, like many requests at once. */
function beBusy(): void {
  isBusy = true
  const work = () => {
    for (const until = performance.now() + TURN_MS; performance.now() < until; );
    if (isBusy) setImmediate(work)
  }
  setImmediate(work)
}

function openPools(to: string): void {
  const address = addressOf(to)
  pools = new PoolManager({
    ...{ maxPools: 10, maxConnections: 20, maxConnectionsPerServer: 20 },
    ...{
      acquireTimeoutMs: ACQUIRE_TIMEOUT_MS,
      statementTimeoutMs: 20_000,
      shared: address,
      sharedPoolSize: 4,
    },
    addressOf: () => address,
  })
}

function ask() {
  const { host, port } = addressOf(url)
  const limits = { poolSize: 3, idleTimeoutMs: 30_000, connectTimeoutMs: CONNECT_TIMEOUT_MS }
  const identity = { databaseOid: null, systemIdentifier: null }
  const database = {
    id: newId(),
    version: 1,
    status: 'active',
    host,
    port,
    ...identity,
    ...limits,
  } as RouteDatabase
  const route = { tenantId: newId(), placement: 'dedicated', status: 'ACTIVE', database } as Route
  const begun = performance.now()
  return pools
    .run(
      route,
      (client) => client.query('SELECT 1'),
      () => true,
    )
    .then(
      () => 'ok',
      (error) => String(error.code),
    )
    .then((outcome) => ({ outcome, tookMs: performance.now() - begun }))
}

describe('while this process is busy', () => {
  test('a server that answers is not taken for a dead one, however long its answers stay unread', async () => {
    openPools(url)
    beBusy()
    const answers = await Promise.all([ask(), ask(), ask()])
    expect(answers.map(({ outcome }) => outcome)).toEqual(['ok', 'ok', 'ok'])
    expect(Math.max(...answers.map(({ tookMs }) => tookMs)), 'or it was not busy').toBeGreaterThan(
      CONNECT_TIMEOUT_MS,
    )
    expect(pools.broken).toEqual({ server: 0, database: 0 })
  }, 30_000)

  test('a silent server still times out', async () => {
    openPools(silent.urlFor('u', 'p', 'd'))
    beBusy()
    const { outcome, tookMs } = await ask()
    expect(['TENANT_DATABASE_UNAVAILABLE', 'NO_CONNECTION_AVAILABLE']).toContain(outcome)
    expect(tookMs).toBeLessThan(4 * ACQUIRE_TIMEOUT_MS + 10 * TURN_MS)
  }, 30_000)
})

test('a silent server times out, and not too early', async () => {
  openPools(silent.urlFor('u', 'p', 'd'))
  const { outcome, tookMs } = await ask()
  // NO_CONNECTION_AVAILABLE if other test files keep the cores busy: then the request's own deadline ends first.
  expect(['TENANT_DATABASE_UNAVAILABLE', 'NO_CONNECTION_AVAILABLE']).toContain(outcome)
  expect(tookMs).toBeGreaterThan(CONNECT_TIMEOUT_MS - 10)
  await delay(0)
})
