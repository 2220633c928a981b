import { Client } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { dropAll, query, superuserUrl } from '../support/database.ts'
import { createStage, type Stage, startGateway, type TestGateway } from '../support/gateway.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import { startProcess } from './support.ts'

/** Of the log of changes, taken as the last thing in a transaction that holds all else by then; see catalog/changes.ts. */
const CHANGES_LOCK = 0x66686368
const PATIENCE = { timeout: 20_000, interval: 20 }

let stage: Stage
let gateway: TestGateway
let process: GatewayProcess | undefined
beforeAll(async () => {
  stage = await createStage()
  gateway = await startGateway(stage)
})
afterAll(async () => {
  process?.child.kill('SIGKILL')
  await process?.ended
  await gateway?.close()
  await dropAll()
})

test('a gateway that freezes in the middle of a change does not keep the others from making theirs', async () => {
  const other = await startProcess(stage)
  process = other.process
  const [frozen, free] = [await gateway.createTenant(), await gateway.createTenant()]
  const catalog = superuserUrl(new URL(stage.catalogUrl).pathname.slice(1))
  const obstacle = new Client({ connectionString: catalog })
  await obstacle.connect()
  await obstacle.query('BEGIN')
  await obstacle.query('SELECT pg_advisory_xact_lock($1)', [CHANGES_LOCK])
  void other.caller.operator('PATCH', `/tenants/${frozen.id}`, { name: 'Frozen' }).catch(() => undefined)
  const waits = () => query(catalog, "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
  await expect.poll(async () => (await waits()).length, PATIENCE).toBe(1)
  process.child.kill('SIGSTOP')
  await obstacle.end()
  const resting = () =>
    query(
      catalog,
      "SELECT FROM pg_stat_activity WHERE state = 'idle in transaction' AND datname = current_database()",
    )
  await expect.poll(async () => (await resting()).length, PATIENCE).toBe(1)
  const rename = () => gateway.operator('PATCH', `/tenants/${free.id}`, { name: 'Free' })
  // Those who wait at that moment are answered, too.
  expect((await rename()).status).toBe(200)
})
