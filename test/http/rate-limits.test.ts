import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll } from '../support/database.ts'
import {
  type Answer,
  createStage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'
import { expectProblem } from './support.ts'

let gateway: TestGateway
let tenant: TestTenant
let neighbour: TestTenant

beforeAll(async () => {
  gateway = await startGateway(await createStage(), {
    RATE_LIMIT_PER_MINUTE: '20',
    LOGIN_RATE_LIMIT_PER_MINUTE: '6',
    TRUSTED_PROXIES: '127.0.0.0/8, ::1',
  })
  tenant = await gateway.createTenant()
  neighbour = await gateway.createTenant()
})
afterAll(async () => {
  await gateway?.close()
  await dropAll()
})

function allowanceOf({ headers }: Answer) {
  const [limit, remaining, reset] = ['limit', 'remaining', 'reset'].map((name) =>
    headers.get(`ratelimit-${name}`),
  )
  return { limit: Number(limit), remaining: Number(remaining), reset: Number(reset) }
}

describe('requests of one principal', () => {
  test('count down the limit, and are refused beyond it until the window ends', async () => {
    const ask = () => gateway.call('GET', '/api/v1/tenant', { token: tenant.token })
    const first = allowanceOf(await ask())
    expect(first.limit).toBe(20)
    expect(first.reset).toBeLessThanOrEqual(60)
    for (let left = first.remaining - 1; left >= 0; left -= 1) {
      expect(allowanceOf(await ask())).toMatchObject({ remaining: left })
    }
    const refused = await ask()
    expectProblem(refused, { status: 429, code: 'RATE_LIMITED' })
    expect(refused.headers.get('retry-after')).toBe(refused.headers.get('ratelimit-reset'))
    const other = await gateway.call('GET', '/api/v1/tenant', { token: neighbour.token })
    expect(other.status).toBe(200)
  })
})

describe('login attempts from one address', () => {
  const attempt = (address: string, path: string, body: object) =>
    gateway.call('POST', `/api/v1/auth/${path}`, { headers: { 'x-forwarded-for': address }, body })

  test.each(['login', 'refresh', 'accounts/login'])(
    'are refused beyond the limit at %s, for all names together',
    async (path) => {
      const address = `192.0.2.${path.length}`
      const body = (i: number) =>
        path === 'refresh'
          ? { refreshToken: `no-token-${i}` }
          : {
              ...(path === 'login' && { tenantCode: tenant.code }),
              email: `u${i}@x.example`,
              password: 'wrong',
            }
      const statuses: number[] = []
      for (let i = 0; i < 8; i += 1) statuses.push((await attempt(address, path, body(i))).status)
      expect(statuses).toEqual([401, 401, 401, 401, 401, 401, 429, 429])
      const elsewhere = await attempt(`${address}9`, path, body(0))
      expect(elsewhere.status).toBe(401)
      expect(allowanceOf(elsewhere)).toMatchObject({ limit: 6, remaining: 5 })
    },
  )

  test('are counted by network where one caller owns a whole network of addresses', async () => {
    const body = { refreshToken: 'no-token' }
    for (let i = 0; i < 6; i += 1) await attempt(`2001:db8:1:2::${i}`, 'refresh', body)
    expect((await attempt('2001:db8:1:2:ffff::1', 'refresh', body)).status).toBe(429)
    expect((await attempt('2001:db8:1:3::1', 'refresh', body)).status).toBe(401)
  })

  test('are counted by address where a proxy writes the port beside it', async () => {
    const body = { refreshToken: 'no-token' }
    for (let i = 0; i < 6; i += 1) await attempt(`198.51.100.70:${50_000 + i}`, 'refresh', body)
    expect((await attempt('198.51.100.70:50009', 'refresh', body)).status).toBe(429)
    expect((await attempt('198.51.100.70', 'refresh', body)).status).toBe(429)
    for (let i = 0; i < 6; i += 1) await attempt(`[2001:db8:1:7::${i}]:${50_000 + i}`, 'refresh', body)
    expect((await attempt('[2001:db8:1:7:1::1]:50009', 'refresh', body)).status).toBe(429)
  })

  test('are counted by the last address that a trusted proxy saw', async () => {
    const body = { refreshToken: 'no-token' }
    for (let i = 0; i < 7; i += 1) await attempt(`203.0.113.${i}, 198.51.100.7`, 'refresh', body)
    expect((await attempt('203.0.113.99, 198.51.100.7', 'refresh', body)).status).toBe(429)
  })
})
