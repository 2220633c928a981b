import { createHmac } from 'node:crypto'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { RouteDirectory } from '../../../src/catalog/directory.ts'
import { loadRoute } from '../../../src/catalog/route-loader.ts'
import type { CatalogStore } from '../../../src/catalog/store.ts'
import { Secret } from '../../../src/lib/secret.ts'

const ROUTES = 20_000
const MAX_BYTES = 2_048

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

/** As the driver gives it: every text is a copy of its own. */
const copy = <T>(value: T): T => JSON.parse(JSON.stringify(value))
const idOf = (n: number, kind = '7') => `01a22b50-0be9-${kind}073-8503-${n.toString(16).padStart(12, '0')}`

/** A tenant with everything that a route can have: a dedicated database, a certificate and an external id. */
function rowOf(n: number) {
  return {
    tenant: {
      ...copy({ id: idOf(n), code: `tenant-${n}`, name: `Tenant number ${n}`, parentId: idOf(n + 1) }),
      ...copy({ status: 'ACTIVE', placement: 'dedicated', epoch: n }),
      authConfig: copy({
        passwordPolicy: { minLength: 12, requireMixed: true },
        ...{ accessTokenSeconds: 900, refreshTokenSeconds: 1_209_600, refreshReuseSeconds: 10 },
        lockout: { attempts: 5, windowSeconds: 900 },
      }),
      ...{ createdAt: new Date(n), updatedAt: new Date(n) },
    },
    database: copy({
      ...{ id: idOf(n, '8'), version: n, status: 'active', moveRequired: false, poolSize: 5 },
      ...{ host: `db${n % 20}.example`, port: 5432, databaseName: `tenant_${n}`, userName: `role_${n}` },
      ...{ applicationName: 'freehold', sslMode: 'verify-full', handshake: { channelBinding: 'require' } },
      caCertificate: `-----BEGIN CERTIFICATE-----${'x'.repeat(1_500)}${n % 20}`,
      ...{ idleTimeoutSeconds: 30, connectionTimeoutSeconds: 5, systemIdentifier: '7412345678901234567' },
      ...{ databaseOid: n, schemaVersion: { core: 4, application: 3 } },
    }),
    externalIds: copy([{ issuer: 'https://login.example/', id: `org-${n}` }]),
  }
}

function directoryOver(row: () => unknown): RouteDirectory {
  const query = { from: () => query, leftJoin: () => query, where: async () => [row()] }
  const store = { db: { select: () => query } } as unknown as CatalogStore
  const load = loadRoute(store, ({ tenantId }) => new Secret(createHmac('sha256', tenantId).digest('hex')))
  return new RouteDirectory({ load, max: 2 * ROUTES, ttlMs: 3_600_000, maxStalenessMs: 3_600_000 })
}

function heapBytes(): number {
  collectGarbage()
  collectGarbage()
  return process.memoryUsage().heapUsed
}

test('a cached route with everything that a route can have takes at most 2 KB', {
  timeout: 60_000,
}, async () => {
  let n = 0
  const directory = directoryOver(() => rowOf(n))
  for (; n < 100; n++) await directory.byId(idOf(n))
  const before = heapBytes()
  for (; n < 100 + ROUTES; n++) await directory.byId(idOf(n))
  const bytes = (heapBytes() - before) / ROUTES
  expect(directory.size).toBe(100 + ROUTES)
  expect(bytes).toBeLessThan(MAX_BYTES)
})

test('routes that share a value hold one copy of it, which cannot be changed', async () => {
  let n = 0
  const directory = directoryOver(() => rowOf(n))
  const [one, other] = [await directory.byId(idOf(n)), await directory.byId(idOf(++n))]
  expect(other?.authConfig).toEqual(rowOf(1).tenant.authConfig)
  expect(other?.authConfig).toBe(one?.authConfig)
  expect(other?.database?.handshake).toBe(one?.database?.handshake)
  expect(Object.isFrozen(one?.authConfig.lockout)).toBe(true)
  expect(other?.database?.host).toBe('db1.example')
})
