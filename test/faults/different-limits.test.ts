import { afterAll, beforeAll, expect, test } from 'vitest'
import { newId } from '../../src/lib/ids.ts'
import { dropAll, query, superuserUrl } from '../support/database.ts'
import { createStage, type Stage, startGateway, type TestGateway } from '../support/gateway.ts'

const TIME_LIMIT = { timeout: 60_000, interval: 20 }
const OLD = 6
const NEW = 4
const DIFFER = '"msg":"replicas differ in their connection limits: the smallest counts"'

let stage: Stage
const gateways: TestGateway[] = []
beforeAll(async () => {
  stage = await createStage()
})
afterAll(async () => {
  await Promise.all(gateways.map((gateway) => gateway.close()))
  await dropAll()
})

async function join(connections: number, perServer = connections): Promise<TestGateway> {
  const gateway = await startGateway(stage, {
    MAX_CONNECTIONS: String(connections),
    MAX_CONNECTIONS_PER_SERVER: String(perServer),
    HEALTH_CHECK_CRON: '0 0 1 1 *',
  })
  gateways.push(gateway)
  return gateway
}

const maximumOf = async (gateway: TestGateway): Promise<number> =>
  (await gateway.call('GET', '/health')).body.connections.max
const readyzOf = async (gateway: TestGateway) => {
  const { status, body } = await gateway.call('GET', '/readyz')
  return { status, body }
}
const catalog = () => superuserUrl(new URL(stage.catalogUrl).pathname.slice(1))
const linesOf = (gateway: TestGateway, text: string) => gateway.log().split(text).length - 1

test('replicas with different limits share the smallest, log it once, and return to their own limits', async () => {
  const old = await join(OLD)
  await expect.poll(() => maximumOf(old), TIME_LIMIT).toBe(OLD)
  const young = await join(NEW)
  await expect.poll(() => Promise.all([old, young].map(maximumOf)), TIME_LIMIT).toEqual([NEW / 2, NEW / 2])
  const held = 'SELECT sum(connection_share)::int AS shares, min(connection_limit) AS least FROM replicas'
  expect(await query(catalog(), held)).toEqual([{ shares: NEW, least: NEW }])
  // Several heartbeats later.
  const beats = async () =>
    (await query(catalog(), 'SELECT max(heartbeat_at)::text AS at FROM replicas'))[0]?.at
  for (let beat = 0; beat < 3; beat += 1) {
    const last = await beats()
    await expect.poll(beats, TIME_LIMIT).not.toBe(last)
  }
  for (const gateway of [old, young]) expect(linesOf(gateway, DIFFER)).toBe(1)
  await young.close()
  await expect.poll(() => maximumOf(old), TIME_LIMIT).toBe(OLD)
  expect(linesOf(old, '"msg":"replicas agree on their connection limits"')).toBe(1)
})

test('a replica without a connection logs that and the reason', async () => {
  const [old] = gateways as [TestGateway]
  const young = await join(1)
  const both = async () => {
    const answers = await Promise.all([old, young].map(readyzOf))
    return answers.toSorted((a, b) => a.status - b.status)
  }
  await expect.poll(both, TIME_LIMIT).toEqual([
    { status: 200, body: { status: 'ready' } },
    { status: 503, body: { status: 'connections-missing', waitsFor: 'more-replicas-than-connections' } },
  ])
  const told = () =>
    [old, young].filter((gateway) =>
      /"reason":"more-replicas-than-connections".*"waiting for a share/.test(gateway.log()),
    )
  await expect.poll(() => told().length, TIME_LIMIT).toBe(1)
  await young.close()
  await expect.poll(() => readyzOf(old), TIME_LIMIT).toEqual({ status: 200, body: { status: 'ready' } })
  await expect.poll(() => maximumOf(old), TIME_LIMIT).toBe(OLD)
})

test('a replica waits until one of an older release gives up connections, and logs it', async () => {
  const [old] = gateways as [TestGateway]
  await old.close()
  const row =
    "INSERT INTO replicas (id, heartbeat_at, connection_share, server_share) VALUES ($1, now() + interval '50 seconds', $2, $2)"
  const older = newId()
  await query(catalog(), row, [older, OLD])
  const young = await join(OLD)
  expect(await readyzOf(young)).toEqual({
    status: 503,
    body: { status: 'connections-missing', waitsFor: 'held-by-others' },
  })
  await expect
    .poll(young.log, TIME_LIMIT)
    .toMatch(/"reason":"held-by-others".*"waiting for a share of the connections"/)
  await query(catalog(), 'DELETE FROM replicas WHERE id = $1', [older])
  await expect.poll(() => maximumOf(young), TIME_LIMIT).toBe(OLD)
  expect(await readyzOf(young)).toEqual({ status: 200, body: { status: 'ready' } })
})
