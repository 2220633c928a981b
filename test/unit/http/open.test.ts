import type { FastifyInstance } from 'fastify'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { HttpDeps } from '../../../src/http/deps.ts'
import { makeDeps, makeServer, PUBLIC_KEY } from './fakes.ts'

let server: FastifyInstance
afterEach(() => server.close())

function withProbes(changes: Partial<HttpDeps['probes']>) {
  const { probes } = makeDeps()
  const { readiness, waitsFor, pingCatalog, pingShared, countDatabases, countSchemas, gauges } = probes
  server = makeServer({
    probes: {
      readiness,
      waitsFor,
      pingCatalog,
      pingShared,
      countDatabases,
      countSchemas,
      gauges,
      ...changes,
    },
  })
  return server
}

const never = () => new Promise<never>(() => undefined)
const readOnly = async () => ({ latencyMs: 1, isReadOnly: true })
const broken = async () => {
  throw new Error('connect ECONNREFUSED 10.1.2.3')
}

describe('/health', () => {
  it('has the shape of the contract', async () => {
    const response = await withProbes({}).inject('/health')
    expect(response.statusCode).toBe(200)
    expect(response.json()).toEqual({
      status: 'ok',
      version: '1.2.3',
      uptimeSeconds: expect.any(Number),
      activePools: 1,
      cachedConfigs: 2,
      connections: { open: 3, max: 100 },
      catalog: { status: 'ok', latencyMs: 1 },
      shared: { status: 'ok', latencyMs: 1.23 },
      databases: { pending_validation: 0, active: 2, failed: 1, inactive: 0 },
      schema: { current: 2, behind: 1, failed: 0 },
    })
  })

  it.each<[string, Partial<HttpDeps['probes']>, number, string]>([
    ['the catalog is down', { pingCatalog: broken, countDatabases: broken }, 200, 'degraded'],
    ['the shared database is down', { pingShared: broken }, 200, 'degraded'],
    ['both are down', { pingCatalog: broken, pingShared: broken }, 503, 'unavailable'],
    ['the catalog is read-only', { pingCatalog: readOnly }, 200, 'degraded'],
    ['the shared database is read-only', { pingShared: readOnly }, 200, 'degraded'],
    ['both are read-only', { pingCatalog: readOnly, pingShared: readOnly }, 200, 'degraded'],
    ['it starts', { readiness: () => 'starting' }, 503, 'unavailable'],
  ])('reports its state when %s', async (...[, changes, statusCode, status]) => {
    const response = await withProbes(changes).inject('/health')
    expect(response.statusCode).toBe(statusCode)
    expect(response.json()).toMatchObject({ status })
    expect(response.body).not.toContain('10.1.2.3')
  })

  it('answers within a second even if everything hangs', async () => {
    withProbes({ pingCatalog: never, pingShared: never, countDatabases: never })
    await server.ready()
    const begun = performance.now()
    const response = await server.inject('/health')
    expect(performance.now() - begun).toBeLessThan(1000)
    expect(response.json()).toMatchObject({
      status: 'unavailable',
      catalog: { status: 'down', latencyMs: null },
    })
  })

  it('checks once a second at most, however often it is called', async () => {
    const pingCatalog = vi.fn(async () => ({ latencyMs: 1, isReadOnly: false }))
    withProbes({ pingCatalog })
    await Promise.all(Array.from({ length: 20 }, () => server.inject('/health')))
    expect(pingCatalog).toHaveBeenCalledTimes(1)
  })
})

describe('the other probes', () => {
  it('/livez and /readyz', async () => {
    withProbes({ readiness: () => 'starting' })
    expect((await server.inject('/livez')).statusCode).toBe(200)
    const ready = await server.inject('/readyz')
    expect([ready.statusCode, ready.json()]).toEqual([503, { status: 'starting' }])
  })

  it('/readyz names the reason for missing connections', async () => {
    withProbes({ readiness: () => 'connections-missing', waitsFor: () => 'held-by-others' })
    const ready = await server.inject('/readyz')
    const waiting = { status: 'connections-missing', waitsFor: 'held-by-others' }
    expect([ready.statusCode, ready.json()]).toEqual([503, waiting])
  })

  it('/metrics is Prometheus text', async () => {
    const response = await withProbes({}).inject('/metrics')
    expect(response.headers['content-type']).toContain('text/plain; version=0.0.4')
    expect(response.body).toContain('process_cpu_seconds_total')
  })

  it('/.well-known/jwks.json may be cached', async () => {
    const response = await withProbes({}).inject('/.well-known/jwks.json')
    expect(response.json()).toEqual({ keys: [PUBLIC_KEY] })
    expect(response.headers['cache-control']).toBe('public, max-age=300')
  })
})
