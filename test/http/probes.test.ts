import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll } from '../support/database.ts'
import { type Fixture, openFixture } from './support.ts'

let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture()
})
afterAll(async () => {
  await fixture?.gateway.close()
  await dropAll()
})

const get = (path: string, headers: Record<string, string> = {}) =>
  fixture.gateway.call('GET', path, { headers })

test.each(['/livez', '/readyz'])('%s is 200 for every caller, with any credential or none', async (path) => {
  expect((await get(path)).status).toBe(200)
  expect((await get(path, { authorization: 'Bearer nonsense', 'x-client-key': 'nonsense' })).status).toBe(200)
  const head = await fixture.gateway.call('HEAD', path)
  expect([head.status, head.text]).toEqual([200, ''])
})

describe('/health', () => {
  test('has exactly these fields, and reports a healthy service', async () => {
    // One request to each, so that there are pools and routes to count.
    for (const { token } of [fixture.shared, fixture.dedicated])
      await fixture.gateway.call('GET', '/api/v1/places', { token })
    await expect.poll(async () => (await get('/health')).body.databases.active).toBe(1)
    const { status, body } = await get('/health')
    expect(status).toBe(200)
    const number = expect.any(Number)
    expect(body).toEqual({
      status: 'ok',
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      uptimeSeconds: number,
      activePools: 2,
      cachedConfigs: number,
      connections: { open: number, max: 100 },
      catalog: { status: 'ok', latencyMs: number },
      shared: { status: 'ok', latencyMs: number },
      databases: { pending_validation: 0, active: 1, failed: 0, inactive: 0 },
      schema: { current: 2, behind: 0, failed: 0 },
    })
    expect(body.cachedConfigs).toBeGreaterThanOrEqual(2)
    expect(body.connections.open).toBeGreaterThanOrEqual(2)
  })

  test('names no tenant, host or database, and neither do the metrics', async () => {
    const { text: health } = await get('/health')
    const { text: metrics, headers } = await get('/metrics')
    expect(headers.get('content-type')).toMatch(/^text\/plain/)
    for (const { id, code } of [fixture.shared, fixture.dedicated, fixture.other]) {
      for (const said of [health, metrics]) {
        expect(said).not.toContain(id)
        expect(said).not.toContain(code)
      }
    }
    expect(health + metrics).not.toMatch(/127\.0\.0\.1|postgresql:/)
  })
})

test('/metrics counts requests by route and not by path', async () => {
  const { text } = await get('/metrics')
  expect(text).toContain('/api/v1/places')
  expect(text).not.toMatch(/places\/[0-9a-f]{8}-/)
})

test('/.well-known/jwks.json shows the public half of the service key to every caller', async () => {
  const { status, body } = await get('/.well-known/jwks.json')
  expect(status).toBe(200)
  expect(body.keys.length).toBeGreaterThanOrEqual(1)
  for (const key of body.keys) {
    expect(key).toMatchObject({
      kty: 'OKP',
      crv: 'Ed25519',
      alg: 'EdDSA',
      use: 'sig',
      kid: expect.any(String),
    })
    expect(key).not.toHaveProperty('d')
  }
})
