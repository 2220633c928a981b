import { decodeJwt, decodeProtectedHeader } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll } from '../support/database.ts'
import type { TestTenant } from '../support/gateway.ts'
import { API, expectProblem, type Fixture, openFixture, telling } from './support.ts'

let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture()
})
afterAll(async () => {
  await fixture?.gateway.close()
  await dropAll()
})

const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  fixture.gateway.call('POST', `${API}/auth/${path}`, { body, headers })
const me = (token: string) => fixture.gateway.call('GET', `${API}/auth/me`, { token })
const signIn = (tenant: TestTenant, more: object = {}) =>
  post('login', { tenantCode: tenant.code, ...tenant.admin, ...more })
const setStatus = (tenant: TestTenant, status: string) =>
  fixture.gateway.operator('PATCH', `/tenants/${tenant.id}`, { status })

const TENANT_GONE = { status: 404, code: 'TENANT_NOT_FOUND' }
const WRONG = { status: 401, code: 'INVALID_CREDENTIALS' }

describe.each(['shared', 'dedicated'] as const)('a tenant in a %s database', (placement) => {
  describe('POST /auth/login', () => {
    test('200: gives tokens for any spelling of the address', async () => {
      const { email } = fixture[placement].admin
      for (const spelling of [email, email.toUpperCase()]) {
        const { status, body } = await signIn(fixture[placement], { email: spelling })
        expect(status).toBe(200)
        expect(body).toEqual({
          accessToken: expect.stringMatching(/^ey/),
          refreshToken: expect.stringMatching(/^fhr_/),
          tokenType: 'Bearer',
          expiresIn: 900,
        })
      }
    })

    test('200: accepts the user name too, and shows the roles and permissions of the user', async () => {
      const user = { email: `ann@${placement}.example`, username: 'Ann', password: 'another long password' }
      const made = await fixture.gateway.operator('POST', `/tenants/${fixture[placement].id}/users`, user)
      expect(made.status, made.text).toBe(201)
      const { body } = await post('login', {
        tenantCode: fixture[placement].code,
        username: 'ann',
        password: user.password,
      })
      const { body: shown } = await me(body.accessToken)
      expect(shown).toEqual({
        user: {
          ...{
            id: made.body.id,
            email: user.email,
            username: 'Ann',
            ...{ name: null, taxNumber: null },
            status: 'ACTIVE',
            roles: [],
          },
          ...{ createdAt: made.body.createdAt, updatedAt: made.body.updatedAt },
        },
        tenant: {
          id: fixture[placement].id,
          code: fixture[placement].code,
          name: `Tenant ${fixture[placement].code}`,
        },
        roles: [],
        permissions: [],
        actingFor: null,
      })
      const denied = await fixture.gateway.call('GET', `${API}/places`, { token: body.accessToken })
      expectProblem(denied, { status: 403, code: 'PERMISSION_DENIED', required: 'properties:read' })
    })

    test('the token has the documented claims, and does not say where the tenant lives', async () => {
      const { body } = await signIn(fixture[placement])
      expect(decodeProtectedHeader(body.accessToken)).toEqual({
        alg: 'EdDSA',
        kid: expect.any(String),
        typ: 'at+jwt',
      })
      const claims = decodeJwt(body.accessToken)
      expect(claims).toEqual({
        ...{ iss: 'freehold', aud: 'freehold', sub: expect.any(String), jti: expect.any(String), gen: 0 },
        ...{
          tenantId: fixture[placement].id,
          tenantCode: fixture[placement].code,
          permissions: ['*'],
          roles: ['admin'],
        },
        ...{ iat: expect.any(Number), exp: expect.any(Number) },
      })
      expect((claims.exp ?? 0) - (claims.iat ?? 0)).toBe(900)
    })

    test('401: a wrong password and an unknown user get the same answer', async () => {
      const answers = [
        await signIn(fixture[placement], { password: 'not the password' }),
        await signIn(fixture[placement], { email: 'nobody@nowhere.example' }),
        await post('login', { tenantCode: fixture[placement].code, username: 'nobody', password: 'x' }),
        // A user of another tenant is unknown here.
        await signIn(fixture[placement], fixture.other.admin),
      ]
      for (const answer of answers) {
        expectProblem(answer, WRONG)
        expect(telling(answer)).toEqual(telling(answers[0] ?? answer))
      }
    })

    test('403: too many wrong passwords lock the account for a while, also against the right one', async () => {
      const code = `${fixture[placement].code}-lock`
      const tenant = await fixture.gateway.createTenant(code)
      await fixture.gateway.operator('PATCH', `/tenants/${tenant.id}`, {
        authConfig: { lockout: { attempts: 3 } },
      })
      for (const email of [tenant.admin.email, 'nobody@nowhere.example']) {
        for (let n = 0; n < 3; n++) expectProblem(await signIn(tenant, { email, password: 'wrong' }), WRONG)
        const answer = await signIn(tenant, { email })
        expectProblem(answer, { status: 403, code: 'ACCOUNT_LOCKED' })
        expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
      }
    })
  })

  describe('POST /auth/refresh', () => {
    test('200: gives the next pair, and the old token is no longer valid', async () => {
      const { body: first } = await signIn(fixture[placement])
      const { status, body: second } = await post('refresh', { refreshToken: first.refreshToken })
      expect(status).toBe(200)
      expect(Object.keys(second).toSorted()).toEqual(Object.keys(first).toSorted())
      expect(second.refreshToken).not.toBe(first.refreshToken)
      expect((await me(second.accessToken)).status).toBe(200)
      expect((await post('refresh', { refreshToken: second.refreshToken })).status).toBe(200)
    })

    test('401: reuse of a token after its successor ends its whole family and no other', async () => {
      const [{ body: first }, { body: other }] = [
        await signIn(fixture[placement]),
        await signIn(fixture[placement]),
      ]
      const { body: second } = await post('refresh', { refreshToken: first.refreshToken })
      const { body: third } = await post('refresh', { refreshToken: second.refreshToken })
      const reused = await post('refresh', { refreshToken: first.refreshToken })
      expectProblem(reused, { status: 401, code: 'REFRESH_TOKEN_REUSED' })
      expectProblem(await post('refresh', { refreshToken: third.refreshToken }), WRONG)
      expect((await post('refresh', { refreshToken: other.refreshToken })).status).toBe(200)
    })

    test('concurrent uses all get the same successor', async () => {
      const { body } = await signIn(fixture[placement])
      const uses = Array.from({ length: 6 }, () => post('refresh', { refreshToken: body.refreshToken }))
      const answers = await Promise.all(uses)
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200])
      expect(new Set(answers.map((answer) => answer.body.refreshToken)).size).toBe(1)
    })

    test('401: a token with another secret, of another tenant, or malformed', async () => {
      const { body } = await signIn(fixture[placement])
      const [, route, secret] = /^fhr_([^_]{43}|.{43})_(.{43})$/.exec(body.refreshToken) ?? []
      const { body: theirs } = await signIn(fixture.other)
      const [, foreignRoute] = /^fhr_(.{43})_/.exec(theirs.refreshToken) ?? []
      const forged = [
        `fhr_${route}_${'A'.repeat(43)}`,
        `fhr_${foreignRoute}_${secret}`,
        'fhr_x_y',
        body.accessToken.slice(0, 500),
      ]
      for (const refreshToken of forged) expectProblem(await post('refresh', { refreshToken }), WRONG)
      expect((await post('refresh', { refreshToken: body.refreshToken })).status).toBe(200)
    })
  })

  describe('POST /auth/logout', () => {
    test('204: ends the family; a repetition or a malformed token is no error', async () => {
      const { body } = await signIn(fixture[placement])
      for (const refreshToken of [body.refreshToken, body.refreshToken, 'nonsense']) {
        const answer = await post('logout', { refreshToken })
        expect([answer.status, answer.text]).toEqual([204, ''])
      }
      expectProblem(await post('refresh', { refreshToken: body.refreshToken }), WRONG)
    })
  })

  test('an INACTIVE tenant is answered like an unknown one for passwords, refresh tokens and access tokens', async () => {
    const { body } = await signIn(fixture[placement])
    expect((await me(body.accessToken)).status).toBe(200)
    const patched = await setStatus(fixture[placement], 'INACTIVE')
    expect(patched.body).toMatchObject({ status: 'INACTIVE', effective: { replicas: 1, confirmed: 1 } })
    expectProblem(await signIn(fixture[placement]), TENANT_GONE)
    expectProblem(await post('refresh', { refreshToken: body.refreshToken }), TENANT_GONE)
    expectProblem(await me(body.accessToken), TENANT_GONE)
    expect((await post('logout', { refreshToken: body.refreshToken })).status).toBe(204)
    await setStatus(fixture[placement], 'ACTIVE')
    expect((await me(body.accessToken)).status).toBe(200)
    expect((await post('refresh', { refreshToken: body.refreshToken })).status).toBe(200)
  })
})

describe('POST /auth/login', () => {
  const password = 'correct horse battery staple'

  test.each(['nobody-here', 'ACME', 'a', '-', "' or 1=1", 'ä'])(
    '404: unknown tenant %j',
    async (tenantCode) => {
      expectProblem(await post('login', { tenantCode, email: 'a@b.example', password }), TENANT_GONE)
    },
  )

  test.each([
    [{}, ['/tenantCode', '/password']],
    [{ tenantCode: 'acme', password }, ['/email']],
    [{ tenantCode: 'acme', email: 'a@b.c', username: 'a', password }, ['/email']],
    [{ tenantCode: 7, email: 'a@b.c', password }, ['/tenantCode']],
    [{ tenantCode: 'acme', email: { ne: '' }, password }, ['/email']],
    [{ tenantCode: 'acme', email: 'a@b.c', password: '' }, ['/password']],
    [{ tenantCode: 'acme', email: 'a@b.c', password: 'x'.repeat(1025) }, ['/password']],
    [{ tenantCode: 'acme', email: 'a@b.c', password, tenantId: 'x' }, ['/tenantId']],
  ])('400: %j', async (body, pointers) => {
    expectProblem(await post('login', body), { status: 400, code: 'VALIDATION_FAILED', pointers })
  })

  test('400: a header that names a different tenant than the body', async () => {
    const body = { tenantCode: fixture.shared.code, ...fixture.shared.admin }
    const other = await post('login', body, { 'x-tenant-code': fixture.other.code })
    expectProblem(other, { status: 400, code: 'TENANT_AMBIGUOUS' })
    expect((await post('login', body, { 'x-tenant-code': fixture.shared.code })).status).toBe(200)
  })

  test('no log line contains a password', () => {
    for (const { admin } of [fixture.shared, fixture.dedicated])
      expect(fixture.gateway.log()).not.toContain(admin.password)
  })
})

describe.each(['refresh', 'logout'])('POST /auth/%s', (path) => {
  test.each([{}, { refreshToken: 7 }, { refreshToken: '' }, { refreshToken: 'x', tenantCode: 'x' }])(
    '400: %j',
    async (body) => {
      expectProblem(await post(path, body), { status: 400, code: 'VALIDATION_FAILED' })
    },
  )
})

describe('GET /auth/me', () => {
  test('401 without credentials', async () => {
    const answer = await fixture.gateway.call('GET', `${API}/auth/me`)
    expectProblem(answer, { status: 401, code: 'UNAUTHENTICATED' })
    expect(answer.headers.get('www-authenticate')).toBe('Bearer')
  })
})
