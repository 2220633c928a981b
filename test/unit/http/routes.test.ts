import type { FastifyInstance } from 'fastify'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { HttpDeps } from '../../../src/http/deps.ts'
import type { Operations } from '../../../src/operations/operations.ts'
import { ACME, bearer, makeServer, OTHER, only, TOKENS } from './fakes.ts'

let server: FastifyInstance
afterEach(() => server.close())

const AT = new Date('2026-01-01T00:00:00Z')
const CANARY = 'canary-5a1e'

const tenant = {
  ...({
    id: ACME,
    code: 'acme-corp',
    name: 'Acme',
    status: 'ACTIVE',
    parentId: null,
    placement: 'shared',
    epoch: 1,
  } as const),
  authConfig: {
    passwordPolicy: { minLength: 12, requireMixed: false },
    ...{
      accessTokenSeconds: 900,
      refreshTokenSeconds: 2_592_000,
      refreshReuseSeconds: 10,
      lockout: { attempts: 10, windowSeconds: 900 } as const,
    },
  },
  ...({ createdAt: AT, updatedAt: AT } as const),
} as const

const entry = {
  ...({
    id: OTHER,
    tenantId: ACME,
    slot: 'current',
    rowVersion: 1,
    databaseType: 'postgres',
    host: 'db.example.com',
  } as const),
  ...({
    port: 5432,
    databaseName: 'acme',
    userName: 'acme_app',
    applicationName: null,
    sslMode: 'verify-full',
    caCertificate: null,
    handshake: {},
  } as const),
  ...({ poolSize: 10, idleTimeoutSeconds: 30, connectionTimeoutSeconds: 5, applyMigrations: true } as const),
  ...({
    status: 'failed',
    moveRequired: false,
    lastErrorCode: 'TLS_FAILED',
    lastErrorMessage: 'no TLS',
    lastErrorAt: AT,
  } as const),
  ...({
    consecutiveFailures: 0,
    lastCheckedAt: null,
    validatedAt: null,
    schemaVersion: null,
    serverVersion: null,
  } as const),
  ...({
    systemIdentifier: null,
    databaseOid: null,
    validationAttempts: 1,
    adopt: false,
  } as const),
  ...({ claimedBy: null, claimedUntil: null, createdAt: AT, updatedAt: AT } as const),
  // A row read with all columns would have this field. No answer may have it.
  sealedConnectionString: Buffer.from(CANARY),
} as const

function operate(operations: Partial<Operations>, changes: Partial<HttpDeps> = {}) {
  server = makeServer({ operations: only<Operations>(operations), ...changes })
  const ask = async (method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, payload?: object) => {
    const headers = bearer(TOKENS.admin)
    return server.inject({ method, url: `/api/v1${path}`, headers, ...(payload && { payload }) })
  }
  return ask
}

describe('/tenants', () => {
  it('creates a tenant, and answers its Location', async () => {
    const createTenant = vi.fn(async () => ({ tenant, externalIds: [], database: null }))
    const ask = operate({ createTenant })
    const body = { code: 'acme-corp', name: 'Acme', admin: { email: 'a@b.c', password: 'x' } }
    const response = await ask('POST', '/tenants', body)
    expect(response.statusCode).toBe(201)
    expect(response.headers.location).toBe(`/api/v1/tenants/${ACME}`)
    expect(response.json()).toMatchObject({
      id: ACME,
      code: 'acme-corp',
      database: null,
      createdAt: AT.toISOString(),
    })
    expect(createTenant).toHaveBeenCalledWith(
      body,
      expect.objectContaining({ type: 'operator', id: 'admin' }),
    )
  })

  it.each([
    ['no code', { name: 'A' }, '/code'],
    ['a code with capitals', { code: 'Acme', name: 'A' }, '/code'],
    ['a code of one character', { code: 'a', name: 'A' }, '/code'],
    ['a code that ends in a hyphen', { code: 'acme-', name: 'A' }, '/code'],
    ['an id of its own', { code: 'acme', name: 'A', id: ACME }, '/id'],
    [
      'a policy that is none',
      { code: 'acme', name: 'A', authConfig: { passwordPolicy: { minLength: 0 } } },
      '/authConfig/passwordPolicy/minLength',
    ],
    [
      'an admin without a password',
      { code: 'acme', name: 'A', admin: { email: 'a@b.c' } },
      '/admin/password',
    ],
  ])('creates no tenant with %s', async (_case, body, pointer) => {
    const response = await operate({})('POST', '/tenants', body)
    expect(response.json()).toMatchObject({ code: 'VALIDATION_FAILED', errors: [{ pointer }] })
  })

  it.each(['GET', 'PATCH'] as const)('%s of a malformed id finds no tenant', async (method) => {
    const response = await operate({ findTenant: vi.fn(), patchTenant: vi.fn() })(
      method,
      '/tenants/acme-corp',
      method === 'PATCH' ? { name: 'B' } : undefined,
    )
    expect(response.json()).toMatchObject({ code: 'TENANT_NOT_FOUND' })
  })

  it('reports how many replicas apply a change', async () => {
    const effective = { replicas: 2, confirmed: 2 }
    const ask = operate({ patchTenant: async () => ({ tenant, externalIds: [], database: null, effective }) })
    expect((await ask('PATCH', `/tenants/${ACME}`, { status: 'INACTIVE' })).json()).toMatchObject({
      effective,
    })
  })

  it('lists with filters', async () => {
    const listTenants = vi.fn(async () => ({
      data: [{ tenant, externalIds: [], database: null }],
      nextCursor: 'abc',
    }))
    const ask = operate({ listTenants })
    const response = await ask('GET', '/tenants?limit=1&q=ac&status=ACTIVE')
    expect(response.json()).toMatchObject({ data: [{ id: ACME }], nextCursor: expect.any(String) })
    expect(listTenants).toHaveBeenCalledWith({ limit: 1, q: 'ac', status: 'ACTIVE' })
    await ask('GET', `/tenants?limit=1&q=ac&status=ACTIVE&cursor=${response.json().nextCursor}`)
    expect(listTenants).toHaveBeenLastCalledWith({ limit: 1, q: 'ac', status: 'ACTIVE', cursor: 'abc' })
    expect(
      (await server.inject({ url: '/api/v1/tenants?limit=201', headers: bearer(TOKENS.viewer) })).statusCode,
    ).toBe(400)
  })
})

describe('/tenants/{id}/database', () => {
  const state = {
    tenant,
    current: entry,
    candidate: null,
    encryptionKeyId: 'f00d',
    effective: { replicas: 2, confirmed: 1 },
  }

  it('registers a database with defaults, and shows no secret', async () => {
    const registerDatabase = vi.fn(async () => state)
    const connectionString = `postgresql://u:${CANARY}@db.example.com/acme`
    const response = await operate({ registerDatabase })('PUT', `/tenants/${ACME}/database`, {
      connectionString,
    })
    expect(response.statusCode).toBe(202)
    const defaults = { poolSize: 10, idleTimeoutSeconds: 30, applyMigrations: true }
    const body = { connectionString, databaseType: 'postgres', ...defaults }
    expect(registerDatabase).toHaveBeenCalledWith(ACME, body, expect.anything())
    expect(response.body).not.toContain(CANARY)
    expect(response.json()).toMatchObject({
      ...{ tenantId: ACME, host: 'db.example.com', database: 'acme', user: 'acme_app', status: 'failed' },
      ...{ placement: 'shared', moveRequired: false, encryptionKeyId: 'f00d', candidate: null },
      effective: { replicas: 2, confirmed: 1 },
      lastError: { code: 'TLS_FAILED', message: 'no TLS', at: AT.toISOString() },
    })
  })

  it.each([
    `postgresql://u:${CANARY}@h/d?host=x`,
    `mysql://u:${CANARY}@h/d`,
    `postgresql://u:${CANARY}@[::ffff:a9fe:a9fe%25x]/d`,
    `postgresql://u:${CANARY}@h/${'d'.repeat(3000)}`,
  ])('refuses a connection string at once and does not repeat it', async (connectionString) => {
    const response = await operate({})('PUT', `/tenants/${ACME}/database`, { connectionString })
    expect(response.json()).toMatchObject({
      code: 'VALIDATION_FAILED',
      errors: [{ pointer: '/connectionString' }],
    })
    expect(response.body).not.toContain(CANARY)
  })

  it('shows a candidate beside the database in service', async () => {
    const candidate = {
      ...entry,
      slot: 'candidate',
      status: 'pending_validation',
      host: 'new.example.com',
    } as const
    const ask = operate({ describeDatabase: async () => ({ ...state, candidate }) })
    expect((await ask('GET', `/tenants/${ACME}/database`)).json()).toMatchObject({
      host: 'db.example.com',
      candidate: { host: 'new.example.com', status: 'pending_validation' },
    })
  })

  it('is not found if there is none', async () => {
    const ask = operate({ describeDatabase: async () => ({ ...state, current: null }) })
    expect((await ask('GET', `/tenants/${ACME}/database`)).json()).toMatchObject({ code: 'NOT_FOUND' })
  })
})

describe('/audit-log', () => {
  const page = { data: [], nextCursor: null }

  it('is complete for operators', async () => {
    const listAudit = vi.fn(async () => page)
    await operate({ listAudit })('GET', `/audit-log?tenantId=${OTHER}&from=2026-01-01T00:00:00Z`)
    expect(listAudit).toHaveBeenCalledWith(
      { tenantId: OTHER, from: AT },
      expect.objectContaining({ limit: 50 }),
    )
  })

  it('is limited to their own tenant for auditors, who may name no tenant', async () => {
    const listAudit = vi.fn(async () => page)
    operate({ listAudit })
    const headers = bearer(TOKENS.writer)
    expect((await server.inject({ url: '/api/v1/audit-log', headers })).statusCode).toBe(200)
    expect(listAudit).toHaveBeenCalledWith({ tenantId: ACME, hidePlacement: true }, expect.anything())
    const other = await server.inject({ url: `/api/v1/audit-log?tenantId=${OTHER}`, headers })
    expect(other.json()).toMatchObject({ code: 'VALIDATION_FAILED', errors: [{ pointer: '/tenantId' }] })
    const without = await server.inject({ url: '/api/v1/audit-log', headers: bearer(TOKENS.reader) })
    expect(without.json()).toMatchObject({ required: 'audit:read' })
  })
})

describe('/tenant', () => {
  it('is served while the tenant database is down, and reports that', async () => {
    operate({ listChildren: async () => [] }, { isDatabaseDown: () => true })
    const response = await server.inject({ url: '/api/v1/tenant', headers: bearer(TOKENS.reader) })
    expect(response.headers['freehold-degraded']).toBe('tenant-database')
    expect(response.json()).toMatchObject({ id: ACME, code: 'acme-corp', children: [] })
    expect(response.body).not.toContain('placement')
  })
})

describe('/client-keys', () => {
  it('grants no permission that the caller lacks', async () => {
    const made = { id: OTHER, name: 'k', permissions: [], prefix: 'fhk_', key: 'fhk_x', expiresAt: null }
    const create = vi.fn(async () => ({ ...made, createdAt: AT.toISOString() }))
    const clientKeys = only<HttpDeps['clientKeys']>({ create: create as never })
    operate({}, { clientKeys })
    const ask = (permissions: string[]) =>
      server.inject({
        method: 'POST',
        url: '/api/v1/client-keys',
        headers: bearer(TOKENS.reader),
        payload: { name: 'k', permissions },
      })
    for (const permission of ['*', 'properties:*', 'properties:write']) {
      expect((await ask([permission])).json()).toMatchObject({
        code: 'PERMISSION_DENIED',
        required: permission,
      })
    }
    expect((await ask(['properties:read'])).statusCode).toBe(201)
    expect(create).toHaveBeenCalledTimes(1)
  })
})
