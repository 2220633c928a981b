import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { dropAll, query, superuserUrl } from '../support/database.ts'
import {
  type Call,
  createStage,
  type Stage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'
import { API, expectProblem, telling, UNKNOWN_ID } from './support.ts'

let stage: Stage
let gateway: TestGateway
let tenant: TestTenant
let stranger: TestTenant
beforeAll(async () => {
  stage = await createStage()
  gateway = await startGateway(stage)
  ;[tenant, stranger] = await Promise.all([gateway.createTenant(), gateway.createTenant()])
})
afterEach(() => {
  vi.useRealTimers()
})
afterAll(async () => {
  await gateway?.close()
  await dropAll()
})

const NEW = { name: 'Import', permissions: ['properties:read'] }
const HOUR_MS = 3_600_000

/** The same collection, as an operator and a tenant reach it. */
const sides = {
  operator: {
    path: () => `${API}/tenants/${tenant.id}/client-keys`,
    token: () => stage.operatorToken,
  },
  tenant: { path: () => `${API}/client-keys`, token: () => tenant.token },
} as const

describe.each(['operator', 'tenant'] as const)('client keys created by the %s', (side) => {
  const { path, token } = sides[side]
  const call = (method: string, below = '', body?: unknown) =>
    gateway.call(method, `${path()}${below}`, { token: token(), ...(body !== undefined && { body }) })
  const use = (key: string, call: Call = {}) =>
    gateway.call('GET', `${API}/places`, {
      headers: { 'x-client-key': key, 'x-tenant-code': tenant.code, ...call.headers },
    })

  describe('201', () => {
    test('a key has exactly these fields, is shown once, and gives access to its tenant', async () => {
      const { status, body, headers } = await call('POST', '', NEW)
      expect(status).toBe(201)
      expect(body).toEqual({
        ...NEW,
        id: expect.any(String),
        prefix: body.key.slice(0, 12),
        key: expect.stringMatching(/^fhk_[0-9A-Za-z]{12}_[0-9A-Za-z]{43}$/),
        createdAt: expect.stringMatching(/Z$/),
        expiresAt: null,
      })
      expect(headers.get('location')).toBe(`${path()}/${body.id}`)
      const secret = body.key.slice(-43)
      for (const below of ['', `/${body.id}`]) expect((await call('GET', below)).text).not.toContain(secret)
      expect(gateway.log()).not.toContain(secret)
      expect((await use(body.key)).status).toBe(200)
    })

    test('the key is nowhere in the catalog in clear', async () => {
      const { body } = await call('POST', '', NEW)
      const catalog = superuserUrl(new URL(stage.catalogUrl).pathname.slice(1))
      const rows = await query(
        catalog,
        'SELECT k::text FROM client_keys k UNION ALL SELECT a::text FROM audit_log a',
      )
      expect(JSON.stringify(rows)).not.toContain(body.key.slice(-43))
    })
  })

  describe('200', () => {
    test('a key can be read later, without its secret', async () => {
      const { body: made } = await call('POST', '', NEW)
      const { key: _key, ...shown } = made
      expect((await call('GET', `/${made.id}`)).body).toEqual({ ...shown, lastUsedAt: null })
    })

    test('the list is in pages, oldest first', async () => {
      for (let n = 0; n < 3; n++) await call('POST', '', NEW)
      const { body: all } = await call('GET', '?limit=200')
      const ids: string[] = []
      for (let cursor = ''; ; ) {
        const { body } = await call('GET', `?limit=2${cursor && `&cursor=${cursor}`}`)
        ids.push(...body.data.map(({ id }: { id: string }) => id))
        if (body.nextCursor === null) break
        cursor = body.nextCursor
      }
      expect(ids).toEqual(all.data.map(({ id }: { id: string }) => id))
      expect(ids).toEqual(ids.toSorted())
    })
  })

  describe('204', () => {
    test('a revoked key gives no access from that answer on', async () => {
      const { body } = await call('POST', '', NEW)
      expect((await use(body.key)).status).toBe(200)
      expect((await call('DELETE', `/${body.id}`)).status).toBe(204)
      expectProblem(await use(body.key), { status: 401, code: 'INVALID_CREDENTIALS' })
      for (const method of ['GET', 'DELETE'])
        expectProblem(await call(method, `/${body.id}`), { status: 404, code: 'NOT_FOUND' })
    })
  })

  describe('400', () => {
    test.each([
      [{}, ['/name', '/permissions']],
      [{ ...NEW, name: '' }, ['/name']],
      [{ ...NEW, name: 'a\nb' }, ['/name']],
      [{ ...NEW, permissions: 'properties:read' }, ['/permissions']],
      [{ ...NEW, permissions: ['properties'] }, ['/permissions/0']],
      [{ ...NEW, permissions: ['properties:read', 'Properties:Read'] }, ['/permissions/1']],
      [{ ...NEW, expiresAt: 'tomorrow' }, ['/expiresAt']],
      [{ ...NEW, expiresAt: '2020-01-01T00:00:00Z' }, ['/expiresAt']],
      [{ ...NEW, expiresAt: '9999-12-31T23:59:59-23:59' }, ['/expiresAt']],
      [{ ...NEW, tenantId: UNKNOWN_ID }, ['/tenantId']],
      [{ ...NEW, key: 'fhk_mine' }, ['/key']],
    ])('%j', async (body, pointers) => {
      expectProblem(await call('POST', '', body), { status: 400, code: 'VALIDATION_FAILED', pointers })
    })

    test('an invalid cursor', async () => {
      expectProblem(await call('GET', '?cursor=x'), { status: 400, code: 'INVALID_CURSOR' })
    })
  })

  describe('401', () => {
    test('a key ends at its expiry', async () => {
      const expiresAt = new Date(Date.now() + HOUR_MS).toISOString()
      const { body } = await call('POST', '', { ...NEW, expiresAt })
      expect(body.expiresAt).toBe(expiresAt)
      expect((await use(body.key)).status).toBe(200)
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + HOUR_MS + 1000 })
      expectProblem(await use(body.key), { status: 401, code: 'INVALID_CREDENTIALS' })
    })

    test('a key with a wrong secret and an unknown key get the same answer', async () => {
      const { body } = await call('POST', '', NEW)
      const last = body.key.at(-1) === 'A' ? 'B' : 'A'
      const missing = `fhk_${'0'.repeat(12)}_${'0'.repeat(43)}`
      const answers = await Promise.all(
        [`${body.key.slice(0, -1)}${last}`, missing, 'fhk_', 'x'].map((key) => use(key)),
      )
      for (const answer of answers) {
        expectProblem(answer, { status: 401, code: 'INVALID_CREDENTIALS' })
        expect(telling(answer)).toEqual(telling(answers[0] ?? answer))
      }
    })
  })

  describe('403', () => {
    test('the answer names the permission that the key lacks', async () => {
      const { body } = await call('POST', '', NEW)
      const headers = { 'x-client-key': body.key, 'x-tenant-code': tenant.code }
      const write = await gateway.call('POST', `${API}/places`, { headers, body: { name: 'x' } })
      expectProblem(write, { status: 403, code: 'PERMISSION_DENIED', required: 'properties:write' })
      const users = await gateway.call('GET', `${API}/users`, { headers })
      expectProblem(users, { status: 403, code: 'PERMISSION_DENIED', required: 'users:read' })
    })

    test.each([['*'], ['properties:*'], ['properties:read', 'properties:write']])(
      '%j allow writes',
      async (...permissions) => {
        const { body } = await call('POST', '', { ...NEW, permissions })
        const headers = { 'x-client-key': body.key, 'x-tenant-code': tenant.code }
        const answer = await gateway.call('POST', `${API}/places`, { headers, body: { name: 'x' } })
        expect(answer.status).toBe(201)
      },
    )
  })

  describe('404', () => {
    test("another tenant's key is answered like an unknown one", async () => {
      const { body } = await gateway.operator('POST', `/tenants/${stranger.id}/client-keys`, NEW)
      for (const method of ['GET', 'DELETE']) {
        const [foreignAnswer, missingAnswer] = [
          await call(method, `/${body.id}`),
          await call(method, `/${UNKNOWN_ID}`),
        ]
        expectProblem(foreignAnswer, { status: 404, code: 'NOT_FOUND' })
        expect(telling(foreignAnswer)).toEqual(telling(missingAnswer))
      }
      expect((await call('GET', '?limit=200')).text).not.toContain(body.id)
    })
  })
})

describe('a client key', () => {
  test('of an INACTIVE tenant gives no access from the answer on', async () => {
    const { body } = await gateway.operator('POST', `/tenants/${stranger.id}/client-keys`, NEW)
    const use = () =>
      gateway.call('GET', `${API}/places`, {
        headers: { 'x-client-key': body.key, 'x-tenant-code': stranger.code },
      })
    expect((await use()).status).toBe(200)
    await gateway.operator('PATCH', `/tenants/${stranger.id}`, { status: 'INACTIVE' })
    expectProblem(await use(), { status: 404, code: 'TENANT_NOT_FOUND' })
    await gateway.operator('PATCH', `/tenants/${stranger.id}`, { status: 'ACTIVE' })
    expect((await use()).status).toBe(200)
  })

  test('cannot create a key with more permissions than its own', async () => {
    const permissions = ['client-keys:write', 'properties:read']
    const { body } = await gateway.operator('POST', `/tenants/${tenant.id}/client-keys`, {
      ...NEW,
      permissions,
    })
    const headers = { 'x-client-key': body.key, 'x-tenant-code': tenant.code }
    const make = (permissions: string[]) =>
      gateway.call('POST', `${API}/client-keys`, { headers, body: { name: 'child', permissions } })
    expect((await make(['properties:read'])).status).toBe(201)
    for (const more of ['properties:write', 'properties:*', '*'])
      expectProblem(await make([more]), { status: 403, code: 'PERMISSION_DENIED', required: more })
  })

  test('cannot revoke a key with more permissions than its own', async () => {
    const make = (permissions: string[]) =>
      gateway.operator('POST', `/tenants/${tenant.id}/client-keys`, { ...NEW, permissions })
    const { body } = await make(['client-keys:write', 'properties:read'])
    const headers = { 'x-client-key': body.key, 'x-tenant-code': tenant.code }
    const end = (id: string) => gateway.call('DELETE', `${API}/client-keys/${id}`, { headers })
    const { body: stronger } = await make(['properties:read', 'properties:write'])
    const denied = { status: 403, code: 'PERMISSION_DENIED', required: 'properties:write' }
    expectProblem(await end(stronger.id), denied)
    const found = await gateway.operator('GET', `/tenants/${tenant.id}/client-keys/${stronger.id}`)
    expect(found.status).toBe(200)
    const { body: weaker } = await make(['properties:read'])
    expect((await end(weaker.id)).status).toBe(204)
    expect((await end(body.id)).status).toBe(204)
  })

  test('can read its own identity', async () => {
    const { body } = await gateway.operator('POST', `/tenants/${tenant.id}/client-keys`, NEW)
    const headers = { 'x-client-key': body.key, 'x-tenant-code': tenant.code }
    const me = await gateway.call('GET', `${API}/auth/me`, { headers })
    expect(me.body).toMatchObject({
      user: null,
      tenant: { code: tenant.code },
      roles: [],
      permissions: NEW.permissions,
      actingFor: null,
    })
  })

  test('cannot be created for an unknown tenant', async () => {
    for (const id of [UNKNOWN_ID, 'x'])
      expectProblem(await gateway.operator('POST', `/tenants/${id}/client-keys`, NEW), {
        status: 404,
        code: 'TENANT_NOT_FOUND',
      })
  })
})
